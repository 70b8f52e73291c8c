package projections

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/ledger"
)

// typicalKey is the n-th of many keys as a busy service makes them.
func typicalKey(n int) ledger.Key {
	at := time.UnixMicro(1_790_000_000_000_000 + int64(n)*731).UTC()
	k := ledger.Key{
		ID:          idAt(at, n),
		Owner:       ledger.Owner{Workspace: fmt.Sprintf("workspace-%d", n%1000)},
		Name:        fmt.Sprintf("deploy key %d", n),
		Hint:        fmt.Sprintf("kl_%04d…wXyZ", n%10000),
		Scopes:      "read write",
		Environment: "live",
		Type:        "external",
		CreatedAt:   at,
		CreatedBy:   fmt.Sprintf("01a05f3e-0000-7000-8000-%012d", n%50),
		UpdatedAt:   at,
		Sequence:    uint64(n + 1),
		Revision:    uint64(n + 1),
		LastEvent:   idAt(at, -n),
	}
	k.Digest = digestOf(n)
	return k
}

// idAt is a UUIDv7 of the moment at.
func idAt(at time.Time, n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|0x7000|mix(n)&0xfff)
	binary.BigEndian.PutUint64(id[8:], mix(n+1))
	return id
}

func digestOf(n int) (d ledger.Digest) {
	for i := range 4 {
		binary.LittleEndian.PutUint64(d[8*i:], mix(4*n+i))
	}
	return d
}

// mix gives a random-looking number: the n-th of SplitMix64.
func mix(n int) uint64 {
	x := uint64(n) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// anyKey draws a key with whatever a key can hold.
func anyKey() *rapid.Generator[ledger.Key] {
	text := rapid.OneOf(rapid.Just(""), rapid.SampledFrom([]string{"acme", "live", "github", "ledger:*"}), rapid.String())
	when := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.UnixMicro(rapid.Int64Range(-1e15, 4e15).Draw(t, "us")).UTC()
	})
	return rapid.Custom(func(t *rapid.T) ledger.Key {
		k := ledger.Key{
			Sequence:   rapid.Uint64().Draw(t, "sequence"),
			UniqueName: rapid.Bool().Draw(t, "unique name"),
			Confined:   rapid.Bool().Draw(t, "confined"),
			FirstUsed:  rapid.Bool().Draw(t, "first used"),
		}
		k.Revision = k.Sequence - rapid.Uint64Range(0, min(k.Sequence, 1<<40)).Draw(t, "notices")
		copy(k.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		copy(k.LastEvent[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "event"))
		copy(k.Digest[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		if rapid.Bool().Draw(t, "rotated") {
			copy(k.PreviousDigest[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "previous"))
		}
		for _, s := range stringFields(&k) {
			*s = text.Draw(t, "text")
		}
		for _, at := range timeFields(&k) {
			*at = when.Draw(t, "time")
		}
		k.ExpirySetAt, k.Announced = usualSetAt(&k), when.Draw(t, "announced")
		if !k.ExpiresAt.IsZero() && rapid.Bool().Draw(t, "another expiry") {
			k.ExpirySetAt = time.UnixMicro(rapid.Int64Range(-1e15, 4e15).Draw(t, "set")).UTC()
		}
		if n := rapid.SampledFrom([]int{0, 1, maxHotMetadata, maxHotMetadata + 1, 4000}).Draw(t, "metadata"); n > 0 {
			k.Metadata = []byte(strings.Repeat("m", n))
		}
		return k
	})
}

func TestPackedKeyIsTheKey(t *testing.T) {
	shared := newDictionary()
	rapid.Check(t, func(t *rapid.T) {
		k := anyKey().Draw(t, "key")
		var got ledger.Key
		packed := packKey(nil, &k, nil)
		n, cold, err := unpackKey(append(packed, "rest"...), &got, nil)
		if err != nil || cold || n != len(packed) || !reflect.DeepEqual(got, k) {
			t.Fatalf("stored: n %d of %d, cold %v, err %v\n got %+v\nwant %+v", n, len(packed), cold, err, got, k)
		}
		for cut := range packed {
			if n, _, err := unpackKey(packed[:cut], &got, nil); err == nil {
				t.Fatalf("%d of %d bytes are taken for a key of %d", cut, len(packed), n)
			}
		}
		packed = packKey(nil, &k, shared)
		n, cold, err = unpackKey(packed, &got, shared)
		if cold != (len(k.Metadata) > maxHotMetadata) {
			t.Fatalf("cold is %v for %d bytes of metadata", cold, len(k.Metadata))
		}
		if cold {
			k.Metadata = nil
		}
		if err != nil || n != len(packed) || !reflect.DeepEqual(got, k) {
			t.Fatalf("in memory: n %d of %d, err %v\n got %+v\nwant %+v", n, len(packed), err, got, k)
		}
	})
}

func FuzzUnpackKey(f *testing.F) {
	k := typicalKey(1)
	f.Add(packKey(nil, &k, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var k, again ledger.Key
		if _, _, err := unpackKey(b, &k, nil); err != nil {
			return
		}
		packed := packKey(nil, &k, nil)
		if _, _, err := unpackKey(packed, &again, nil); err != nil || !reflect.DeepEqual(k, again) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, again, k)
		}
	})
}

