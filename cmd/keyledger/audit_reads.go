package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"keyledger/client"
)

// newAuditReadsCommand gives the command that shows who read what.
func newAuditReadsCommand(env environment) *cobra.Command {
	var c connection
	var q client.ReadQuery
	from, until := moment{past: true}, moment{past: true}
	var output string
	cmd := &cobra.Command{
		Use:   "reads",
		Short: "Show who read what through the API",
		Long: "Show who read what through the API, the oldest first, where the server records it (serve --audit-reads).\n" +
			"JSON is one read a line.",
		Example: "  keyledger audit reads --from 7d\n  keyledger audit reads --key 0198a5c4-3f4e-7c21-9a3e-5f2f6f0e8fe2 -o json",
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			return errors.Join(env.apply(cmd.Flags()), tableOrJSON(output))
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.open()
			if err != nil {
				return err
			}
			q.From, q.Until = from.time(), until.time()
			for r, err := range cl.Reads(cmd.Context(), q) {
				if err != nil {
					return err
				}
				if err := showRead(cmd.OutOrStdout(), &r, output); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	c.flags(flags)
	flags.StringVarP(&output, "output", "o", "table", "form of the reads: table or json")
	flags.StringVar(&q.Actor, "actor", "", "only by this key id, or name of who acts without a key")
	flags.StringVar(&q.KeyID, "key", "", "only of this key by itself")
	flags.Var(&from, "from", "only at or after this: a time (RFC 3339), or that long ago (7d)")
	flags.Var(&until, "until", "only before this: a time (RFC 3339), or that long ago (7d)")
	return cmd
}

// showRead writes one line.
func showRead(w io.Writer, r *client.Read, output string) error {
	if output == "json" {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", line)
		return err
	}
	line := fmt.Sprintf("%s  %-36s  %d  %s", r.Time.UTC().Format(time.RFC3339), plain(r.Actor), r.Status, plain(r.Route))
	for _, part := range []struct{ name, value string }{{"key", r.KeyID}, {"query", r.Query}, {"ip", r.IP}, {"request", r.RequestID}} {
		if part.value != "" {
			line += "  " + part.name + "=" + plain(part.value)
		}
	}
	_, err := fmt.Fprintln(w, line)
	return err
}
