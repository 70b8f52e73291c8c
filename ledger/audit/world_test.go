package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
)

const (
	testOrigin = "keyledger/test"
	testSource = "/keyledger/test"
	testID     = "0198a5c4-3f4e-7c21-9a3e-5f2f6f0e8f"
)

// history is a ledger in the making: its messages and the tree over them.
type history struct {
	leaves [][]byte
	hashes hashes
	signer note.Signer
	key    string
	keys   *testKeys // that personal data is sealed with; nil: it is in the clear

	secrets []Secret // that an export has
}

// testKeys seals and opens with one key.
type testKeys struct{ erased bool }

func (k *testKeys) box(m *events.Message, text []byte) []byte {
	out := bytes.Clone(text)
	for i := range out { // it tells nothing at a glance; that is enough here
		out[i] ^= m.ID[i%16] | 1
	}
	return out
}

func (k *testKeys) Seal(m *events.Message, present events.Presence, plain []byte) (events.Sealed, error) {
	return events.Sealed{Present: present, Generation: 1, Box: k.box(m, plain)}, nil
}

func (k *testKeys) Open(m *events.Message, s *events.Sealed) ([]byte, error) {
	if k.erased {
		return nil, events.ErrErased
	}
	return k.box(m, s.Box), nil
}

func (k *testKeys) Erased(*events.Message) bool { return false }

func (h *history) sealer() events.Sealer {
	if h.keys == nil {
		return nil
	}
	return h.keys
}

func (h *history) opener() events.Opener {
	if h.keys == nil {
		return nil
	}
	return h.keys
}

// hashes are the stored hashes of a tree.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = h[index]
	}
	return out, nil
}

func newHistory(t testing.TB) *history {
	t.Helper()
	seed := bytes.Repeat([]byte{7}, ed25519.SeedSize)
	h := &history{key: verifierKey(t, testOrigin, seed)}
	h.signer = newSigner(t, testOrigin, seed)
	return h
}

// verifierKey is the key that verifies what a seed signs.
func verifierKey(t testing.TB, origin string, seed []byte) string {
	t.Helper()
	key, err := note.NewEd25519VerifierKey(origin, ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB, origin string, seed []byte) note.Signer {
	t.Helper()
	skey, _, err := note.GenerateKey(&seedReader{seed}, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// seedReader gives the bytes of a seed.
type seedReader struct{ seed []byte }

func (r *seedReader) Read(p []byte) (int, error) { return copy(p, r.seed), nil }

// testTime is the time of the event with a sequence.
func testTime(sequence int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC).Add(time.Duration(sequence) * time.Second)
}

// keyID is the id of a key with a number below 256.
func keyID(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("%s%02x", testID, n)) }

// add adds an event with the sequence and the time that come next.
func (h *history) add(t testing.TB, subject string, p events.Payload) {
	t.Helper()
	h.addEvent(t, &events.Event{Subject: subject, Payload: p})
}

func (h *history) addEvent(t testing.TB, e *events.Event) {
	t.Helper()
	e.Sequence = uint64(len(h.leaves) + 1)
	if e.ID == uuid.Nil {
		e.ID = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, e.Sequence))
	}
	if e.Time.IsZero() {
		e.Time = testTime(len(h.leaves))
	}
	if e.Actor == "" {
		e.Actor = "system"
	}
	m, err := events.Encode(e, h.sealer())
	if err != nil {
		t.Fatal(err)
	}
	h.store(t, events.AppendLeaf(nil, &m))
}

// store adds a leaf, whatever it is.
func (h *history) store(t testing.TB, leaf []byte) {
	t.Helper()
	more, err := tlog.StoredHashes(int64(len(h.leaves)), leaf, h.hashes)
	if err != nil {
		t.Fatal(err)
	}
	h.leaves, h.hashes = append(h.leaves, leaf), append(h.hashes, more...)
}

// create adds the creation of the key with a number.
func (h *history) create(t testing.TB, n int) {
	t.Helper()
	h.add(t, keySubject(n), created(n))
}

