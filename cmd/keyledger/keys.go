package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keyledger/client"
)

// keysCommand is what the keys commands share.
type keysCommand struct {
	connection
	output string
}

// newKeysCommand gives the commands about keys. They talk to a server through package client.
func newKeysCommand(env environment) *cobra.Command {
	k := &keysCommand{}
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Create, list, show, change, rotate, revoke and verify keys",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := cmd.PersistentFlags()
	k.flags(flags)
	flags.StringVarP(&k.output, "output", "o", "table", "form of the answer: table or json")
	cmd.AddCommand(
		k.createCommand(),
		k.listCommand(),
		k.showCommand(),
		k.updateCommand(),
		k.rotateCommand(),
		k.stateCommand("disable", "Make a key invalid until it is enabled again", (*client.Client).DisableKey),
		k.stateCommand("enable", "Make a disabled key valid again", (*client.Client).EnableKey),
		k.revokeCommand(),
		k.verifyCommand(),
	)
	for _, sub := range cmd.Commands() {
		sub.PreRunE = func(sub *cobra.Command, _ []string) error {
			return errors.Join(env.apply(flags), tableOrJSON(k.output))
		}
	}
	return cmd
}

func (k *keysCommand) createCommand() *cobra.Command {
	var in client.CreateKey
	var metadata, tokenFrom string
	var notBefore, expires moment
	cmd := &cobra.Command{
		Use:     "create",
		Short:   "Create a key and show its token, once",
		Example: "  keyledger keys create --name ci --workspace acme --scope deploy --scope read --expires 90d",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in.Metadata = json.RawMessage(metadata)
			in.NotBefore, in.ExpiresAt = notBefore.time(), expires.time()
			if metadata != "" && !json.Valid(in.Metadata) {
				return &usageError{fmt.Errorf("--metadata is not JSON")}
			}
			var err error
			if in.Token, err = bring(cmd, tokenFrom); err != nil {
				return err
			}
			c, err := k.open()
			if err != nil {
				return err
			}
			issued, err := c.CreateKey(cmd.Context(), in)
			if err != nil {
				return err
			}
			return k.printIssued(cmd.OutOrStdout(), &issued)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Name, "name", "", "name of the key")
	flags.StringVar(&in.WorkspaceID, "workspace", "", "workspace that owns it")
	flags.StringVar(&in.OrgID, "org", "", "organisation that owns it")
	flags.StringVar(&in.AgentID, "agent", "", "agent that owns it")
	flags.StringVar(&in.AgentName, "agent-name", "", "name of the agent")
	flags.StringVar(&in.PeerID, "peer", "", "peer that owns it")
	flags.StringVar(&in.SessionID, "session", "", "session that owns it")
	flags.StringSliceVar(&in.Scopes, "scope", nil, "scope it holds; may be given more than once")
	flags.StringVar(&in.Environment, "environment", "", "live or test (default live)")
	flags.StringVar(&in.Type, "type", "", "internal, external, github or slack (default external)")
	flags.StringVar(&metadata, "metadata", "", "JSON object of at most 4 KiB")
	flags.Var(&notBefore, "not-before", "when it becomes valid: a time (RFC 3339), or from now (12h, 30d)")
	flags.Var(&expires, "expires", "when it ends: a time (RFC 3339), or from now (12h, 30d)")
	flags.StringVar(&tokenFrom, "bring", "", "file that holds an own token for it, - for standard input")
	return cmd
}

func (k *keysCommand) showCommand() *cobra.Command {
	at, asOf := moment{past: true}, client.AsOf{}
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a key, as it is or as it was",
		Example: "  keyledger keys show 0198a5c4-3f4e-7c21-9a3e-5f2f6f0e8fe2 --at 30d",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := k.open()
			if err != nil {
				return err
			}
			asOf.Time = at.time()
			key, err := c.KeyAsOf(cmd.Context(), args[0], asOf)
			if err != nil {
				return err
			}
			return k.printKey(cmd.OutOrStdout(), &key)
		},
	}
	asOfFlags(cmd.Flags(), &at, &asOf)
	return cmd
}

func (k *keysCommand) updateCommand() *cobra.Command {
	var name, metadata string
	var scopes []string
	var expires moment
	var sequence uint64
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change a key's name, scopes, metadata or expiry",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := update(cmd.Flags(), name, scopes, metadata, &expires)
			if err != nil {
				return err
			}
			c, err := k.open()
			if err != nil {
				return err
			}
			var options []client.CallOption
			if sequence > 0 {
				options = append(options, client.IfSequence(sequence))
			}
			key, err := c.UpdateKey(cmd.Context(), args[0], in, options...)
			if err != nil {
				return err
			}
			return k.printKey(cmd.OutOrStdout(), &key)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "new name")
	flags.StringSliceVar(&scopes, "scope", nil, "new scopes, in place of all it had; may be given more than once")
	flags.StringVar(&metadata, "metadata", "", "new metadata, a JSON object; {} empties it")
	flags.Var(&expires, "expires", "when it ends: a time (RFC 3339), from now (12h, 30d), or never")
	flags.Uint64Var(&sequence, "if-sequence", 0, "change it only if its sequence is still this")
	return cmd
}