// TestTableIsAMap changes keys at random and compares the table with maps, through growth and compaction.
func TestTableIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	table, keys, digests := newTable(), map[uuid.UUID]ledger.Key{}, map[ledger.Digest]uuid.UUID{}
	chunks := 0
	for step := range 100_000 {
		n := rng.IntN(8_000)
		k, known := keys[typicalKey(n).ID]
		switch {
		case !known:
			k = typicalKey(n)
		case step%5 == 0:
			delete(digests, k.PreviousDigest)
			k.PreviousDigest, k.Digest = k.Digest, digestOf(1_000_000+step)
		case step%5 == 1:
			delete(digests, k.PreviousDigest)
			k.PreviousDigest = ledger.Digest{}
		default:
			k.Name = strings.Repeat("x", rng.IntN(120))
		}
		digests[k.Digest] = k.ID
		if k.PreviousDigest != (ledger.Digest{}) {
			digests[k.PreviousDigest] = k.ID
		}
		if err := table.put(&k); err != nil {
			t.Fatal(err)
		}
		if step%3 == 0 {
			k.Use = ledger.Use{LastAt: k.CreatedAt.Add(time.Duration(step) * time.Second), Count: uint64(step)}
			table.setUse(k.ID, k.Use)
		}
		keys[k.ID] = k
		if step%64 == 0 {
			if err := table.compact(); err != nil {
				t.Fatal(err)
			}
		}
		chunks = len(*table.chunks.Load())
	}
	for id, want := range keys {
		var got ledger.Key
		if _, ok := table.byID(id, &got); !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("by id: %v\n got %+v\nwant %+v", ok, got, want)
		}
		for _, d := range []ledger.Digest{want.Digest, want.PreviousDigest} {
			_, previous, ok := table.byDigest(&d, &got)
			if ok != (d != ledger.Digest{}) || ok && (previous != (d == want.PreviousDigest) || got.ID != id) {
				t.Fatalf("by digest: %v previous %v got %v want %v", ok, previous, got.ID, id)
			}
		}
	}
	if table.digests.live != len(digests) || int(table.keys.Load()) != len(keys) {
		t.Fatalf("%d digests of %d, %d keys of %d", table.digests.live, len(digests), table.keys.Load(), len(keys))
	}
	if table.total > 3*table.live/2+10*chunkSize {
		t.Errorf("%d bytes are held for %d live ones after %d chunks", table.total, table.live, chunks)
	}
	var k ledger.Key
	if _, ok := table.byID(uuid.New(), &k); ok {
		t.Error("an unknown id is found")
	}
}

