package main

import (
	"github.com/spf13/cobra"

	"keyledger/client"
)

func (k *keysCommand) listCommand() *cobra.Command {
	var q client.KeyQuery
	var status string
	usedBefore, unusedSince := moment{past: true}, moment{past: true}
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List keys, newest first",
		Example: "  keyledger keys list --workspace acme --status active --limit 0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.Status = client.Status(status)
			q.UsedBefore, q.UnusedSince = usedBefore.time(), unusedSince.time()
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
	flags.IntVar(&limit, "limit", 100, "how many at most; 0 is all")
	return cmd
}
