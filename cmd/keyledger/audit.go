package main

import "github.com/spf13/cobra"

// newAuditCommand gives the commands for auditors, and for those whom they audit.
func newAuditCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Erase personal data",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newEraseCommand(env))
	return cmd
}
