package projections_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/projections"
)

// bulk is a log of many key.created events: key n belongs to workspace n%1000 and agent n%10.
type bulk struct {
	ledger.Log
	messages []events.Message
	ids      []uuid.UUID
	digests  []events.Digest
}

func newBulk(tb testing.TB, n int) *bulk {
	tb.Helper()
	b := &bulk{}
	rng := rand.New(rand.NewPCG(1, 2))
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		at := began.Add(time.Duration(i) * 731 * time.Microsecond)
		p := &events.Created{
			KeyID: idAt(rng, at),
			Owner: events.Owner{
				Workspace: fmt.Sprintf("workspace-%d", i%1000),
				AgentID:   fmt.Sprintf("agent-%d", i%10),
			},
			Name:        fmt.Sprintf("deploy key %d", i),
			Scopes:      "read write",
			Environment: "live",
			KeyType:     "external",
			Hint:        fmt.Sprintf("kl_%04d...wXyZ", i%10000),
		}
		for j := range 4 {
			binary.LittleEndian.PutUint64(p.Digest[8*j:], rng.Uint64())
		}
		m, err := events.Encode(&events.Event{
			Header: events.Header{
				ID: idAt(rng, at), Time: at, Actor: "01a05f3e-0000-7000-8000-000000000001", RequestID: strconv.Itoa(i),
			},
			Sequence: uint64(i + 1),
			Subject:  events.KeySubject(&p.Owner, p.KeyID),
			Payload:  p,
		}, nil)
		if err != nil {
			tb.Fatal(err)
		}
		b.messages = append(b.messages, m)
		b.ids = append(b.ids, p.KeyID)
		b.digests = append(b.digests, p.Digest)
	}
	return b
}

// idAt is a UUIDv7 of the moment at.
func idAt(rng *rand.Rand, at time.Time) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|0x7000|rng.Uint64()&0xfff)
	binary.BigEndian.PutUint64(id[8:], rng.Uint64()>>2|1<<63)
	return id
}

func (b *bulk) Last(context.Context) (uint64, error) { return uint64(len(b.messages)), nil }

func (b *bulk) Tail(ctx context.Context, from uint64, handle func(ledger.Batch) error) error {
	for next := int(from - 1); next < len(b.messages); {
		end := min(next+512, len(b.messages))
		if err := handle(ledger.Batch{Messages: b.messages[next:end], Pending: uint64(len(b.messages) - end)}); err != nil {
			return err
		}
		next = end
	}
	<-ctx.Done()
	return ctx.Err()
}

// build runs views until they show the whole of a log.
func build(t testing.TB, v *projections.Views, log ledger.Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx, log, nil) }()
	last, err := log.Last(ctx)
	if err == nil {
		err = v.WaitFor(ctx, last)
	}
	cancel()
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
}

// million is how many keys the benchmarks have.
const million = 1_000_000

func benchModes(b *testing.B, bench func(b *testing.B, o projections.Options)) {
	for _, disk := range []bool{false, true} {
		b.Run(map[bool]string{false: "memory", true: "disk"}[disk], func(b *testing.B) {
			bench(b, projections.Options{Dir: filepath.Join(b.TempDir(), "views"), DiskIndex: disk})
		})
	}
}

// BenchmarkBuild builds all views from a million keys.
func BenchmarkBuild(b *testing.B) {
	log := newBulk(b, million)
	benchModes(b, func(b *testing.B, o projections.Options) {
		var took time.Duration
		for range b.N {
			if err := os.RemoveAll(o.Dir); err != nil {
				b.Fatal(err)
			}
			v, err := projections.Open(o)
			if err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			build(b, v, log)
			took += time.Since(began)
			if err := v.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(million*float64(b.N)/took.Seconds(), "events/s")
	})
}

// BenchmarkViews opens the views of a million keys, looks keys up and lists them.
func BenchmarkViews(b *testing.B) {
	log := newBulk(b, million)
	benchModes(b, func(b *testing.B, o projections.Options) {
		v, err := projections.Open(o)
		if err != nil {
			b.Fatal(err)
		}
		build(b, v, log)
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}
		b.Run("open", func(b *testing.B) {
			for range b.N {
				v, err := projections.Open(o)
				if err != nil {
					b.Fatal(err)
				}
				if err := v.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
		v = open(b, o)
		b.Run("byDigest", func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, _, ok, err := v.KeyByDigest(log.digests[i*7919%million]); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
		})
		b.Run("list50of100k", func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				page, err := v.Keys(b.Context(), &ledger.Query{Agent: "agent-" + strconv.Itoa(i%10), Limit: 50})
				if err != nil || len(page.Keys) != 50 {
					b.Fatal(len(page.Keys), err)
				}
			}
		})
		b.Run("inclusionProof", func(b *testing.B) {
			for i := range b.N {
				if _, err := tlog.ProveRecord(million, int64(i*7919%million), v); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("filterAll", func(b *testing.B) {
			for range b.N {
				if _, err := v.Keys(b.Context(), &ledger.Query{NamePrefix: "none", Limit: 50}); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// BenchmarkDecode is what BenchmarkBuild is to be compared with: the same events decoded, and nothing else.
func BenchmarkDecode(b *testing.B) {
	log := newBulk(b, 100_000)
	began := time.Now()
	for i := range b.N {
		if _, err := events.Decode(&log.messages[i%len(log.messages)], nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "events/s")
}

// BenchmarkIdleMemory reports what the views of a million keys keep in memory.
func BenchmarkIdleMemory(b *testing.B) {
	v := open(b, projections.Options{Dir: b.TempDir()})
	build(b, v, newBulk(b, million))
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB-heap")
	b.ReportMetric(float64(m.Sys-m.HeapReleased)/(1<<20), "MiB-process")
	for range b.N {
	}
}
