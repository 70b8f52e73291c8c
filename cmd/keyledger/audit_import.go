package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/audit"
	"keyledger/ledger/jetstream"
)

// importFile is in a data folder while an import into it is not finished: serve refuses it then.
const importFile = "import.unfinished"

// newImportCommand gives the command that restores a ledger from an export.
func newImportCommand(env environment) *cobra.Command {
	x := importer{}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Restore a ledger from an export, into an empty data folder",
		Long: "Verify an export of a whole ledger, store its events in the empty ledger of a data folder, with the sequences, ids, times,\n" +
			"subjects and bodies they had, and prove that the root is that of the signed head in the file. No server may run on the\n" +
			"folder. An import that is interrupted is continued by the same command; serve refuses the folder before it is finished.\n\n" +
			"The ledger needs the secret that it had: in server.secret in the folder, or with --secret-file. With another one heads\n" +
			"are signed by another key, the secrets of webhooks change, and personal data stays sealed; --new-secret says that this is meant.",
		Example: "  keyledger audit import ledger.ndjson --data ./restored --key-file ledger.key --secret-file server.secret",
		Args:    cobra.ExactArgs(1),
		PreRunE: func(cmd *cobra.Command, _ []string) error { return env.apply(cmd.Flags()) },
		RunE: func(cmd *cobra.Command, args []string) error {
			x.name, x.stderr = args[0], cmd.ErrOrStderr()
			x.progress = &progress{stderr: x.stderr}
			if err := x.prepare(); err != nil {
				return err
			}
			return x.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&x.config.data, "data", "./data", "data folder to restore into")
	flags.StringVar(&x.givenKey, "key", "", "key that verifies heads, as you noted it")
	flags.StringVar(&x.keyFile, "key-file", "", "file that holds this key")
	flags.StringVar(&x.config.secret, "secret", "", "secret of the ledger")
	flags.StringVar(&x.config.secretFile, "secret-file", "", "file that holds the secret")
	flags.StringVar(&x.config.signingKey, "signing-key", "", "seed of the key that signs heads, if it does not follow from the secret")
	flags.StringVar(&x.config.signingKeyFile, "signing-key-file", "", "file that holds this seed")
	flags.BoolVar(&x.newSecret, "new-secret", false, "restore with another secret than the ledger had")
	return cmd
}

// importer restores one ledger.
type importer struct {
	config            config
	name              string
	givenKey, keyFile string
	newSecret         bool
	stderr            io.Writer
	progress          *progress

	key    string
	head   ledger.Head // of the file, which the ledger must come to have
	header audit.Header
	note   string

	secrets int // of personal data, that were restored
}

func (x *importer) prepare() (err error) {
	if x.key, err = verifierKey(x.givenKey, x.keyFile); err != nil {
		return err
	}
	c := &x.config
	if c.secret, err = secretOf("secret", c.secret, c.secretFile); err != nil {
		return err
	}
	if c.signingKey, err = secretOf("signing-key", c.signingKey, c.signingKeyFile); err != nil {
		return err
	}
	switch {
	case c.secret != "" && len(c.secret) < secretLeast:
		return &usageError{fmt.Errorf("--secret needs at least %d characters", secretLeast)}
	case c.signingKey != "" && !isSeed(c.signingKey):
		return &usageError{errors.New("--signing-key is not the base64 form of 32 bytes")}
	}
	return nil
}

func (x *importer) run(ctx context.Context, stdout io.Writer) (err error) {
	file, err := openExport(x.name, nil)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := x.verify(ctx, file); err != nil {
		return err
	}
	n := newNode(&x.config, x.stderr)
	n.progress = x.progress
	defer func() { err = errors.Join(err, n.undo.run(context.WithoutCancel(ctx))) }()
	if err := x.takeFolder(n); err != nil {
		return err
	}
	if err := n.openLedger(ctx); err != nil {
		return err
	}
	if err := x.mark(ctx, n); err != nil {
		return err
	}
	if err := x.restore(ctx, n.events); err != nil {
		return err
	}
	if err := x.prove(ctx, n); err != nil {
		return err
	}
	if err := x.finish(n); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s holds the %d events of %s, and their root is that of the signed head: %s\n", x.config.data, x.head.Size, x.head.Origin, x.head.Root)
	return err
}

// verify verifies the file before anything is stored: it must be a whole and right history.
func (x *importer) verify(ctx context.Context, file io.Reader) error {
	v := verifier{out: x.stderr, progress: x.progress, key: x.key}
	err := v.file(ctx, file)
	if err != nil && !errors.Is(err, errFoundWarnings) {
		return fmt.Errorf("%s is not restored: %w", x.name, err)
	}
	x.header, x.head, x.note = v.header, v.head, v.note
	switch {
	case x.header.From != 1:
		return &usageError{fmt.Errorf("%s is not a whole ledger: it begins with event %d", x.name, x.header.From)}
	case v.read != x.head.Size:
		return &usageError{fmt.Errorf("%s is not a whole ledger: it ends with event %d, and its head has %d", x.name, v.read, x.head.Size)}
	}
	return nil
}

