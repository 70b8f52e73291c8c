package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"keyledger/ledger/audit/ocsf"
	"keyledger/ledger/audit/replay"
)

// newExportCommand gives the command that hands the history on in the form of another program.
func newExportCommand(env environment) *cobra.Command {
	var h history
	var format string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write events for a SIEM, in OCSF",
		Long: "Write every event for a SIEM, as OCSF " + ocsf.Version + " Entity Management, one JSON object a line. From a server it needs a\n" +
			"token with the scope ledger:events:read; from a file it needs no server.",
		Example: "  keyledger audit export --format ocsf --workspace acme > acme.ocsf.ndjson",
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := env.apply(cmd.Flags()); err != nil {
				return err
			}
			if format != "ocsf" {
				return &usageError{fmt.Errorf("--format: %q is not ocsf", format)}
			}
			return h.check(cmd.Flags())
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return h.tell(cmd, newOCSFWriter) },
	}
	h.flags(cmd.Flags())
	cmd.Flags().StringVar(&format, "format", "ocsf", "form of the events: ocsf")
	return cmd
}

// newOCSFWriter gives what writes a history in OCSF.
func newOCSFWriter(w *bufio.Writer, from *opened) (replay.Writer, error) {
	return ocsf.NewWriter(w, version(), func() string { return from.source }), nil
}
