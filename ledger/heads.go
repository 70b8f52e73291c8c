package ledger

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// SigningSeed is the length of the seed of a signing key, in bytes (RFC 8032 section 5.1.5).
const SigningSeed = ed25519.SeedSize

// headInterval is how often a head is signed while the ledger grows.
const headInterval = time.Second

// HeadsConfig is what Heads are made of. All fields but the last two are needed.
type HeadsConfig struct {
	Log    Log
	Heads  HeadLog
	State  State
	Origin string // names the ledger in its heads, and the key: a URL without scheme; no space and no plus
	Seed   []byte // of the Ed25519 key: SigningSeed bytes, the same on every node of the ledger

	// Keep stores the last signed head durably where who can change the log may not reach it; Kept is what it stored last,
	// in this process or in one before: nil when there is none.
	Keep func(note []byte) error
	Kept func() ([]byte, error)

	Interval time.Duration // between two heads; 1 s when 0

	// Patience is how long Check waits for a log that ends before a head: see Reached.
	Patience time.Duration
}

// Heads sign the heads of the tree over the ledger, and hold the ledger against those that were signed before. All nodes of
// a ledger sign with one key; as all of them show the same messages, it does not matter which of them signs.
type Heads struct {
	config   HeadsConfig
	signer   note.Signer
	known    note.Verifiers
	verifier string
	latest   atomic.Pointer[SignedHead]
	cosigned cosignatures
}

// NewHeads gives Heads that have signed nothing yet.
func NewHeads(c HeadsConfig) (*Heads, error) {
	if c.Interval == 0 {
		c.Interval = headInterval
	}
	if len(c.Seed) != SigningSeed {
		return nil, fmt.Errorf("ledger: the seed of the signing key has %d bytes, not %d", len(c.Seed), SigningSeed)
	}
	public, ok := ed25519.NewKeyFromSeed(c.Seed).Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("ledger: no Ed25519 key")
	}
	h := &Heads{config: c}
	var err error
	if h.verifier, err = note.NewEd25519VerifierKey(c.Origin, public); err != nil {
		return nil, fmt.Errorf("ledger: signing key of %q: %w", c.Origin, err)
	}
	verifier, err := note.NewVerifier(h.verifier)
	if err != nil {
		return nil, fmt.Errorf("ledger: signing key of %q: %w", c.Origin, err)
	}
	h.known = note.VerifierList(verifier)
	// The note package takes keys in its own form only: name, hash of the public key, algorithm and seed.
	hash := strings.Split(h.verifier, "+")[1]
	algorithm := []byte{1}
	h.signer, err = note.NewSigner("PRIVATE+KEY+" + c.Origin + "+" + hash + "+" +
		base64.StdEncoding.EncodeToString(append(algorithm, c.Seed...)))
	if err != nil {
		return nil, errors.New("ledger: the signing key cannot be used") // the error could show it
	}
	return h, nil
}

// VerifierKey is the key that the heads are verified with, in the form of signed notes: <origin>+<hash>+<key>.
func (h *Heads) VerifierKey() string { return h.verifier }

// Latest is the last head that this node has signed, nil when there is none.
func (h *Heads) Latest() *SignedHead { return h.latest.Load() }

// Run signs a head at once and then in every interval in which the ledger has grown, until ctx ends. It fails with
// ErrDiverged when another node has signed what this node does not show.
func (h *Heads) Run(ctx context.Context) error {
	tick := time.NewTicker(h.config.Interval)
	defer tick.Stop()
	for {
		if err := h.Sign(ctx); errors.Is(err, ErrDiverged) {
			return err
		} // what cannot be stored now is signed later; Latest stays as it is
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Sign signs the head of what the State shows, unless the last one is it. A head is stored before Latest gives it.
func (h *Heads) Sign(ctx context.Context) error {
	size := h.config.State.Position()
	if latest := h.latest.Load(); size == 0 || latest != nil && latest.Size >= size {
		return nil
	}
	root, err := h.root(size)
	if err != nil {
		return err
	}
	head := SignedHead{Head: Head{Origin: h.config.Origin, Size: size, Root: root}}
	if head.Note, err = note.Sign(&note.Note{Text: head.text()}, h.signer); err != nil {
		return fmt.Errorf("ledger: sign a head: %w", err)
	}
	if err := h.config.Keep(head.Note); err != nil {
		return fmt.Errorf("ledger: keep a head: %w", err)
	}
	if err := h.store(ctx, &head); err != nil {
		return err
	}
	h.latest.Store(&head)
	return nil
}

// store stores a head, unless another node has stored one that says as much or is just doing so.
func (h *Heads) store(ctx context.Context, head *SignedHead) error {
	text, sequence, err := h.config.Heads.LastHead(ctx)
	if err != nil {
		return err
	}
	if text != nil {
		last, err := h.open(text)
		if err != nil {
			return err
		}
		if last.Size <= head.Size {
			if err := h.agree(&last); err != nil {
				return err
			}
		}
		if last.Size >= head.Size {
			return nil
		}
	}
	if _, err = h.config.Heads.AppendHead(ctx, head.Note, sequence); errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// open gives the head that a note says, if this ledger's key has signed it.
func (h *Heads) open(text []byte) (Head, error) {
	n, err := note.Open(text, h.known)
	if err != nil {
		return Head{}, fmt.Errorf("%w: a stored head is not signed by %s: %w", ErrDiverged, h.verifier, err)
	}
	head, err := parseHead(n.Text)
	if err == nil && head.Origin != h.config.Origin {
		err = fmt.Errorf("it is of %q", head.Origin)
	}
	if err != nil {
		return Head{}, fmt.Errorf("%w: a stored head: %w", ErrDiverged, err)
	}
	return head, nil
}

// agree fails with ErrDiverged when the State, which has come that far, has another root than a head.
func (h *Heads) agree(head *Head) error {
	root, err := h.root(head.Size)
	if err != nil {
		return err
	}
	if root != head.Root {
		return fmt.Errorf("%w: the root of its first %d events is %s, and was %s when it was signed",
			ErrDiverged, head.Size, root, head.Root)
	}
	return nil
}

func (h *Heads) root(size uint64) (tlog.Hash, error) {
	root, err := tlog.TreeHash(int64(size), h.config.State)
	if err != nil {
		return root, fmt.Errorf("ledger: root of %d events: %w", size, err)
	}
	return root, nil
}
