package main

import (
	"github.com/spf13/cobra"
)

// newAuditCommand gives the commands of an auditor.
func newAuditCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Tell what happened to keys, and hand it on",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newReplayCommand(env), newExportCommand(env))
	return cmd
}
