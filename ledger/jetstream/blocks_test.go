package jetstream_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// TestSequencesFarOff: a bit that flips in the upper half of a sequence keeps the server from starting, in no time: it would
// note every sequence before it as deleted.
func TestSequencesFarOff(t *testing.T) {
	dir := t.TempDir()
	t.Run("fill", func(t *testing.T) {
		l := open(t, dir, jetstream.Options{})
		for range 5 {
			if _, err := l.Append(t.Context(), entry()); err != nil {
				t.Fatal(err)
			}
		}
	})
	blocks, err := filepath.Glob(filepath.Join(dir, "nats", "jetstream", "*", "streams", jetstream.LedgerStream, "msgs", "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatal(blocks, err)
	}
	whole, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	second := int(binary.LittleEndian.Uint32(whole) &^ (1 << 31))
	for _, bit := range []int{24, 32, 40, 63} {
		flipped := append([]byte{}, whole...)
		flipped[second+4+bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(blocks[0], flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := jetstream.Embed(jetstream.EmbedOptions{Dir: dir})
		if !errors.Is(err, ledger.ErrGap) || !strings.Contains(err.Error(), "after message 1: it is damaged") {
			t.Errorf("bit %d: %v after %v", bit, err, time.Since(began))
		}
	}
}
