package main

import "github.com/spf13/cobra"

// newAuditCommand gives the commands for auditors. They talk to a server through package client.
func newAuditCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Look at the ledger as an auditor",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditReadsCommand(env))
	return cmd
}
