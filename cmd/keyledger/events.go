package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyledger/client"
)

// newEventsCommand gives the commands about events. They talk to a server through package client.
func newEventsCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Follow what happens",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTailCommand(env))
	return cmd
}

// newTailCommand gives the command that shows events as they happen.
func newTailCommand(env environment) *cobra.Command {
	var c connection
	var filter client.EventFilter
	var from uint64
	var output string
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show events as they happen, and those that there were",
		Long: "Show events as they happen. A lost connection is made again, and nothing is shown twice or left out.\n" +
			"JSON is one CloudEvent a line.",
		Example: "  keyledger events tail --workspace acme --type key.revoked\n  keyledger events tail --from 1 --until-now -o json",
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			return errors.Join(env.apply(cmd.Flags()), tableOrJSON(output))
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.open()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("from") && !filter.UntilNow {
				from = client.Now
			}
			filter.Lost = func(err error) { fmt.Fprintf(cmd.ErrOrStderr(), "the connection is lost, and made again: %v\n", err) }
			return tail(cmd.Context(), cl, filter, from, output, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	c.flags(flags)
	flags.StringVarP(&output, "output", "o", "table", "form of the events: table or json")
	flags.Uint64Var(&from, "from", 0, "first sequence (default: from now on; with --until-now from the first)")
	flags.BoolVar(&filter.UntilNow, "until-now", false, "end where the ledger ends now")
	flags.StringSliceVar(&filter.Types, "type", nil, "type of the events, such as key.revoked; may be given more than once")
	flags.StringVar(&filter.WorkspaceID, "workspace", "", "workspace that they are about")
	flags.StringVar(&filter.OrgID, "org", "", "organisation that they are about")
	flags.StringVar(&filter.AgentID, "agent", "", "agent that they are about")
	return cmd
}

// tail shows events until they end, or ctx does, which is no error.
func tail(ctx context.Context, c *client.Client, filter client.EventFilter, from uint64, output string, w io.Writer) error {
	for e, err := range c.Subscribe(ctx, filter, from) {
		switch {
		case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return nil
		case err != nil:
			return err
		}
		if err := showEvent(w, &e, output); err != nil {
			return err
		}
	}
	return nil
}

// showEvent writes one line.
func showEvent(w io.Writer, e *client.Event, output string) error {
	if output == "json" {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", line)
		return err
	}
	_, err := fmt.Fprintf(w, "%-8d  %s  %-16s  %s%s\n", e.Sequence, e.Time.UTC().Format(time.RFC3339),
		plain(strings.TrimPrefix(e.Type, "keyledger.")), plain(e.Subject), details(e))
	return err
}

// details are what an event says that a line has room for.
func details(e *client.Event) string {
	key, err := e.Key()
	if err != nil {
		return "" // it is about something else
	}
	var b strings.Builder
	add := func(name string, value *string) {
		if value != nil && *value != "" {
			fmt.Fprintf(&b, "  %s=%s", name, plain(*value))
		}
	}
	add("name", key.Name)
	add("workspace", key.WorkspaceID)
	add("org", key.OrgID)
	add("agent", key.AgentID)
	if key.Scopes != nil {
		scopes := strings.Join(*key.Scopes, ",")
		add("scopes", &scopes)
	}
	if key.ExpiresAt.Said {
		end := date(key.ExpiresAt.Time, "")
		add("expires", &end)
	}
	add("reason", key.Reason)
	return b.String()
}
