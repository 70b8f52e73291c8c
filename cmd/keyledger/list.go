package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keyledger/client"
)

func (k *keysCommand) listCommand() *cobra.Command {
	var q client.KeyQuery
	var status string
	usedBefore, unusedSince, at := moment{past: true}, moment{past: true}, moment{past: true}
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List keys, newest first",
		Example: "  keyledger keys list --workspace acme --status active --limit 0\n" +
			"  keyledger keys list --workspace acme --at 2026-01-31T12:00:00Z",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.Status = client.Status(status)
			q.UsedBefore, q.UnusedSince = usedBefore.time(), unusedSince.time()
			q.AsOf.Time = at.time()
			c, err := k.open()
			if err != nil {
				return err
			}
			return k.printKeys(cmd.OutOrStdout(), cmd.ErrOrStderr(), limit, c.Keys(cmd.Context(), q))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.WorkspaceID, "workspace", "", "only of this workspace")
	flags.StringVar(&q.OrgID, "org", "", "only of this organisation")
	flags.StringVar(&q.AgentID, "agent", "", "only of this agent")
	flags.StringVar(&status, "status", "", "only active, scheduled, disabled, expired or revoked ones")
	flags.StringVar(&q.Environment, "environment", "", "only live or test ones")
	flags.StringVar(&q.Type, "type", "", "only of this type")
	flags.StringVar(&q.Scope, "scope", "", "only with this scope")
	flags.StringVar(&q.NamePrefix, "name", "", "only with a name that begins so")
	flags.Var(&usedBefore, "used-before", "only last used before this: a time (RFC 3339), or that long ago (90d)")
	flags.Var(&unusedSince, "unused-since", "only not used since this: a time (RFC 3339), or that long ago (90d)")
	asOfFlags(flags, &at, &q.AsOf)
	flags.IntVar(&limit, "limit", 100, "how many at most; 0 is all")
	return cmd
}

// asOfFlags are the flags that say as of when.
func asOfFlags(flags *pflag.FlagSet, at *moment, asOf *client.AsOf) {
	flags.Var(at, "at", "as it was at this time (RFC 3339), or that long ago (90d)")
	flags.Uint64Var(&asOf.Sequence, "at-seq", 0, "as it was after the event with this sequence")
}
