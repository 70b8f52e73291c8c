package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/ledger"
)

// leaves are the records of leaves.
func leaves(list [][]byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, leaf := range list {
			if !yield(LeafRecord(leaf), nil) {
				return
			}
		}
	}
}

// findings verifies leaves from one sequence on against the rules, and gives what it finds: the same from memory and from
// files.
func findings(t testing.TB, from uint64, before []tlog.Hash, list [][]byte) []string {
	t.Helper()
	var found [2][]string
	for i, most := range []int{0, 1} {
		v := newVerification(t, Options{
			From: from, Before: before, Now: testTime(1000), Most: most,
			Found: func(f Finding) { found[i] = append(found[i], f.String()) },
		})
		if err := v.Read(t.Context(), leaves(list)); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := slices.Sorted(slices.Values(found[0])), slices.Sorted(slices.Values(found[1])); !slices.Equal(a, b) {
		t.Errorf("found from files\n%s\nand from memory\n%s", strings.Join(b, "\n"), strings.Join(a, "\n"))
	}
	return found[0]
}

// newVerification gives a verification that leaves no files behind.
func newVerification(t testing.TB, o Options) *Verification {
	t.Helper()
	o.Folder = t.TempDir()
	v, err := NewVerification(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(o.Folder); err != nil || len(left) > 0 {
			t.Errorf("%d files are left behind: %v", len(left), err)
		}
	})
	return v
}

