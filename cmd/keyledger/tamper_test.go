package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"keyledger/client"
	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
)

// pristine is a stopped server's data folder with a ledger of some size, and what an auditor and a client know of it.
type pristine struct {
	data string
	head string // file with the last signed head
	key  string // that verifies it
	size uint64
	keys []ledger.Key // that the digests look up

	note    int // bytes in each creation
	digests []ledger.Digest
	created []*events.Event
}

// newPristine makes a ledger with so many events, of which each fifth revokes a key, and each other one has a note of a
// number of bytes.
func newPristine(t *testing.T, size, note int) *pristine {
	t.Helper()
	p := &pristine{data: filepath.Join(memoryFolder(t), "data"), note: note}
	p.stop(t, p.start(t, p.data)) // makes the secrets and the root key
	s, err := openStore(t.Context(), p.data)
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.log.Last(t.Context())
	if err == nil {
		err = p.fill(t.Context(), s.log, size-int(last))
	}
	s.close()
	if err != nil {
		t.Fatal(err)
	}
	n := p.start(t, p.data)
	defer p.stop(t, n)
	head := n.heads.Latest()
	p.size, p.key, p.head = head.Size, n.heads.VerifierKey(), filepath.Join(t.TempDir(), "head")
	if err := os.WriteFile(p.head, head.Note, 0o600); err != nil || p.size != uint64(size) {
		t.Fatal(p.size, err)
	}
	for _, d := range p.digests {
		k, _, ok, err := n.views.KeyByDigest(d)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		p.keys = append(p.keys, cloned(&k))
	}
	return p
}

// cloned is a key that does not lie in the views.
func cloned(k *ledger.Key) ledger.Key {
	c := *k
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String {
			f.SetString(strings.Clone(f.String()))
		}
	}
	o := &c.Owner
	for _, s := range []*string{&o.Workspace, &o.Org, &o.AgentID, &o.AgentName, &o.Peer, &o.Session} {
		*s = strings.Clone(*s)
	}
	c.Metadata = bytes.Clone(k.Metadata)
	return c
}

// fill appends n events.
func (p *pristine) fill(ctx context.Context, log *jetstream.Log, n int) error {
	var commit []ledger.Entry
	add := func(e *events.Event, expect uint64) error {
		m, err := events.Encode(e, nil)
		m.Sequence = 0
		commit = append(commit, ledger.Entry{Message: m, Expect: expect})
		return err
	}
	last, err := log.Last(ctx)
	for i := 0; err == nil && n > 0; n-- {
		if n%5 == 0 && i > 500 { // a key of a commit before
			old := p.created[len(p.created)-500]
			err = add(&events.Event{
				Header:  events.Header{ID: uuid.New(), Time: time.Now(), Actor: "system"},
				Subject: old.Subject, Payload: &events.Revoked{KeyID: old.Payload.(*events.Created).KeyID, Reason: "old"},
			}, old.Sequence)
		} else {
			var e *events.Event
			if _, e, err = seedEvent(i); err != nil {
				return err
			}
			e.Sequence = last + uint64(len(commit)) + 1
			created := e.Payload.(*events.Created)
			created.Metadata = []byte(`{"note":"` + strings.Repeat("a", p.note) + `"}`)
			p.created, p.digests = append(p.created, e), append(p.digests, created.Digest)
			err = add(e, 0)
		}
		i++
		if err == nil && (len(commit) == 400 || n == 1) {
			last, err = log.Append(ctx, commit...)
			commit = commit[:0]
		}
	}
	return err
}

// outcome is what became of a ledger that was changed.
type outcome struct {
	refused string // why it was not served; empty: it was
	found   string // by audit verify
	clean   bool   // nothing was found
}

// node starts a server on a folder, in this process.
func startNode(ctx context.Context, data string) (*node, *syncBuffer, error) {
	c := &config{}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	c.flags(flags)
	err := errors.Join(flags.Set("data", data), flags.Set("http", "127.0.0.1:0"), flags.Set("root-token", rootToken),
		flags.Set("log-level", "error"), c.check())
	stderr := new(syncBuffer)
	n := newNode(c, stderr)
	if err == nil {
		err = n.start(ctx)
	}
	return n, stderr, err
}

