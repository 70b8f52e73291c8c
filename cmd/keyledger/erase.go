package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"keyledger/client"
)

// eraseCommand destroys personal data.
type eraseCommand struct {
	connection
	workspace, key, output string
	yes                    bool
}

// newEraseCommand gives the command that destroys personal data.
func newEraseCommand(env environment) *cobra.Command {
	e := &eraseCommand{}
	cmd := &cobra.Command{
		Use:   "erase (--workspace W | --key ID)",
		Short: "Destroy the personal data of a workspace or of a key, for good",
		Long: "Destroy the personal data of a workspace or of a key: names, metadata, reasons, and where requests came from. It reads\n" +
			"\"erased\" from then on, everywhere and for good; events, counts and proofs stay. Keys stay what they are.\n" +
			"It asks before it does so, unless --yes is given.",
		Example: "  keyledger audit erase --workspace acme",
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := env.apply(cmd.Flags()); err != nil {
				return err
			}
			return e.check()
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return e.run(cmd) },
	}
	flags := cmd.Flags()
	e.flags(flags)
	flags.StringVarP(&e.output, "output", "o", "table", "form of the answer: table or json")
	flags.StringVar(&e.workspace, "workspace", "", "workspace whose personal data is destroyed")
	flags.StringVar(&e.key, "key", "", "id of the key whose personal data is destroyed")
	flags.BoolVar(&e.yes, "yes", false, "do not ask")
	return cmd
}

func (e *eraseCommand) check() error {
	if e.output != "table" && e.output != "json" {
		return &usageError{fmt.Errorf("--output: %q is neither table nor json", e.output)}
	}
	if (e.workspace == "") == (e.key == "") {
		return &usageError{errors.New("give either --workspace or --key")}
	}
	return nil
}

func (e *eraseCommand) run(cmd *cobra.Command) error {
	if err := e.confirm(cmd); err != nil {
		return err
	}
	c, err := e.open()
	if err != nil {
		return err
	}
	if e.key != "" {
		key, err := c.EraseKey(cmd.Context(), e.key)
		if err != nil {
			return err
		}
		return (&keysCommand{output: e.output}).printKey(cmd.OutOrStdout(), &key)
	}
	erasure, err := c.EraseWorkspace(cmd.Context(), e.workspace)
	if err != nil {
		return err
	}
	return e.print(cmd.OutOrStdout(), &erasure)
}

func (e *eraseCommand) print(w io.Writer, x *client.Erasure) error {
	if e.output == "json" {
		return json.NewEncoder(w).Encode(x)
	}
	_, err := fmt.Fprintf(w, "workspace %s: personal data erased at %s, event %d\n",
		plain(x.WorkspaceID), x.ErasedAt.UTC().Format(time.RFC3339), x.Sequence)
	return err
}

// confirm asks whoever sits at the terminal. Without a terminal, --yes must say it.
func (e *eraseCommand) confirm(cmd *cobra.Command) error {
	if e.yes {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return &usageError{errors.New("this cannot be undone: give --yes where nobody can be asked")}
	}
	what, answer := "of the key "+e.key, e.key
	if e.key == "" {
		what, answer = "of all that belongs to the workspace "+e.workspace, e.workspace
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "This destroys the personal data %s, for good. Type %s to go on: ", plain(what), plain(answer))
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if line != answer+"\n" {
		return &usageError{errors.New("nothing was erased")}
	}
	return nil
}