func created(n int) *events.Created {
	return &events.Created{
		KeyID: keyID(n), Owner: keyOwner(n), Name: fmt.Sprint("key ", n), Environment: "live", KeyType: "external",
		Metadata: json.RawMessage(`{"tier":3}`), Digest: digest(n), Hint: "kl_3f…9z", Scopes: "deploy read",
	}
}

func digest(n int) events.Digest { return events.Digest(bytes.Repeat([]byte{byte(n + 1)}, 32)) }

func keyOwner(n int) events.Owner { return events.Owner{Workspace: fmt.Sprint("ws ", n%3)} }

func keySubject(n int) string {
	owner := keyOwner(n)
	return events.KeySubject(&owner, keyID(n))
}

// checkpoint is the signed head of the tree over the first size messages.
func (h *history) checkpoint(t testing.TB, size int) string {
	t.Helper()
	root, err := tlog.TreeHash(int64(size), h.hashes)
	if err != nil {
		t.Fatal(err)
	}
	return h.sign(t, size, root)
}

func (h *history) sign(t testing.TB, size int, root tlog.Hash) string {
	t.Helper()
	text, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", testOrigin, size, root)}, h.signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// export is the export of the messages from one to another, which ends with the head of the first size ones.
func (h *history) export(t testing.TB, from, to, size int) []byte {
	t.Helper()
	before, err := Cover(0, uint64(from-1), h.hashes)
	if err != nil {
		t.Fatal(err)
	}
	after, err := Cover(uint64(to), uint64(size), h.hashes)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w, err := NewWriter(&file, Header{Origin: testOrigin, Source: testSource, VerifierKey: h.key, From: uint64(from), Before: before})
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range h.leaves[from-1 : to] {
		if err := w.Append(leaf, h.opener()); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range h.secrets {
		if err := w.Secret(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(Footer{Checkpoint: h.checkpoint(t, size), After: after}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// story is a history with an event of most types.
func story(t testing.TB) *history {
	t.Helper()
	return tell(t, newHistory(t))
}

// sealedStory is the same, with its personal data sealed and erasures at its end.
func sealedStory(t testing.TB) *history {
	t.Helper()
	h := newHistory(t)
	h.keys = new(testKeys)
	h.secrets = []Secret{{strings.Repeat("3f", 32), []byte("a sealed secret")}, {strings.Repeat("a0", 32), []byte("another")}}
	tell(t, h)
	h.add(t, keySubject(0), &events.Erasure{KeyID: keyID(0), Workspace: keyOwner(0).Workspace})
	h.add(t, events.WorkspaceSubject("ws 1"), &events.Erasure{Workspace: "ws 1", Generation: 1})
	return h
}

func tell(t testing.TB, h *history) *history {
	t.Helper()
	hash := strings.Repeat("3f", 32)
	h.create(t, 0)
	h.create(t, 1)
	h.add(t, events.ClaimSubject("name", hash), &events.Claim{Kind: "name", Hash: hash, Holder: keyID(2).String()})
	h.create(t, 2)
	h.add(t, keySubject(1), &events.Updated{KeyID: keyID(1), Name: new("nightly"), Scopes: new("")})
	h.add(t, keySubject(1), &events.Rotated{KeyID: keyID(1), Digest: digest(11), Hint: "kl_77…ab", PreviousExpiresAt: testTime(100)})
	h.add(t, keySubject(2), &events.Disabled{KeyID: keyID(2)})
	h.add(t, keySubject(2), &events.Enabled{KeyID: keyID(2)})
	h.add(t, keySubject(2), &events.FirstUsed{KeyID: keyID(2), At: testTime(7)})
	h.add(t, events.AgentSubject("acme", "", "bot7"), &events.Agent{ID: "bot7", Name: "Böt \"seven\"", Workspace: "acme"})
	h.add(t, keySubject(2), &events.Revoked{KeyID: keyID(2), Reason: "leaked"})
	h.add(t, events.WebhookSubject("acme", "", "", keyID(9)), &events.Webhook{ID: keyID(9), Workspace: "acme", URL: "https://example.com/in?key=3"})
	return h
}