// TestTableUnderReaders reads without locks while keys change, move and the indexes grow.
func TestTableUnderReaders(t *testing.T) {
	const n = 3000
	table := newTable()
	first := make([]ledger.Key, n)
	for i := range first {
		first[i] = typicalKey(i)
		if err := table.put(&first[i]); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			seen := make([]uint64, n)
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				want := &first[i%n]
				var k ledger.Key
				if _, _, ok := table.byDigest(&want.Digest, &k); !ok || k.ID != want.ID || k.CreatedBy != want.CreatedBy {
					t.Errorf("by digest: %v %v", ok, k)
					return
				}
				_, ok := table.byID(want.ID, &k)
				if !ok || k.Sequence < seen[i%n] || k.Sequence > n && len(k.Name) != int(k.Sequence%100) {
					t.Errorf("by id: %v sequence %d after %d, name %q", ok, k.Sequence, seen[i%n], k.Name)
					return
				}
				seen[i%n] = k.Sequence
			}
		})
	}
	for step := range 40_000 {
		k := first[step%n]
		k.Sequence = uint64(n + 1 + step)
		k.Name = strings.Repeat("y", int(k.Sequence%100))
		if step%10 == 0 {
			k = typicalKey(n + step)
		}
		if err := table.put(&k); err != nil {
			t.Fatal(err)
		}
		table.setUse(k.ID, ledger.Use{LastAt: k.CreatedAt, Count: uint64(step)})
		if err := table.compact(); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
}

// TestMemoryPerKey holds what a typical key takes, its use included, to 150 bytes.
func TestMemoryPerKey(t *testing.T) {
	const n = 200_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	table := newTable()
	for i := range n {
		k := typicalKey(i)
		if err := table.put(&k); err != nil {
			t.Fatal(err)
		}
		table.setUse(k.ID, ledger.Use{LastAt: k.CreatedAt, Count: 3})
	}
	perKey := float64(heap()-before) / n
	t.Logf("%.1f bytes a key: %.1f in records, %.1f in the indexes", perKey, float64(table.live)/n,
		float64(len(*table.ids.slots.Load())+len(*table.digests.slots.Load()))*8/n)
	if perKey > 150 {
		t.Errorf("a key takes %.1f bytes of memory, more than 150", perKey)
	}
	runtime.KeepAlive(table)
}

func BenchmarkTable(b *testing.B) {
	const n = 1_000_000
	table := newTable()
	digests := make([]ledger.Digest, n)
	for i := range n {
		k := typicalKey(i)
		digests[i] = k.Digest
		if err := table.put(&k); err != nil {
			b.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	rng.Shuffle(n, func(i, j int) { digests[i], digests[j] = digests[j], digests[i] })
	b.Run("byDigest", func(b *testing.B) {
		b.ReportAllocs()
		var k ledger.Key
		for i := range b.N {
			if _, _, ok := table.byDigest(&digests[i%n], &k); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("byDigestHot", func(b *testing.B) {
		var k ledger.Key
		for i := range b.N {
			if _, _, ok := table.byDigest(&digests[i%100], &k); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		var k ledger.Key
		d := digestOf(1)
		for i := range b.N {
			binary.LittleEndian.PutUint64(d[:], uint64(i))
			if _, _, ok := table.byDigest(&d, &k); ok {
				b.Fatal("found")
			}
		}
	})
	b.Run("put", func(b *testing.B) {
		table := newTable()
		b.ReportAllocs()
		k := typicalKey(1)
		for i := range b.N {
			binary.LittleEndian.PutUint64(k.ID[8:], uint64(i))
			binary.LittleEndian.PutUint64(k.Digest[8:], uint64(i))
			if err := table.put(&k); err != nil {
				b.Fatal(err)
			}
		}
	})
}