// expect holds that there is one finding for each of what is wanted, which it contains.
func expect(t testing.TB, found []string, want ...string) {
	t.Helper()
	if len(found) != len(want) {
		t.Fatalf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	for i := range found {
		if !strings.Contains(found[i], want[i]) {
			t.Errorf("found\n%s\nwant\n%s", found[i], want[i])
		}
	}
}

// TestRules: each rule that is broken is found, once and where.
func TestRules(t *testing.T) {
	owner := events.Owner{Workspace: "other"}
	for name, c := range map[string]struct {
		add  func(*history)
		want []string
	}{
		"none": {func(*history) {}, nil},
		"never created": {func(h *history) { h.add(t, keySubject(7), &events.Disabled{KeyID: keyID(7)}) },
			[]string{"error    3  " + keyID(7).String() + "  key.disabled of a key that was not created before"}},
		"created again": {func(h *history) { h.create(t, 1) }, []string{"error    3  " + keyID(1).String() + "  the key is created again"}},
		"after the revocation": {func(h *history) {
			h.add(t, keySubject(1), &events.Revoked{KeyID: keyID(1)})
			h.add(t, keySubject(1), &events.Enabled{KeyID: keyID(1)})
			h.add(t, keySubject(1), &events.Revoked{KeyID: keyID(1)})
			h.add(t, keySubject(1), &events.FirstUsed{KeyID: keyID(1), At: testTime(0)})
		}, []string{"key.enabled of a key that is revoked", "key.revoked of a key that is revoked", "key.first_used of a key that is revoked"}},
		"another owner": {func(h *history) { h.add(t, events.KeySubject(&owner, keyID(1)), &events.Disabled{KeyID: keyID(1)}) },
			[]string{"the key has another owner than before: ledger.other.~.~."}},
		"a digest again":       {func(h *history) { h.add(t, keySubject(1), rotation(digest(0), time.Time{})) }, []string{"its digest is that of event 1"}},
		"its own digest again": {func(h *history) { h.add(t, keySubject(1), rotation(digest(1), time.Time{})) }, []string{"its digest is that of event 2"}},
		"a long grace": {func(h *history) { h.add(t, keySubject(1), rotation(digest(9), testTime(2).Add(8*24*time.Hour))) },
			[]string{"the secret before the rotation lives longer than 168h"}},
		"a grace beyond the expiry": {func(h *history) {
			h.add(t, keySubject(1), &events.Updated{KeyID: keyID(1), ExpiresAt: new(testTime(100))})
			h.add(t, keySubject(1), rotation(digest(9), testTime(101)))
		}, []string{"lives longer than the key"}},
		"rotated after the expiry": {func(h *history) {
			h.add(t, keySubject(1), &events.Updated{KeyID: keyID(1), ExpiresAt: new(testTime(3))})
			h.add(t, keySubject(1), rotation(digest(9), testTime(3)))
		}, []string{"the key is expired"}},
		"an expiry in the past": {func(h *history) {
			h.add(t, keySubject(1), &events.Updated{KeyID: keyID(1), ExpiresAt: new(testTime(1))})
		},
			[]string{"expires_at"}},
		"disabled twice": {func(h *history) {
			h.add(t, keySubject(1), &events.Enabled{KeyID: keyID(1)})
			h.add(t, keySubject(1), &events.Disabled{KeyID: keyID(1)})
			h.add(t, keySubject(1), &events.Disabled{KeyID: keyID(1)})
		}, []string{"is not disabled", "that is disabled"}},
		"used for the first time twice": {func(h *history) {
			h.add(t, keySubject(1), &events.FirstUsed{KeyID: keyID(1), At: testTime(2)})
			h.add(t, keySubject(1), &events.FirstUsed{KeyID: keyID(1), At: testTime(2)})
		}, []string{"one was announced before"}},
		"expired too soon": {func(h *history) {
			h.add(t, keySubject(1), &events.Updated{KeyID: keyID(1), ExpiresAt: new(testTime(100))})
			h.add(t, keySubject(1), &events.Expired{KeyID: keyID(1), ExpiresAt: testTime(100)})
			h.add(t, keySubject(1), &events.Expiring{KeyID: keyID(1), ExpiresAt: testTime(99), Horizon: time.Minute})
		}, []string{"key.expired of an expiry", "key.expiring of an expiry"}},
		"an agent twice": {func(h *history) {
			for range 2 {
				h.add(t, events.AgentSubject("acme", "", "bot7"), &events.Agent{ID: "bot7", Name: "a", Workspace: "acme"})
			}
		}, []string{"error    4  bot7  the agent is registered again"}},
		"webhooks": {func(h *history) {
			subject := events.WebhookSubject("acme", "", "", keyID(9))
			h.add(t, subject, &events.WebhookUpdate{ID: keyID(9), Name: new("a")})
			h.add(t, subject, &events.Webhook{ID: keyID(9), Workspace: "acme", URL: "https://example.com"})
			h.add(t, subject, &events.Webhook{ID: keyID(9), Workspace: "acme", URL: "https://example.com"})
			h.add(t, subject, &events.WebhookUpdate{ID: keyID(9), SecretVersion: 3})
			h.add(t, events.WebhookSubject("beta", "", "", keyID(9)), &events.WebhookUpdate{ID: keyID(9), Name: new("a")})
			h.add(t, subject, &events.WebhookDelete{ID: keyID(9)})
			h.add(t, subject, &events.WebhookUpdate{ID: keyID(9), Name: new("a")})
		}, []string{"was not created before", "created again", "version 3 of the secret follows 1", "another owner", "that is deleted"}},
		"clocks": {func(h *history) {
			h.addEvent(t, &events.Event{Header: events.Header{Time: testTime(-400)}, Subject: keySubject(1), Payload: &events.Updated{KeyID: keyID(1)}})
			h.addEvent(t, &events.Event{Header: events.Header{Time: testTime(2000)}, Subject: keySubject(1), Payload: &events.Updated{KeyID: keyID(1)}})
		}, []string{"warning  3  -  its time is 6m41s before that of the event before it", "warning  4  -  its time is 16m40s ahead of this clock"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.create(t, 0)
			h.create(t, 1)
			c.add(h)
			expect(t, findings(t, 1, nil, h.leaves), c.want...)
		})
	}
}

func rotation(d events.Digest, until time.Time) *events.Rotated {
	return &events.Rotated{KeyID: keyID(1), Digest: d, PreviousExpiresAt: until}
}

// TestClaimRules: a claim is held once, by what needs it.
func TestClaimRules(t *testing.T) {
	unique := created(1)
	unique.UniqueName = true
	k := ledger.Key{ID: unique.KeyID, Owner: unique.Owner, Type: unique.KeyType, Name: unique.Name, UniqueName: true}
	take := func(h *history, kind, hash string, holder uuid.UUID) {
		h.add(t, events.ClaimSubject(kind, hash), &events.Claim{Kind: kind, Hash: hash, Holder: holder.String()})
	}
	release := func(h *history, kind, hash string) {
		h.add(t, events.ClaimSubject(kind, hash), &events.Release{Kind: kind, Hash: hash})
	}
	token := fmt.Sprintf("%x", digest(1))
	for name, c := range map[string]struct {
		add  func(*history)
		want []string
	}{
		"as it must be": {func(h *history) {
			take(h, "root", "00", keyID(1))
			take(h, "token", token, keyID(1))
			take(h, "name", k.NameClaim(), keyID(1))
			h.add(t, keySubject(1), unique)
			take(h, "root", "00", keyID(1))
			release(h, "name", k.NameClaim())
			h.add(t, keySubject(1), &events.Revoked{KeyID: keyID(1)})
		}, nil},
		"taken twice": {func(h *history) {
			take(h, "token", token, keyID(1))
			take(h, "token", token, keyID(2))
			h.add(t, keySubject(1), created(1))
			h.add(t, keySubject(2), created(2))
		}, []string{"error    2  token  the claim is taken, and has been held by " + keyID(1).String() + " since event 1"}},
		"held by nobody": {func(h *history) {
			take(h, "root", "00", keyID(5))
			take(h, "token", token, keyID(1))
			h.create(t, 0)
		}, []string{"held by", "held by"}},
		"no claim": {func(h *history) {
			h.add(t, keySubject(1), unique)
		}, []string{"does not hold the claim of it"}},
		"another name": {func(h *history) {
			take(h, "name", k.NameClaim(), keyID(1))
			h.add(t, keySubject(1), unique)
			h.add(t, keySubject(1), &events.Updated{KeyID: keyID(1), Name: new("other")})
		}, []string{"which has no such thing", "does not hold the claim"}},
		"released for ever": {func(h *history) {
			take(h, "token", token, keyID(1))
			h.create(t, 1)
			release(h, "token", token)
			release(h, "name", "00")
		}, []string{"a claim of kind token is released", "a claim is released that is not held"}},
		"cut within a commit": {func(h *history) {
			h.create(t, 0)
			take(h, "token", token, keyID(1))
			take(h, "name", k.NameClaim(), keyID(1))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			c.add(h)
			found := findings(t, 1, nil, h.leaves)
			slices.SortFunc(found, func(a, b string) int { // claims have no order
				return strings.Compare(strings.TrimPrefix(a, "error    -"), strings.TrimPrefix(b, "error    -"))
			})
			if len(found) != len(c.want) {
				t.Fatalf("found %q, want %q", found, c.want)
			}
			for _, want := range c.want {
				if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, want) }) {
					t.Errorf("found %q, want %q", found, c.want)
				}
			}
		})
	}
}

