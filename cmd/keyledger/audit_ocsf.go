package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keyledger/ledger/audit/ocsf"
	"keyledger/ledger/audit/replay"
)

// ocsfExport is audit export --format ocsf.
type ocsfExport struct {
	history
	format string
}

func (*ocsfExport) help() string {
	return "With --format ocsf it is for a SIEM: OCSF " + ocsf.Version + " Entity Management, one JSON object a line, without digests. The token needs\n" +
		"the scope ledger:events:read, and tells what its key may see. A file that is there is replaced."
}

func (o *ocsfExport) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.format, "format", "ndjson", "form of the events: ndjson, which can be verified and restored, or ocsf")
	o.ownerFlags(flags)
	for _, name := range ownerFlagNames() {
		flags.Lookup(name).Usage += " (with --format ocsf)"
	}
}

func ownerFlagNames() []string { return []string{"file", "workspace", "org", "agent"} }

func (o *ocsfExport) chosen() bool { return o.format == "ocsf" }

// check refuses flags that do not go together.
func (o *ocsfExport) check(flags *pflag.FlagSet) error {
	if o.format != "ndjson" && o.format != "ocsf" {
		return &usageError{fmt.Errorf("--format: %q is neither ndjson nor ocsf", o.format)}
	}
	for _, name := range ownerFlagNames() {
		if flags.Changed(name) && !o.chosen() {
			return &usageError{fmt.Errorf("--%s goes with --format ocsf", name)}
		}
	}
	return nil
}

// run writes the history to a file, or to standard output when it has no name.
func (o *ocsfExport) run(cmd *cobra.Command, file string) error {
	newWriter := func(w *bufio.Writer, from *opened) (replay.Writer, error) {
		return ocsf.NewWriter(w, version(), func() string { return from.source }), nil
	}
	if file == "" {
		return o.tell(cmd, cmd.OutOrStdout(), newWriter)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return &usageError{err}
	}
	err = o.tell(cmd, f, newWriter)
	return errors.Join(err, f.Sync(), f.Close())
}