// takeFolder takes the data folder and the secret.
func (x *importer) takeFolder(n *node) error {
	if err := n.takeFolder(context.Background()); err != nil && !errors.Is(err, errUnfinishedImport) {
		return err
	}
	if _, err := os.Stat(n.folder.file(viewsFolder)); err == nil {
		return &usageError{fmt.Errorf("%s has views of a ledger: restore into an empty folder", x.config.data)}
	}
	content, err := os.ReadFile(n.folder.file(secretFile))
	if errors.Is(err, fs.ErrNotExist) && x.config.secret == "" && !x.newSecret {
		return &usageError{errors.New("the ledger needs the secret that it had: copy server.secret into the folder, or give --secret-file; " +
			"or --new-secret, if it is lost")}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if there := strings.TrimSpace(string(content)); x.config.secret != "" && there != "" && there != x.config.secret {
		return &usageError{fmt.Errorf("%s holds another secret than --secret or --secret-file", n.folder.file(secretFile))}
	}
	if err := n.readSecret(context.Background()); err != nil {
		return err
	}
	if err := x.checkSigner(n); err != nil {
		return err
	}
	if len(content) > 0 {
		return nil
	}
	return n.folder.write(secretFile, n.secret) // serve finds it where it would have made it
}

// checkSigner refuses a secret, or a signing key, that is not that of the ledger.
func (x *importer) checkSigner(n *node) error {
	seed, err := n.signingSeed()
	if err != nil {
		return err
	}
	public, ok := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if !ok {
		return errors.New("no Ed25519 key")
	}
	key, err := note.NewEd25519VerifierKey(x.head.Origin, public)
	if err != nil {
		return err
	}
	if x.keeps(key) || x.newSecret {
		return nil
	}
	return &usageError{fmt.Errorf("the secret, or the signing key, is not that of the ledger: its heads are signed by %s, and would be by %s; "+
		"--new-secret says that this is meant", x.header.VerifierKey, key)}
}

// keeps tells that heads go on being signed by the key that has signed the one in the file.
func (x *importer) keeps(key string) bool {
	_, err := ledger.OpenHead([]byte(x.note), key)
	return err == nil
}

// mark marks the folder, unless that was done by an import of the same file before. A ledger that is not empty is refused.
func (x *importer) mark(ctx context.Context, n *node) error {
	last, err := n.events.Last(ctx)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(n.folder.file(importFile))
	switch {
	case err == nil && string(before) == x.note:
		return nil
	case err == nil:
		return &usageError{fmt.Errorf("an import of another file into %s was not finished: finish that, or begin with an empty folder", x.config.data)}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case last > 0:
		return &usageError{fmt.Errorf("the ledger in %s is not empty: it has %d events", x.config.data, last)}
	}
	return n.folder.write(importFile, x.note[:len(x.note)-1])
}

// importBatch is how many messages are restored at a time.
const importBatch = 1000

// restore stores the events that are not there yet. Those that are there must be those of the file, which prove tells.
func (x *importer) restore(ctx context.Context, log *jetstream.Log) error {
	last, err := log.Last(ctx)
	if err != nil {
		return err
	}
	file, err := openExport(x.name, nil)
	if err != nil {
		return err
	}
	defer file.Close()
	reader, err := audit.NewReader(file)
	if err != nil {
		return err
	}
	if !x.newSecret { // else nothing could open them
		reader.OnSecret(func(s audit.Secret) error { x.secrets++; return log.RestoreSecret(ctx, s.Place, s.Value) })
	}
	batch := make([]events.Message, 0, importBatch)
	store := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := log.Restore(ctx, batch)
		x.progress.show("restoring", batch[len(batch)-1].Sequence, x.head.Size)
		batch = batch[:0]
		return err
	}
	for record, err := range reader.Records() {
		if err != nil {
			return err
		}
		leaf, err := record.Leaf()
		if err != nil {
			return err
		}
		m, err := events.ParseLeaf(leaf)
		if err != nil {
			return err
		}
		if m.Sequence <= last {
			continue
		}
		if batch = append(batch, m); len(batch) == importBatch {
			if err := store(); err != nil {
				return err
			}
		}
	}
	return store()
}

// errProved ends the tail of prove.
var errProved = errors.New("proved")

// prove reads the restored ledger and demands the root of the head, and that the restored secrets fit.
func (x *importer) prove(ctx context.Context, n *node) error {
	log := n.events
	tree, err := audit.NewTree(1, nil)
	if err != nil {
		return err
	}
	last, err := log.Last(ctx)
	if err != nil {
		return err
	}
	var leaf []byte
	err = log.Tail(ctx, 1, func(b ledger.Batch) error {
		for i := range b.Messages {
			leaf = events.AppendLeaf(leaf[:0], &b.Messages[i])
			if err := tree.Add(tlog.RecordHash(leaf)); err != nil {
				return err
			}
			if x.secrets == 0 {
				continue
			}
			if _, err := events.Decode(&b.Messages[i], n.personal); err != nil {
				return fmt.Errorf("%s has secrets of personal data that do not fit: %w", x.name, err)
			}
		}
		x.progress.show("proving", tree.Size(), last)
		if tree.Size() < last {
			return nil
		}
		return errProved
	})
	if !errors.Is(err, errProved) {
		return err
	}
	root, err := tree.Root(tree.Size(), nil)
	if err == nil && (root != x.head.Root || tree.Size() != x.head.Size) {
		err = fmt.Errorf("%w: the root of its %d events is %s, and the head in %s says %s of %d: delete %s and begin again",
			ledger.ErrDiverged, tree.Size(), root, x.name, x.head.Root, x.head.Size, x.config.data)
	}
	return err
}

// finish makes the folder one that can be served. The head of the file is the one that serve compares the ledger with first.
func (x *importer) finish(n *node) error {
	if !x.newSecret {
		if err := n.folder.write(headFile, x.note[:len(x.note)-1]); err != nil {
			return err
		}
	}
	return os.Remove(n.folder.file(importFile))
}
