package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/client"
	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/audit"
)

// newExportCommand gives the command that exports a ledger.
func newExportCommand(env environment) *cobra.Command {
	var c connection
	var x exporter
	var o ocsfExport
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the whole history to a file that can be verified and restored",
		Long: "Write every event of the ledger, one CloudEvent a line, with what is needed to verify the file offline and to\n" +
			"restore the ledger from it. A file that is there is continued: after an interruption where its last whole line\n" +
			"ends, and a whole one with what came since. The token needs the scopes ledger:audit and ledger:events:read, and a key\n" +
			"without an owner.\n\n" +
			"The file holds the digests of all tokens, and personal data that is not erased yet: keep it like the ledger itself.\n\n" +
			o.help(),
		Example: "  keyledger audit export -o ledger.ndjson\n  keyledger audit export --from 1000 --to 2000 | gzip > part.ndjson.gz\n" +
			"  keyledger audit export --format ocsf --workspace acme > acme.ocsf.ndjson",
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error { return env.apply(cmd.Flags()) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if x.from == 0 || x.to != 0 && x.to < x.from {
				return &usageError{errors.New("--from is at least 1, and --to not before it")}
			}
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			if o.chosen() {
				o.connection, o.wanted.From, o.wanted.To = c, x.from, x.to
				return o.run(cmd, x.file)
			}
			var err error
			if x.client, err = c.open(); err != nil {
				return err
			}
			x.fromGiven = cmd.Flags().Changed("from")
			x.progress = &progress{stderr: cmd.ErrOrStderr()}
			return x.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	c.flags(flags)
	o.flags(flags)
	flags.StringVarP(&x.file, "output", "o", "", "file to write, or to continue (default: standard output)")
	flags.Uint64Var(&x.from, "from", 1, "sequence of the first event")
	flags.Uint64Var(&x.to, "to", 0, "sequence of the last event (default: the last one of the signed head)")
	return cmd
}

// exporter writes one export.
type exporter struct {
	client    *client.Client
	progress  *progress
	file      string
	from, to  uint64
	fromGiven bool

	head   *serverHead
	hashes tlog.HashReader // of the tree of head, verified against it
	tree   *audit.Tree     // of what is written

	late bool // what was there was written before personal data of it was erased
}

func (x *exporter) run(ctx context.Context, stdout, stderr io.Writer) error {
	var err error
	if x.head, err = readHead(ctx, x.client, ""); err != nil {
		return err
	}
	x.hashes = x.client.Hashes(ctx, tlog.Tree{N: int64(x.head.Size), Hash: x.head.Root})
	if x.file == "" {
		return x.write(ctx, stdout, nil)
	}
	f, err := os.OpenFile(x.file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return &usageError{err}
	}
	err = x.writeFile(ctx, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if x.late {
		fmt.Fprintf(stderr, "%s was begun before personal data was erased, and still has what its first lines told: delete it and export anew\n", x.file)
	}
	_, err = fmt.Fprintf(stderr, "%s has events %d to %d of %s, up to a signed head of %d\n", x.file, x.from, x.tree.Size(), x.head.Origin, x.head.Size)
	return err
}

// writeFile writes a file, or what it lacks.
func (x *exporter) writeFile(ctx context.Context, f *os.File) error {
	begun, err := readBegun(f, x.progress)
	if err != nil {
		return fmt.Errorf("%s cannot be continued: %w", x.file, err)
	}
	if begun != nil {
		if err := x.join(begun); err != nil {
			return fmt.Errorf("%s cannot be continued: %w", x.file, err)
		}
		if begun.complete && begun.tree.Size() == x.end() && begun.size == x.head.Size {
			return nil
		}
	}
	offset := int64(0)
	if begun != nil {
		offset = begun.offset
	}
	if err := f.Truncate(offset); err != nil {
		return err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	return x.write(ctx, f, begun)
}

// end is the sequence of the last event to write.
func (x *exporter) end() uint64 {
	if x.to == 0 {
		return x.head.Size
	}
	return x.to
}

// join makes the export the continuation of what is in a file, if that is the beginning of the same.
func (x *exporter) join(b *begun) error {
	switch size := b.tree.Size(); {
	case b.header.VerifierKey != x.head.key || b.header.Source != x.head.source:
		return fmt.Errorf("it is of the ledger %s (%s), and the server's is %s (%s)", b.header.Source, b.header.VerifierKey, x.head.source, x.head.key)
	case x.fromGiven && x.from != b.header.From:
		return fmt.Errorf("it begins at event %d", b.header.From)
	case b.header.Version != audit.Version:
		return fmt.Errorf("it has version %d of the format, and this program writes version %d: export to another file", b.header.Version, audit.Version)
	case size > x.end():
		return fmt.Errorf("it has events up to %d, and up to %d was asked for or is there", size, x.end())
	}
	x.from, x.tree = b.header.From, b.tree
	root, err := tlog.TreeHash(int64(b.tree.Size()), x.hashes)
	if err != nil {
		return err
	}
	own, err := b.tree.Root(b.tree.Size(), nil)
	if err == nil && own != root {
		err = fmt.Errorf("%w: the root of its first %d events is %s, and that of the server's %s", ledger.ErrDiverged, b.tree.Size(), own, root)
	}
	return err
}

// write writes the export to w, or what comes after what was begun.
func (x *exporter) write(ctx context.Context, w io.Writer, b *begun) (err error) {
	if x.from > x.head.Size+1 || x.to > x.head.Size {
		return &usageError{fmt.Errorf("the signed head has %d events", x.head.Size)}
	}
	out := bufio.NewWriterSize(w, 1<<18)
	defer func() { err = errors.Join(err, out.Flush()) }() // whole lines stay
	var lines *audit.Writer
	if b != nil {
		lines = audit.ContinueWriter(out, &b.header, b.tree.Size()+1)
	} else if lines, err = x.begin(out); err != nil {
		return err
	}
	if err := x.writeEvents(ctx, lines, b != nil); err != nil {
		return err
	}
	return x.finish(ctx, lines)
}

// writeEvents writes the lines of the events. Their leaves are sealed, so the server tells what they say.
func (x *exporter) writeEvents(ctx context.Context, lines *audit.Writer, continued bool) error {
	first := x.tree.Size() + 1
	told := newTelling(ctx, x.client, first)
	defer told.stop()
	for leaf, err := range x.client.Leaves(ctx, first, x.end()) {
		if err != nil {
			return err
		}
		m, err := events.ParseLeaf(leaf)
		if err != nil {
			return err
		}
		opener, err := told.of(&m)
		if err != nil {
			return err
		}
		if err := lines.Append(leaf, opener); err != nil {
			return err
		}
		if err := x.tree.Add(tlog.RecordHash(leaf)); err != nil {
			return err
		}
		x.late = x.late || continued && m.Type == events.OwnerErased
		if size := x.tree.Size(); size%client.TileWidth == 0 || size == x.end() {
			x.progress.show("exporting", size-first+1, x.end()-first+1)
		}
	}
	return nil
}

// writeSecrets writes what personal data is sealed with, if the whole ledger is in the file: so that it can be restored.
func (x *exporter) writeSecrets(ctx context.Context, lines *audit.Writer) error {
	if x.from > 1 || x.tree.Size() < x.head.Size {
		return nil
	}
	for s, err := range x.client.Secrets(ctx) {
		if err != nil {
			return err
		}
		if err := lines.Secret(audit.Secret(s)); err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) begin(w io.Writer) (*audit.Writer, error) {
	before, err := audit.Cover(0, x.from-1, x.hashes)
	if err != nil {
		return nil, err
	}
	if x.tree, err = audit.NewTree(x.from, before); err != nil {
		return nil, err
	}
	return audit.NewWriter(w, audit.Header{
		Origin: x.head.Origin, Source: x.head.source, VerifierKey: x.head.key, From: x.from, Before: before,
	})
}

// finish writes the secrets and the footer, unless what was written is not what the head says.
func (x *exporter) finish(ctx context.Context, lines *audit.Writer) error {
	after, err := audit.Cover(x.tree.Size(), x.head.Size, x.hashes)
	if err != nil {
		return err
	}
	root, err := x.tree.Root(x.head.Size, after)
	if err != nil {
		return err
	}
	if root != x.head.Root {
		return fmt.Errorf("%w: the root of the events that the server gave is %s, and its signed head says %s", ledger.ErrDiverged, root, x.head.Root)
	}
	if err := x.writeSecrets(ctx, lines); err != nil {
		return err
	}
	return lines.Close(audit.Footer{Checkpoint: string(x.head.checkpoint), After: after})
}

// begun is an export that is there already.
type begun struct {
	header   audit.Header
	tree     *audit.Tree
	offset   int64 // where it is continued
	complete bool
	size     uint64 // of the head that it ends with, if it is complete
}

// readBegun reads what was begun, nil when that is nothing.
func readBegun(f *os.File, progress *progress) (*begun, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	r, err := audit.NewReader(f)
	if errors.Is(err, io.ErrUnexpectedEOF) && info.Size() < audit.MaxLine {
		return nil, isBeginning(f)
	} else if err != nil {
		return nil, err
	}
	b := &begun{header: *r.Header()}
	if b.tree, err = audit.NewTree(b.header.From, b.header.Before); err != nil {
		return nil, err
	}
	for record, err := range r.Records() {
		if errors.Is(err, audit.ErrInterrupted) {
			break
		}
		if err == nil {
			err = b.add(&record)
		}
		if err != nil {
			return nil, err
		}
		if record.Number%(1<<12) == 0 {
			progress.show("reading what is there", uint64(r.Offset()), uint64(info.Size()))
		}
	}
	progress.show("reading what is there", uint64(info.Size()), uint64(info.Size()))
	b.offset = r.Offset()
	if footer := r.Footer(); footer != nil {
		b.complete = true
		if head, err := ledger.OpenHead([]byte(footer.Checkpoint), b.header.VerifierKey); err == nil {
			b.size = head.Size
		}
	}
	return b, nil
}

func (b *begun) add(record *audit.Record) error {
	leaf, err := record.Leaf()
	if err != nil {
		return &audit.LineError{Number: record.Number, Err: err}
	}
	return b.tree.Add(tlog.RecordHash(leaf))
}

// isBeginning refuses a file that is not the beginning of a first line.
func isBeginning(f *os.File) error {
	start := []byte(`{"format":"` + audit.Format + `"`)
	text := make([]byte, len(start))
	n, err := f.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(text[:n]) != string(start[:n]) {
		return errors.New("it is not an export of a ledger")
	}
	return nil
}
