package jetstream_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyledger/ledger/jetstream"
)

// What a kill leaves, messages and an older snapshot, is read without the snapshot, and all messages are there.
func TestStaleSnapshot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nats", "jetstream", "$G", "streams", jetstream.LedgerStream, "msgs", "index.db")
	t.Run("first", func(t *testing.T) { fill(t, open(t, dir, jetstream.Options{}), 100) })
	snapshot, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("second", func(t *testing.T) { fill(t, open(t, dir, jetstream.Options{}), 100) })
	if err := os.WriteFile(path, snapshot, 0o600); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, before, before); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	if strings.Contains(log.String(), "outdated") {
		t.Errorf("the server read the snapshot:\n%s", log.String())
	}
	if got := len(collect(t, open(t, dir, jetstream.Options{}), 1, 200)); got != 200 {
		t.Errorf("%d messages", got)
	}
}
