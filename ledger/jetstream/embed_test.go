package jetstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// childDir, in the environment of a test process, makes it a child that appends until it is killed: see TestKill.
const childDir = "KEYLEDGER_TEST_APPEND_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(appendForEver(dir))
	}
	os.Exit(m.Run())
}

func TestFolder(t *testing.T) {
	mark := func(content string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, jetstream.FolderFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	unmarked := t.TempDir()
	if err := os.MkdirAll(filepath.Join(unmarked, "nats", "jetstream"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, dir, says string }{
		{"of a newer version", mark(`{"version":2,"mode":"standalone"}`), "version 2"},
		{"of another mode", mark(`{"version":1,"mode":"clustered"}`), `mode "clustered"`},
		{"with a damaged mark", mark(`{`), "damaged"},
		{"with an empty mark", mark(`{}`), "damaged"},
		{"with a store and no mark", unmarked, "no keyledger.json"},
	} {
		before, err := os.ReadDir(test.dir)
		if err != nil {
			t.Fatal(err)
		}
		s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: test.dir})
		if err == nil {
			s.Shutdown()
			t.Errorf("a folder %s is not refused", test.name)
		} else if !strings.Contains(err.Error(), test.says) {
			t.Errorf("a folder %s is refused with %q, which does not say %q", test.name, err, test.says)
		}
		if after, err := os.ReadDir(test.dir); err != nil || len(after) != len(before) {
			t.Errorf("the refusal of a folder %s changed it: %v, %v", test.name, after, err)
		}
	}
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := jetstream.Embed(jetstream.EmbedOptions{Dir: dir}); err == nil {
		second.Shutdown()
		t.Fatal("a second server on one folder is not refused")
	} else if !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server is refused with %q", err)
	}
	s.Shutdown()
	if s, err = jetstream.Embed(jetstream.EmbedOptions{Dir: dir}); err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	s.Shutdown()
}

// TestOutsiders refuses everyone outside the process on the client port.
func TestOutsiders(t *testing.T) {
	s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	url := "nats://" + s.Addr().String()
	for _, option := range []nats.Option{nats.Name("nobody"), nats.UserInfo("keyledger", ""), nats.UserInfo("", ""), nats.Token("x")} {
		if nc, err := nats.Connect(url, option); !errors.Is(err, nats.ErrAuthorization) {
			if err == nil {
				nc.Close()
			}
			t.Errorf("a connection from outside: %v, want an authorization error", err)
		}
	}
}

// TestRestart stops the server and starts it again on the same folder: all is there.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	var want []uint64
	for range 3 {
		t.Run("", func(t *testing.T) {
			l := open(t, dir, jetstream.Options{})
			for i, m := range collect(t, l, 1, len(want)) {
				if m.Sequence != want[i] {
					t.Fatalf("message %d has sequence %d", i, m.Sequence)
				}
			}
			for range 100 {
				sequence, err := l.Append(t.Context(), entry())
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, sequence)
			}
		})
	}
}

// TestKill kills a process in the middle of concurrent appends, several times on one folder: every acknowledged event
// is there, where it was said to be, and none twice.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := make(map[uuid.UUID]uint64)
	for range 3 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 2000 && lines.Scan(); n++ {
			record(t, acked, lines.Text())
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			record(t, acked, lines.Text())
		}
		child.Wait()
	}
	l := open(t, dir, jetstream.Options{})
	last, err := l.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[uuid.UUID]bool)
	for _, m := range collect(t, l, 1, int(last)) {
		if sequence := acked[m.ID]; sequence != 0 && sequence != m.Sequence {
			t.Errorf("event %s was acknowledged as %d and is %d", m.ID, sequence, m.Sequence)
		}
		if seen[m.ID] {
			t.Errorf("event %s is there twice", m.ID)
		}
		seen[m.ID] = true
	}
	for id, sequence := range acked {
		if !seen[id] {
			t.Errorf("event %s, acknowledged as %d, is not there", id, sequence)
		}
	}
	if len(acked) < 6000 {
		t.Errorf("only %d events were acknowledged", len(acked))
	}
}

// record reads one line of a child: an event id and its sequence.
func record(t *testing.T, acked map[uuid.UUID]uint64, line string) {
	t.Helper()
	var id string
	var sequence uint64
	if _, err := fmt.Sscan(line, &id, &sequence); err != nil {
		return // cut off in the middle
	}
	acked[uuid.MustParse(id)] = sequence
}

// appendForEver appends from many goroutines and writes a line for each event that was acknowledged.
func appendForEver(dir string) int {
	s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	nc, err := s.Connect(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := jetstream.Open(context.Background(), nc, jetstream.Options{Server: s})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var mu sync.Mutex
	var running sync.WaitGroup
	for range 64 {
		running.Go(func() {
			for {
				e := entry()
				sequence, err := l.Append(context.Background(), e)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				mu.Lock()
				fmt.Println(e.Message.ID, sequence)
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return 1
}

// TestCorruption flips one byte of a block on disk: the tail stops there, and never skips.
func TestCorruption(t *testing.T) {
	for _, index := range []bool{true, false} {
		t.Run(fmt.Sprintf("index=%v", index), func(t *testing.T) {
			dir := t.TempDir()
			t.Run("fill", func(t *testing.T) { fill(t, open(t, dir, jetstream.Options{}), 500) })
			damage(t, dir, index)
			s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Shutdown()
			nc, err := s.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			l, err := jetstream.Open(t.Context(), nc, jetstream.Options{Server: s})
			if err != nil {
				if !errors.Is(err, ledger.ErrGap) {
					t.Fatalf("open gives %v, want ErrGap", err)
				}
				return
			}
			defer l.Close()
			got := uint64(0)
			err = l.Tail(t.Context(), 1, func(b ledger.Batch) error {
				for _, m := range b.Messages {
					if got++; m.Sequence != got {
						t.Fatalf("the tail skips from %d to %d", got-1, m.Sequence)
					}
				}
				if b.Pending == 0 {
					return errors.New("the tail came to the end")
				}
				return nil
			})
			if !errors.Is(err, ledger.ErrGap) {
				// what a crash leaves: the log ends before the damage, and who had read on notices
				err = l.Tail(t.Context(), 501, func(ledger.Batch) error { return errors.New("not noticed") })
			}
			if !errors.Is(err, ledger.ErrGap) {
				t.Fatalf("a tail gives %v, want ErrGap", err)
			}
		})
	}
}

// damage flips a byte in the middle of the first block, as a bad disk does, and removes the index if it is not to be kept.
func damage(t *testing.T, dir string, keepIndex bool) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(dir, "nats", "jetstream", "*", "streams", jetstream.LedgerStream, "msgs", "1.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("the first block: %v, %v", blocks, err)
	}
	data, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.Stat(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(blocks[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(blocks[0], time.Time{}, written.ModTime()); err != nil {
		t.Fatal(err)
	}
	if !keepIndex {
		if err := os.Remove(filepath.Join(filepath.Dir(blocks[0]), "index.db")); err != nil {
			t.Fatal(err)
		}
	}
}
