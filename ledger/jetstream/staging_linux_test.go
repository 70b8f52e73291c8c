package jetstream

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"keyledger/events"
	"keyledger/ledger"
)

// embed starts a server and opens the log on it.
func embed(t *testing.T, dir string) (*Server, *Log) {
	t.Helper()
	s, err := Embed(EmbedOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	nc, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	l, err := Open(t.Context(), nc, Options{Server: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return s, l
}

// created is an event of a new key.
func created() ledger.Entry {
	header := events.Header{Type: events.KeyCreated, Version: 1, ID: uuid.Must(uuid.NewV7()), Time: time.Now(), Actor: "system"}
	return ledger.Entry{Message: events.Message{
		Header: header, Subject: "ledger.acme.~.~." + uuid.NewString(), Data: make([]byte, 300),
	}}
}

// staged sends the first message of a batch and returns when the server has staged it.
func staged(t *testing.T, l *Log, b *batch) {
	t.Helper()
	c := newCommit([]ledger.Entry{created()})
	ctx, cancel := context.WithTimeout(t.Context(), ackTimeout)
	defer cancel()
	m, err := l.nc.RequestMsgWithContext(ctx, b.add(c)[0])
	if err != nil || len(m.Data) > 0 {
		t.Fatalf("%q, %v", m.Data, err)
	}
}

// TestBatchesAreStagedInMemory fails when the nats-server stages a batch elsewhere than where it is expected: then batches
// take three times as long, and staging has to follow it.
func TestBatchesAreStagedInMemory(t *testing.T) {
	s, l := embed(t, t.TempDir())
	if s.staging == nil {
		t.Fatalf("nothing can be staged in %s", sharedMemory)
	}
	b := newBatch()
	s.staging.stage(b.id)
	staged(t, l, b)
	folder := filepath.Join(s.staging.memory, batchFolder(b.id))
	if blocks, err := filepath.Glob(filepath.Join(folder, "msgs", "*.blk")); err != nil || len(blocks) == 0 {
		t.Errorf("nothing was staged in %s: %v", folder, err)
	}
	m, err := l.nc.RequestMsg(b.end(), ackTimeout)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseAck(m); err != nil {
		t.Fatal(err)
	}
	s.staging.drop(b.id)
	empty(t, s.staging.memory)
	empty(t, s.staging.stream)
}

// TestCommitsOfSeveralMessagesAreStagedOnDisk runs commits of both kinds at once: what is staged of the larger ones is not
// lost with the memory.
func TestCommitsOfSeveralMessagesAreStagedOnDisk(t *testing.T) {
	s, l := embed(t, t.TempDir())
	var appends errgroup.Group
	for i := range 300 {
		entries := []ledger.Entry{created()}
		if i%3 == 0 {
			entries = append(entries, created())
		}
		appends.Go(func() error {
			_, err := l.Append(t.Context(), entries...)
			return err
		})
	}
	if err := appends.Wait(); err != nil {
		t.Fatal(err)
	}
	b := newBatch()
	if b.add(newCommit([]ledger.Entry{created(), created()})); b.divisible {
		t.Error("a batch with a commit of two messages may be divided")
	}
	divisible := newBatch()
	divisible.divisible = true
	divisible.add(newCommit([]ledger.Entry{created()}))
	if divisible.fits(newCommit([]ledger.Entry{created(), created()})) {
		t.Error("a commit of two messages fits into a batch that may be divided")
	}
	if last, err := l.Last(t.Context()); err != nil || last != 400 {
		t.Errorf("%d messages, %v", last, err)
	}
	l.Close()
	empty(t, s.staging.memory)
}

// TestStartAfterAPowerFailure: what was staged in memory is gone, its links are not.
func TestStartAfterAPowerFailure(t *testing.T) {
	dir := t.TempDir()
	s, l := embed(t, dir)
	if _, err := l.Append(t.Context(), created()); err != nil {
		t.Fatal(err)
	}
	b := newBatch()
	s.staging.stage(b.id)
	staged(t, l, b)
	l.Close()
	l.nc.Close()
	s.Shutdown()
	if _, err := os.Stat(s.staging.memory); !os.IsNotExist(err) {
		t.Fatalf("what was in memory is still there: %v", err)
	}
	if err := os.Symlink(filepath.Join(s.staging.memory, "gone"), filepath.Join(s.staging.stream, "gone")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	_, l = embed(t, dir)
	if last, err := l.Last(t.Context()); err != nil || last != 1 {
		t.Errorf("%d messages, %v", last, err)
	}
	var appends errgroup.Group
	for range 64 {
		appends.Go(func() error {
			_, err := l.Append(t.Context(), created())
			return err
		})
	}
	if err := appends.Wait(); err != nil {
		t.Error(err)
	}
}

// empty holds that a folder is empty or not there.
func empty(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if len(files) > 0 {
		t.Errorf("%s holds %v", dir, files)
	}
}
