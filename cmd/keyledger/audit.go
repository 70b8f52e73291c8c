package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keyledger/client"
	"keyledger/ledger"
)

// newAuditCommand gives the commands of auditors and of those whom they audit, and of backup and restore.
func newAuditCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Tell, export, verify and restore the history, tell who read it, and erase personal data",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newReplayCommand(env), newExportCommand(env), newVerifyCommand(env), newImportCommand(env), newAuditReadsCommand(env),
		newEraseCommand(env))
	return cmd
}

// serverHead is what a server says of its ledger: a head whose signature was verified, and by which key.
type serverHead struct {
	ledger.Head
	checkpoint []byte
	source     string
	key        string
}

// readHead reads the head of a server's ledger and verifies its signature with key, or with the server's own when that is
// empty.
func readHead(ctx context.Context, c *client.Client, key string) (*serverHead, error) {
	h := &serverHead{key: key}
	var err error
	if key == "" {
		if h.key, err = c.VerifierKey(ctx); err != nil {
			return nil, err
		}
	}
	if h.checkpoint, h.source, err = c.Checkpoint(ctx); err != nil {
		return nil, err
	}
	if h.Head, err = ledger.OpenHead(h.checkpoint, h.key); err != nil {
		return nil, fmt.Errorf("%w: the head of the server is not signed by %s: %w", ledger.ErrDiverged, h.key, err)
	}
	if h.source == "" { // something between has dropped it
		h.source = "/" + h.Origin
	}
	return h, nil
}

// verifierKey gives the verifier key of the flags --key and --key-file, empty when neither is given.
func verifierKey(value, file string) (string, error) {
	key, err := secretOf("key", value, file)
	return strings.TrimSpace(key), err
}

// openExport opens the file of an export; "-" is standard input, where there is one to read.
func openExport(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" && stdin != nil {
		return io.NopCloser(stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &usageError{err}
	}
	return f, nil
}

// errFindings are the ends of audit verify that are no failure of keyledger itself.
var (
	errFoundErrors   = errors.New("the history is not as it must be")
	errFoundWarnings = errors.New("there are warnings")
)
