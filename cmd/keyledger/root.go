package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// newRootCommand gives the command tree. started is set when a command begins, its flags and arguments being right.
func newRootCommand(env environment, started *bool) *cobra.Command {
	root := &cobra.Command{
		Use:           "keyledger",
		Short:         "Issue, verify and revoke API keys, with every change an event in NATS JetStream",
		Long:          "keyledger issues, verifies and revokes API keys; every change is an immutable event in NATS JetStream.\n" + exitCodes,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			*started = true
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newServeCommand(env),
		newKeysCommand(env),
		newEventsCommand(env),
		newAuditCommand(env),
		newHealthCommand(env),
		newMigrateCommand(env),
		newBenchCommand(env),
		newVersionCommand(),
	)
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "keyledger", version())
			return err
		},
	}
}

// version is the module version of a released build, else the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
