//go:build !race

package projections_test

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"keyledger/ledger"
	"keyledger/projections"
)

// countingFS counts the reads of files.
type countingFS struct {
	vfs.FS
	reads *atomic.Int64
}

func (f countingFS) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.Open(name, options...)
	return countingFile{file, f.reads}, err
}

type countingFile struct {
	vfs.File
	reads *atomic.Int64
}

func (f countingFile) ReadAt(p []byte, at int64) (int, error) {
	f.reads.Add(1)
	return f.File.ReadAt(p, at)
}

// A million tokens that nobody has take no memory, and no reads of the disk: with the index there, a filter knows that
// they are not there, but for about one in a hundred.
func TestUnknownTokensAreNotReadFor(t *testing.T) {
	log := newBulk(t, 50_000)
	modes(t, func(t *testing.T, diskIndex bool) {
		var reads atomic.Int64
		v := open(t, projections.Options{Dir: "views", FS: countingFS{vfs.NewMem(), &reads}, DiskIndex: diskIndex, CacheSize: 2 << 20})
		build(t, v, log)
		if err := v.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(3, 4))
		look := func(times int) {
			t.Helper()
			var d ledger.Digest
			for range times {
				binary.BigEndian.PutUint64(d[:], rng.Uint64())
				if _, _, ok, err := v.KeyByDigest(d); ok || err != nil {
					t.Fatalf("%x is found: %v, %v", d, ok, err)
				}
			}
		}
		look(10_000) // the filters come into the cache
		unknown, readable := 1_000_000, int64(0)
		if diskIndex { // where it takes some microseconds
			unknown, readable = 200_000, 200_000/50
		}
		heap, before := liveHeap(), reads.Load()
		look(unknown)
		did, grown := reads.Load()-before, int64(liveHeap())-int64(heap)
		t.Logf("%d reads, the heap grew by %d KiB", did, grown>>10)
		if did > readable {
			t.Errorf("%d tokens that nobody has were read for %d times, want %d at most", unknown, did, readable)
		}
		if grown > 4<<20 {
			t.Errorf("the heap grew by %d KiB", grown>>10)
		}
		for _, d := range log.digests[:1000] {
			if _, _, ok, err := v.KeyByDigest(d); !ok || err != nil {
				t.Fatalf("a token that is there is not found: %v", err)
			}
		}
	})
}

// liveHeap is how much the heap holds, in bytes.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