// update makes the input of an update from the flags that were given.
func update(flags *pflag.FlagSet, name string, scopes []string, metadata string, expires *moment) (client.UpdateKey, error) {
	var in client.UpdateKey
	if flags.Changed("name") {
		in.Name = &name
	}
	if flags.Changed("scope") {
		in.Scopes = &scopes
	}
	if flags.Changed("metadata") {
		raw := json.RawMessage(metadata)
		if !json.Valid(raw) {
			return in, &usageError{fmt.Errorf("--metadata is not JSON")}
		}
		in.Metadata = &raw
	}
	if flags.Changed("expires") {
		t := expires.time()
		in.ExpiresAt = &t
	}
	if in == (client.UpdateKey{}) {
		return in, &usageError{fmt.Errorf("nothing to change: give --name, --scope, --metadata or --expires")}
	}
	return in, nil
}

func (k *keysCommand) rotateCommand() *cobra.Command {
	var grace span
	var expires moment
	var tokenFrom string
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a key a new token and show it, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := client.RotateKey{Grace: grace.duration()}
			if cmd.Flags().Changed("expires") {
				t := expires.time()
				in.ExpiresAt = &t
			}
			var err error
			if in.Token, err = bring(cmd, tokenFrom); err != nil {
				return err
			}
			c, err := k.open()
			if err != nil {
				return err
			}
			issued, err := c.RotateKey(cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			return k.printIssued(cmd.OutOrStdout(), &issued)
		},
	}
	flags := cmd.Flags()
	flags.Var(&grace, "grace", "how long the old token stays valid, at most 7d (default 0: it ends at once)")
	flags.Var(&expires, "expires", "new end of the key: a time (RFC 3339), from now (12h, 30d), or never")
	flags.StringVar(&tokenFrom, "bring", "", "file that holds the new token, - for standard input")
	return cmd
}

func (k *keysCommand) revokeCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke a key for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := k.open()
			if err != nil {
				return err
			}
			key, err := c.RevokeKey(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return k.printKey(cmd.OutOrStdout(), &key)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}

// stateCommand is a command that needs the id of a key only.
func (k *keysCommand) stateCommand(name, short string,
	do func(*client.Client, context.Context, string, ...client.CallOption) (client.Key, error)) *cobra.Command {
	return &cobra.Command{
		Use:   name + " ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := k.open()
			if err != nil {
				return err
			}
			key, err := do(c, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return k.printKey(cmd.OutOrStdout(), &key)
		},
	}
}

func (k *keysCommand) verifyCommand() *cobra.Command {
	var in client.Verify
	var from string
	cmd := &cobra.Command{
		Use:   "verify [KEY-TOKEN]",
		Short: "Tell whether a token is valid, and count its use",
		Long: "Tell whether a token is valid, and count its use. Arguments are seen by other users of this machine, so prefer\n" +
			"to give the token on standard input or, with --from, in a file. The exit code is 0 when it is valid, else 5.",
		Example: "  keyledger keys verify --scope deploy < token.txt",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if len(args) == 1 {
				in.Token = client.NewToken(args[0])
			} else if in.Token, err = bring(cmd, from); err != nil {
				return err
			}
			c, err := k.open()
			if err != nil {
				return err
			}
			v, err := c.Verify(cmd.Context(), in)
			if err != nil {
				return err
			}
			return k.printVerification(cmd.OutOrStdout(), &v)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "-", "file that holds the token, - for standard input")
	flags.StringSliceVar(&in.Scopes, "scope", nil, "scope it must hold; may be given more than once")
	flags.StringVar(&in.Environment, "environment", "", "environment it must be of")
	flags.StringVar(&in.WorkspaceID, "workspace", "", "workspace that must own it")
	flags.StringVar(&in.OrgID, "org", "", "organisation that must own it")
	flags.StringVar(&in.AgentID, "agent", "", "agent that must own it")
	flags.StringVar(&in.PeerID, "peer", "", "peer that must own it")
	flags.StringVar(&in.SessionID, "session", "", "session that must own it")
	return cmd
}

// bring reads a token from a file, from standard input for "-". No file, no token.
func bring(cmd *cobra.Command, file string) (client.Token, error) {
	if file == "" {
		return client.Token{}, nil
	}
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return client.Token{}, &usageError{err}
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, 64<<10)).ReadString('\n')
	if err != nil && err != io.EOF {
		return client.Token{}, fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimRight(line, "\r\n")
	if token == "" {
		return client.Token{}, &usageError{errors.New("no token was given")}
	}
	return client.NewToken(token), nil
}

// tableOrJSON checks an --output.
func tableOrJSON(output string) error {
	if output != "table" && output != "json" {
		return &usageError{fmt.Errorf("--output: %q is neither table nor json", output)}
	}
	return nil
}
