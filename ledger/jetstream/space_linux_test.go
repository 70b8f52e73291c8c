package jetstream_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// smallDisk gives a file system of its own. Only root may make one.
func smallDisk(t *testing.T, size int64) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small file system; TestFullStore is the test of a full store for everyone")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a small file system cannot be mounted here (%v); TestFullStore is the test of a full store for everyone", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// occupy fills the file system of dir until only so many bytes are left, and gives a function that frees them.
func occupy(t *testing.T, dir string, leave int64) func() {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 4096)
	for free(t, dir) > leave {
		if _, err := f.Write(chunk); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// free is how many bytes are free on the file system of dir.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * int64(s.Bsize)
}

// TestFullDisk fills a file system: appends are refused before it is full, reading goes on, and when room is back so do
// they, in the same process. Nothing acknowledged is lost.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, 96<<20)
	s, err := jetstream.Embed(jetstream.EmbedOptions{
		Dir: filepath.Join(dir, "data"), Reserve: 16 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	nc, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	l, err := jetstream.Open(t.Context(), nc, small(s))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	acked := make(map[uuid.UUID]uint64)
	release := occupy(t, dir, 40<<20)
	fillUp(t, l, acked)
	if len(acked) == 0 {
		t.Error("nothing was stored before the disk was full")
	}
	if left := free(t, dir); left < 7<<20 {
		t.Errorf("only %d bytes of the reserve are left", left)
	}
	if err := l.Healthy(t.Context()); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("healthy gives %v, want ErrUnavailable", err)
	}
	holds(t, l, acked)
	release()
	until(t, "the log to be healthy again", func() bool { return l.Healthy(t.Context()) == nil })
	for range 100 {
		e := entry()
		sequence, err := l.Append(t.Context(), e)
		if err != nil {
			t.Fatalf("append when room is back: %v", err)
		}
		acked[e.Message.ID] = sequence
	}
	holds(t, l, acked)
	select {
	case err := <-s.Failed():
		t.Errorf("the store failed: %v", err)
	default:
	}
}

// TestFrozen takes the last byte of the disk away under the server's feet, so that a write fails and the stream stops:
// appends go on when room is back, in the same process, and nothing acknowledged is lost.
func TestFrozen(t *testing.T) {
	dir := smallDisk(t, 64<<20)
	s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: filepath.Join(dir, "data"), Reserve: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	nc, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	l, err := jetstream.Open(t.Context(), nc, small(s))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	acked := make(map[uuid.UUID]uint64)
	stopped := func() bool {
		err := s.Writable()
		return err != nil && strings.Contains(err.Error(), "write error")
	}
	healthy := func() bool { return l.Healthy(t.Context()) == nil }
	for met := false; !met; { // unless the watch was faster than the first append
		release := occupy(t, dir, 0)
		appendUntil(t, l, acked)
		until(t, "the full disk to be noticed", func() bool { return s.Writable() != nil })
		met = stopped()
		release()
		until(t, "the log to be healthy again", healthy)
	}
	e := entry()
	sequence, err := l.Append(t.Context(), e)
	if err != nil {
		t.Fatalf("append when room is back: %v", err)
	}
	acked[e.Message.ID] = sequence
	holds(t, l, acked)
}