// TestParts: of a part of a history what was before it is not known, and not wrong.
func TestParts(t *testing.T) {
	h := story(t)
	for from := range h.leaves {
		before, err := Cover(0, uint64(from), h.hashes)
		if err != nil {
			t.Fatal(err)
		}
		for to := from; to <= len(h.leaves); to++ {
			found := findings(t, uint64(from+1), before, h.leaves[from:to])
			if from == 0 && to > 3 { // the claim of the story is of a key that has no unique name
				expect(t, found, "which has no such thing")
				continue
			}
			expect(t, found)
		}
	}
}

// TestHeads: a change of the order, the number or the bytes of events has another root, before or at the head.
func TestHeads(t *testing.T) {
	h := newHistory(t)
	for n := range 10 {
		h.create(t, n)
	}
	size := len(h.leaves)
	other := newHistory(t)
	other.create(t, 0)
	other.add(t, keySubject(3), created(3))
	head := func(n int) *ledger.Head {
		head, err := ledger.OpenHead([]byte(h.checkpoint(t, n)), h.key)
		if err != nil {
			t.Fatal(err)
		}
		return &head
	}
	swapped := slices.Clone(h.leaves)
	swapped[3], swapped[4] = swapped[4], swapped[3]
	flipped := slices.Clone(h.leaves)
	flipped[3] = bytes.Clone(flipped[3])
	flipped[3][len(flipped[3])-1] ^= 1
	for name, c := range map[string]struct {
		leaves [][]byte
		since  *ledger.Head
		want   []string
	}{
		"the same":       {h.leaves, head(4), nil},
		"since itself":   {h.leaves, head(10), nil},
		"since nothing":  {h.leaves, &ledger.Head{Root: tlog.Hash(rootOf(t))}, nil},
		"since later":    {h.leaves[:9], head(10), []string{"those from 10 on are gone"}},
		"removed":        {slices.Delete(slices.Clone(h.leaves), 3, 4), nil, []string{"5  -  it comes where event 4 must", "cannot be held against"}},
		"removed at end": {h.leaves[:9], nil, []string{"cannot be held against"}},
		"twice":          {slices.Insert(slices.Clone(h.leaves), 3, h.leaves[2]), nil, []string{"3  -  it comes where event 4 must", "created again", "cannot be held"}},
		"swapped": {swapped, head(5), []string{"5  -  it comes where event 4", "4  -  it comes where event 6", "are not those of the earlier head",
			"6  -  it comes where event 5", "the root of the events is"}},
		"flipped": {flipped, head(4), []string{"message 4 is not a valid", "are not those of the earlier head", "the root of the events is"}},
	} {
		t.Run(name, func(t *testing.T) {
			var found []string
			v := newVerification(t, Options{Since: c.since, Now: testTime(100), Found: func(f Finding) { found = append(found, f.String()) }})
			if err := v.Read(t.Context(), leaves(c.leaves)); err != nil {
				t.Fatal(err)
			}
			end := head(size)
			if name == "since later" {
				end = head(9)
			}
			v.Hold(end, nil)
			expect(t, found, c.want...)
			if v.Findings(Error) != len(c.want) {
				t.Errorf("%d errors", v.Findings(Error))
			}
		})
	}
}

