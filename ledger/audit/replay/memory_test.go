// The race detector keeps memory of its own: what is in use with it shows nothing.

//go:build !race

package replay_test

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger/audit/replay"
)

// long gives n events: seven creations of keys, and then three changes of random keys of all that there are, and so on.
func long(n int) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		random := rand.New(rand.NewPCG(1, 2))
		owners := [...]string{"acme", "beta", "gamma"}
		keys := 0
		for i := range n {
			var p events.Payload
			switch i % 10 {
			case 7, 8:
				p = &events.Updated{KeyID: longKey(random.IntN(keys)), Name: new(fmt.Sprint("renamed ", i))}
			case 9:
				p = &events.Revoked{KeyID: longKey(random.IntN(keys)), Reason: "no longer in use"}
			default:
				p = &events.Created{
					KeyID: longKey(keys), Name: fmt.Sprint("key number ", keys), Hint: "kl_3f2a…9zzz", Scopes: "deploy read",
					Owner: events.Owner{Workspace: owners[keys%3], AgentID: "bot7"}, Environment: "live", KeyType: "external",
				}
				keys++
			}
			e := events.Event{
				Header: events.Header{
					Type: p.Type(), Version: 1, ID: uuid.UUID{0: 1, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)},
					Time: time.Unix(1767000000+int64(i), 0).UTC(), Actor: longKey(0).String(), RequestID: "9a6dbb6572be7bac4c77863d9e35c6a7",
				},
				Sequence: uint64(i + 1), Payload: p, Origin: events.Origin{IP: "192.0.2.7", UserAgent: "curl/8.5.0"},
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func longKey(n int) uuid.UUID {
	return uuid.UUID{1, 0x97, 0x8d, 0x2c, 0x8f, 0, 0x7a, 0, 0x80, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

// TestMemoryIsBounded replays 300,000 events of 210,000 keys, whose states would take some 38 MB, with 4 MiB for them: what is in use
// stays below a bound, and does not grow from a third of the way on.
func TestMemoryIsBounded(t *testing.T) {
	const n, bound = 300_000, 48 << 20
	r := replay.New(replay.Options{Memory: 4 << 20, Temp: t.TempDir()})
	defer r.Close()
	b := bufio.NewWriter(io.Discard)
	w, err := replay.NewWriter(b, replay.NDJSON)
	if err != nil {
		t.Fatal(err)
	}
	before := inUse()
	var third, most uint64
	count, err := r.Run(long(n), &replay.Selection{}, w, func(sequence uint64) {
		if sequence%(n/12) != 0 {
			return
		}
		used := max(inUse(), before) - before
		if most = max(most, used); sequence == n/3 {
			third = used
		}
	})
	if err != nil || count != n {
		t.Fatalf("%d records, %v", count, err)
	}
	end := max(inUse(), before) - before
	t.Logf("%d KiB in use after a third, %d at the end, %d at most", third>>10, end>>10, most>>10)
	if most > bound || end > third+8<<20 {
		t.Errorf("%d KiB in use after a third, %d at the end, %d at most", third>>10, end>>10, most>>10)
	}
}

// inUse is how much memory is in use, besides what Pebble takes of the system itself: its cache and memtables, which are
// bounded by their options.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkReplay folds and writes events that are there; 7 of 10 are creations. The keys do not fit into memory/1, and do
// into memory/64.
func BenchmarkReplay(b *testing.B) {
	for _, memory := range []int{1, 64} {
		b.Run(fmt.Sprint("memory/", memory), func(b *testing.B) {
			r := replay.New(replay.Options{Memory: memory << 20, Temp: b.TempDir()})
			defer r.Close()
			w, err := replay.NewWriter(bufio.NewWriter(io.Discard), replay.NDJSON)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			if _, err := r.Run(long(b.N), &replay.Selection{}, w, func(uint64) {}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
