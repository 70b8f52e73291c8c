package client

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// numbered is the creation of the key with a number, and its token.
func numbered(i int) (*events.Event, string) {
	payload := fmt.Sprintf("kl_%043d", i)
	token := payload + checksumOf(payload)
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], uint64(i+1))
	return &events.Event{Payload: &events.Created{
		KeyID: id, Digest: sha256.Sum256([]byte(token)), Environment: "live", Scopes: "files:read files:write",
		Owner: events.Owner{Workspace: "acme", Org: fmt.Sprint("org-", i%1000)},
	}}, token
}

// filled is a replica of n keys.
func filled(n int) *replica {
	t := newReplica(0)
	for i := range n {
		e, _ := numbered(i)
		t.fold(e)
	}
	return t
}

// ready is a Verifier that decides from a replica, without a ledger.
func readyVerifier(t *replica) *Verifier {
	v := &Verifier{options: VerifierOptions{TokenPrefix: "kl"}}
	v.replica.Store(t)
	v.fresh.Store(true)
	return v
}

// TestMemoryPerKey: a key takes at most 150 bytes.
func TestMemoryPerKey(t *testing.T) {
	const keys = 200_000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	r := filled(keys)
	perKey := float64(heap()-before) / keys
	t.Logf("%.1f bytes a key", perKey)
	if perKey > 150 || perKey < 80 {
		t.Errorf("%.1f bytes a key", perKey)
	}
	if r.keys() != keys {
		t.Errorf("it has %d keys", r.keys())
	}
}

func TestVerifyDoesNotAllocate(t *testing.T) {
	r := filled(1000)
	expiring, token := numbered(1000)
	expiring.Payload.(*events.Created).ExpiresAt = time.Now().Add(time.Hour)
	r.fold(expiring)
	v := readyVerifier(r)
	want := &Want{Scopes: []string{"files:read"}, WorkspaceID: "acme"}
	for name, token := range map[string]string{"valid": token, "unknown": token + "x", "malformed": "x"} {
		if n := testing.AllocsPerRun(1000, func() {
			if _, err := v.VerifyFor(token, want); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestReadersAndWriter: while keys change, and the replica is rebuilt, a key that does not is always valid, one that is
// revoked never again, and no use is lost.
func TestReadersAndWriter(t *testing.T) {
	v := readyVerifier(filled(2 * perChunk))
	v.reports.retired = make(chan *replica, 4)
	v.reports.waiting = make(map[uuid.UUID]Used)
	_, stays := numbered(0)
	ends, ended := numbered(1)
	v.apply(&events.Event{Payload: &events.Revoked{KeyID: ends.Payload.(*events.Created).KeyID}}, &place{})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	counts := make([]uint64, 4)
	for n := range counts {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if d, err := v.Verify(stays); err != nil || d.Code != Valid {
					t.Errorf("%v %v", d.Code, err)
					return
				}
				counts[n]++
				if d, err := v.Verify(ended); err != nil || d.Code != KeyRevoked {
					t.Errorf("%v %v", d.Code, err)
					return
				}
			}
		})
	}
	first, rebuilt := v.replica.Load(), 0
	for i := range 6 * perChunk {
		e, _ := numbered(2 + i%perChunk)
		id := e.Payload.(*events.Created).KeyID
		scopes := fmt.Sprint("scope-", i%7)
		v.apply(&events.Event{Payload: &events.Updated{KeyID: id, Scopes: &scopes}}, &place{})
		if now := v.replica.Load(); now != first {
			first, rebuilt = now, rebuilt+1
			v.reports.collectRetired(time.Now())
		}
	}
	close(stop)
	readers.Wait()
	if rebuilt < 2 {
		t.Errorf("it was rebuilt %d times", rebuilt)
	}
	v.reports.collectRetired(time.Now())
	v.reports.collectRetired(time.Now())
	v.reports.collect(v.replica.Load(), time.Now())
	var used, reported uint64
	for _, n := range counts {
		used += n
	}
	for _, u := range v.reports.waiting {
		reported += u.Count
	}
	if reported > used || reported < used*9/10 {
		t.Errorf("%d uses were reported of %d", reported, used)
	}
}

// TestCollidingHashes: keys whose hashes are all the same are found all the same, and removed ones are not.
func TestCollidingHashes(t *testing.T) {
	r := newReplica(0)
	r.hasher = hasher{}
	var ids []uuid.UUID
	for i := range 300 {
		var d events.Digest
		var id uuid.UUID
		binary.BigEndian.PutUint64(d[24:], uint64(i+1)) // the first 16 bytes are those of all others
		binary.BigEndian.PutUint64(id[8:], uint64(i+1))
		r.fold(&events.Event{Payload: &events.Created{KeyID: id, Digest: d, Environment: "live"}})
		ids = append(ids, id)
	}
	for round := range 3 {
		for i, id := range ids {
			var d events.Digest
			binary.BigEndian.PutUint64(d[16:], uint64(round+1))
			binary.BigEndian.PutUint64(d[24:], uint64(i+1))
			r.fold(&events.Event{Payload: &events.Rotated{KeyID: id, Digest: d}})
		}
	}
	for i := range ids {
		for round := range 4 {
			var d events.Digest
			binary.BigEndian.PutUint64(d[16:], uint64(round))
			binary.BigEndian.PutUint64(d[24:], uint64(i+1))
			if _, place := r.find(r.digests, d[:]); (place != 0) != (round >= 2) {
				t.Fatalf("token %d of key %d: found %v", round, i, place != 0)
			}
		}
	}
}

// A token that was replaced without grace is over for a clock that is behind that of the node which replaced it.
func TestFoldRotatedWithoutGrace(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Minute} {
		r := filled(1)
		e, token := numbered(0)
		ahead := time.Now().Add(time.Hour)
		r.fold(&events.Event{Header: events.Header{Time: ahead}, Payload: &events.Rotated{
			KeyID: e.Payload.(*events.Created).KeyID, Digest: events.Digest{1}, PreviousExpiresAt: ahead.Add(grace),
		}})
		want := Valid
		if grace == 0 {
			want = KeyExpired
		}
		if v, err := readyVerifier(r).Verify(token); err != nil || v.Code != want {
			t.Errorf("grace %v: %s, want %s: %v", grace, v.Code, want, err)
		}
	}
}

// FuzzSnapshot: whatever a file holds, it is refused or decoded, and a decoded one is encoded to the same.
func FuzzSnapshot(f *testing.F) {
	r := filled(20)
	owner := Owner{WorkspaceID: "acme"}
	e, _ := numbered(3)
	r.fold(&events.Event{Payload: &events.Rotated{KeyID: e.Payload.(*events.Created).KeyID, Digest: events.Digest{1}}})
	good, err := r.encode(owner, place{next: 8, last: 7, id: uuid.New()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:len(good)-sha256.Size])
	f.Add([]byte(snapshotForm + "{}\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		data := append(append([]byte{}, body...), sum[:]...)
		decoded, at, err := decodeReplica(data, owner)
		if err != nil {
			return
		}
		again, err := decoded.encode(owner, at)
		if err != nil {
			t.Fatal(err)
		}
		second, where, err := decodeReplica(again, owner)
		if err != nil || second.keys() != decoded.keys() || where != at {
			t.Fatalf("%v: %d keys for %d, %+v for %+v", err, second.keys(), decoded.keys(), where, at)
		}
	})
}

// checksumOf is the checksum of a minted token.
func checksumOf(payload string) string {
	var digits [crcDigits]byte
	sum := crc32.ChecksumIEEE([]byte(payload))
	for i := range digits {
		digits[crcDigits-1-i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}