func (p *pristine) start(t *testing.T, data string) *node {
	t.Helper()
	n, stderr, err := startNode(t.Context(), data)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	return n
}

func (p *pristine) stop(t *testing.T, n *node) {
	t.Helper()
	if err := n.undo.run(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// try starts a server on a changed copy, and if it is served verifies it and looks all keys up.
func (p *pristine) try(ctx context.Context, data string) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n, stderr, err := startNode(ctx, data)
	defer func() { err = errors.Join(err, n.undo.run(context.WithoutCancel(ctx))) }()
	if ctx.Err() != nil {
		return o, fmt.Errorf("it does not start and does not say why: %v\n%s", err, stderr)
	}
	if err != nil {
		return outcome{refused: err.Error()}, nil
	}
	if err := p.lookUp(n); err != nil {
		return o, err
	}
	if o.found, err = p.verify(ctx, n.url); err != nil {
		return o, err
	}
	o.clean = o.found == ""
	return o, p.lookUp(n)
}

// lookUp fails if one key is not what it was.
func (p *pristine) lookUp(n *node) error {
	for i, d := range p.digests {
		k, _, ok, err := n.views.KeyByDigest(d)
		if err != nil || !ok || !reflect.DeepEqual(cloned(&k), p.keys[i]) {
			return fmt.Errorf("WRONG: key %d is %v %+v, %v, and was %+v", i, ok, k, err, p.keys[i])
		}
	}
	return nil
}

// verify is audit verify of a server, with the head and the key that were kept.
func (p *pristine) verify(ctx context.Context, url string) (found string, err error) {
	c, err := client.New(url, client.NewToken(rootToken), client.WithRetries(1))
	if err != nil {
		return "", err
	}
	out := new(syncBuffer)
	v := verifier{out: out, progress: &progress{stderr: new(syncBuffer)}, key: p.key, sinceFile: p.head}
	err = v.server(ctx, c)
	switch {
	case err == nil:
		return "", nil
	case exitCode(err) == exitDamaged:
		return out.String() + err.Error(), nil
	}
	return "", err
}

// ledgerFiles are the block files of the stream LEDGER in a folder, with their sizes.
func ledgerFiles(t *testing.T, data string) (files []string, sizes []int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "nats", "jetstream", "*", "streams", jetstream.LedgerStream, "msgs", "*.blk"))
	if err != nil || len(files) == 0 {
		t.Fatal("no block files", err)
	}
	for i, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
		if files[i], err = filepath.Rel(data, file); err != nil {
			t.Fatal(err)
		}
	}
	return files, sizes
}

// change is one change of a copy of a data folder.
type change struct {
	name string
	do   func(data string) error
}

// flips are changes of single bits, spread over the files. A third of them finds the views gone, and half of them finds
// that the server was killed: NATS then reads its files again.
func flips(t *testing.T, data string, count int) (list []change) {
	t.Helper()
	files, sizes := ledgerFiles(t, data)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range count {
		file, offset := files[i%len(files)], rng.Int64N(sizes[i%len(files)])
		bit := byte(1) << rng.IntN(8)
		list = append(list, change{fmt.Sprintf("%s at %d, %08b", filepath.Base(file), offset, bit), func(data string) error {
			return errors.Join(flip(filepath.Join(data, file), offset, bit), forget(data, i%3 == 0, i%2 == 0))
		}})
	}
	return list
}

func flip(file string, offset int64, bit byte) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, offset)
	b[0] ^= bit
	_, wrote := f.WriteAt(b, offset)
	return errors.Join(err, wrote, f.Close())
}

// trust makes what NATS knows of its files newer than they are: a disk that rots does not change times.
func trust(data string) error {
	file, err := indexFile(data)
	now := time.Now()
	return errors.Join(err, os.Chtimes(file, now, now))
}

// forget deletes the views, and what NATS knows of its files.
func forget(data string, views, index bool) (err error) {
	if views {
		err = os.RemoveAll(filepath.Join(data, viewsFolder))
	}
	if index {
		file, absent := indexFile(data)
		if absent == nil {
			err = errors.Join(err, os.Remove(file))
		}
	}
	return err
}