func rootOf(t testing.TB) tlog.Hash {
	t.Helper()
	root, err := tlog.TreeHash(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestReadEndsWithItsRecords: an error of what is read is returned, after what came before it.
func TestReadEndsWithItsRecords(t *testing.T) {
	h := newHistory(t)
	for n := range 200 {
		h.create(t, n)
	}
	broken := errors.New("broken")
	v := newVerification(t, Options{Most: 20, Found: func(f Finding) { t.Error(f.String()) }})
	err := v.Read(t.Context(), func(yield func(Record, error) bool) {
		for _, leaf := range h.leaves {
			if !yield(LeafRecord(leaf), nil) {
				return
			}
		}
		yield(Record{}, broken)
	})
	if !errors.Is(err, broken) || v.Size() != 200 {
		t.Errorf("%v after %d events", err, v.Size())
	}
	if keys, digests := len(v.rules.keys.recent), len(v.rules.digests.recent); keys > 20 || digests > 20 {
		t.Errorf("%d keys and %d digests are in memory, at most 20 should be", keys, digests)
	}
}

// TestFilesThatCannotBeMade: what was forgotten is no finding, and no verification.
func TestFilesThatCannotBeMade(t *testing.T) {
	h := newHistory(t)
	for n := range 3 {
		h.create(t, n)
	}
	v, err := NewVerification(Options{Folder: filepath.Join(t.TempDir(), "missing"), Most: 1, Found: func(f Finding) { t.Error(f.String()) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Read(t.Context(), leaves(h.leaves)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its files: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}