// indexFile is what NATS knows of the files of the stream LEDGER.
func indexFile(data string) (string, error) {
	files, err := filepath.Glob(filepath.Join(data, "nats", "jetstream", "*", "streams", jetstream.LedgerStream, "msgs", "index.db"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("index files %v: %w", files, cmp.Or(err, os.ErrNotExist))
	}
	return files[0], nil
}

// cuts are truncations of block files, and one that is gone.
func cuts(t *testing.T, data string, count int) (list []change) {
	t.Helper()
	files, sizes := ledgerFiles(t, data)
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range count {
		file, size := files[i%len(files)], rng.Int64N(sizes[i%len(files)])
		list = append(list, change{fmt.Sprintf("%s cut at %d", filepath.Base(file), size), func(data string) error {
			return errors.Join(os.Truncate(filepath.Join(data, file), size), forget(data, i%3 == 0, i%2 == 0))
		}})
	}
	for i, file := range files {
		list = append(list, change{filepath.Base(file) + " gone", func(data string) error {
			return errors.Join(os.Remove(filepath.Join(data, file)), forget(data, i%2 == 0, true))
		}})
	}
	return list
}

// outcomes are counted.
type outcomes struct {
	mu                           sync.Mutex
	refused, found, clean, wrong int
}

// tryAll tries each change on a copy of its own, and fails for each that is not accounted for.
func (p *pristine) tryAll(t *testing.T, changes []change) *outcomes {
	t.Helper()
	counts := &outcomes{}
	var group errgroup.Group
	group.SetLimit(8)
	folder := memoryFolder(t)
	for i, c := range changes {
		group.Go(func() error {
			data := filepath.Join(folder, fmt.Sprint(i))
			defer os.RemoveAll(data)
			if err := errors.Join(os.CopyFS(data, os.DirFS(p.data)), c.do(data)); err != nil {
				return err
			}
			o, err := p.try(t.Context(), data)
			counts.mu.Lock()
			defer counts.mu.Unlock()
			switch {
			case err != nil:
				counts.wrong++
				t.Errorf("%s: %v", c.name, err)
			case o.refused != "":
				counts.refused++
			case o.found != "":
				counts.found++
			case o.clean:
				counts.clean++
				t.Logf("%s: harmless", c.name)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d changes: %d refused at the start, %d found, %d harmless, %d not accounted for",
		len(changes), counts.refused, counts.found, counts.clean, counts.wrong)
	return counts
}

// TestTamperedBlocks: whichever bit of the files of a ledger is flipped, and wherever they are cut, it is refused or found, and
// nothing wrong is answered; what neither refuses nor finds has the root that was signed.
func TestTamperedBlocks(t *testing.T) {
	size, count := 10_000, 300
	if testing.Short() || ledgertest.Raced {
		size, count = 2000, 20
	}
	p := newPristine(t, size, 800)
	if o, err := p.try(t.Context(), copied(t, p.data)); err != nil || !o.clean {
		t.Fatalf("without a change: %+v, %v", o, err)
	}
	p.tryAll(t, append(flips(t, p.data, count), cuts(t, p.data, count/10)...))
}

// TestTamperedWhileServed: what was changed so long ago that it is not read again at the start is found by audit verify, or in
// the background.
func TestTamperedWhileServed(t *testing.T) {
	changed := 20
	if testing.Short() || ledgertest.Raced {
		changed = 2
	}
	p := newPristine(t, 20_000, 1)
	files, _ := ledgerFiles(t, p.data)
	rng := rand.New(rand.NewPCG(9, 10))
	var changes []change
	for range changed {
		offset, bit := rng.Int64N(1<<20), byte(1)<<rng.IntN(8)
		changes = append(changes, change{fmt.Sprintf("%s at %d, %08b", files[0], offset, bit), func(data string) error {
			return errors.Join(flip(filepath.Join(data, files[0]), offset, bit), trust(data))
		}})
	}
	if counts := p.tryAll(t, changes); counts.found == 0 {
		t.Error("none was served, so audit verify had nothing to find")
	}
}

// memoryFolder is a folder in memory, where Linux has one: nothing here is to outlive a power failure.
func memoryFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "keyledger-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

func copied(t *testing.T, data string) string {
	t.Helper()
	folder := filepath.Join(memoryFolder(t), "copy")
	if err := os.CopyFS(folder, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	return folder
}
