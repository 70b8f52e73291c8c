package ledger

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"keyledger/events"
)

// Personal seals the personal data of events, and opens it (events.Sealer, events.Opener). Each key, agent and webhook
// has a secret that follows from that of its workspace, which a Vault keeps. It is safe for concurrent use.
//
// An erasure is an event first. From then on every node that has seen it (Learn) reads what is before it as erased, and
// destroys the secrets (Run), whichever comes first; the others find it done.
type Personal struct {
	vault Vault
	ring  ring

	learned atomic.Uint64 // erasures
	mu      sync.RWMutex
	erased  map[string]Erasure // subject of a key, or workspace as in a subject → its last erasure
	wake    chan struct{}      // has one when there may be an erasure to carry out

	destroying sync.Mutex
	done       uint64 // sequence of the last erasure that this node knows to be carried out
}

// NewPersonal gives a Personal. What it has in its vault is sealed with a key that follows from secret.
func NewPersonal(secret []byte) (*Personal, error) {
	p := &Personal{erased: make(map[string]Erasure), wake: make(chan struct{}, 1)}
	return p, p.ring.init(secret)
}

// Use gives it its vault. It comes before everything but Learn.
func (p *Personal) Use(ctx context.Context, vault Vault) (err error) {
	p.vault, p.ring.vault = vault, vault
	// Before anything of the vault is in memory: what was destroyed before need not be looked at again.
	p.done, _, err = p.noted(ctx)
	return err
}

// workspaceOf is the workspace of a subject, as it stands there; empty for a claim, which has no personal data.
func workspaceOf(subject string) string {
	rest, ok := strings.CutPrefix(subject, "ledger.")
	if !ok {
		return ""
	}
	workspace, _, _ := strings.Cut(rest, ".")
	return workspace
}

// Seal implements events.Sealer. For the first event of a workspace it waits until the secret is durable.
func (p *Personal) Seal(m *events.Message, present events.Presence, plain []byte) (events.Sealed, error) {
	workspace := workspaceOf(m.Subject)
	key, err := p.ring.toSeal(context.Background(), workspace, m.Subject, p.ended(workspace))
	if err != nil {
		return events.Sealed{}, err
	}
	s := events.Sealed{Present: present, Generation: key.generation}
	s.Box, err = key.seal(header(m, &s), plain)
	return s, err
}

// Open implements events.Opener.
func (p *Personal) Open(m *events.Message, s *events.Sealed) ([]byte, error) {
	if p.Erased(m) || s.Generation <= p.ended(workspaceOf(m.Subject)) {
		return nil, events.ErrErased
	}
	if len(s.Box) < ringMark {
		return nil, events.ErrForged
	}
	key, err := p.ring.toOpen(context.Background(), workspaceOf(m.Subject), m.Subject, s.Generation, s.Box[:ringMark])
	if err != nil {
		return nil, err
	}
	return key.open(header(m, s), s.Box)
}

// Erased implements events.Opener: it tells whether an erasure came after a message, as far as was learned.
func (p *Personal) Erased(m *events.Message) bool {
	if p.learned.Load() == 0 {
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return m.Sequence < p.erased[m.Subject].Sequence || m.Sequence < p.erased[workspaceOf(m.Subject)].Sequence
}

// ended is the last generation of a workspace that was erased, as far as was learned, 0 when none was. What is sealed with it
// is lost, even if it came after the erasure: see Erasure.Lost.
func (p *Personal) ended(workspace string) uint64 {
	if p.learned.Load() == 0 {
		return 0
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.erased[workspace].Generation
}

// Learn takes an erasure that the State has come to show: what is before it reads as erased from then on.
func (p *Personal) Learn(x *Erasure) {
	p.mu.Lock()
	if at := x.place(); x.Sequence > p.erased[at].Sequence {
		p.erased[at] = *x
		p.learned.Add(1)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// header is what a box is bound to beside its key: which event it is of, and what it is said to hold.
func header(m *events.Message, s *events.Sealed) []byte {
	b := make([]byte, 0, 160)
	b = append(append(b, byte(s.Present)), m.ID[:]...)
	b = append(append(b, m.Type...), 0)
	return append(b, m.Subject...)
}

// A box is the mark of the workspace's secret, a nonce, and AES-256-GCM of the plain text. The nonce is a MAC of header and
// plain text, as in SIV modes (RFC 8452): so none comes twice with a key, but for the same text of the same event.
const nonceSize = 12

// boxKey is the secret of one key, agent or webhook in one generation of its workspace.
type boxKey struct {
	generation uint64
	mark       [ringMark]byte
	leaf       node
}

func (k *boxKey) aead() (cipher.AEAD, error) {
	key := k.leaf.child(17, 0)
	return newGCM(key[:])
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return cipher.NewGCM(block)
}

func (k *boxKey) seal(header, plain []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	key := k.leaf.child(17, 1)
	digest := sha256.Sum256(append(append(header, 0), plain...))
	mac := sha256.Sum256(append(key[:], digest[:]...)) // both of one length: nothing can be appended
	nonce := mac[:nonceSize]
	box := make([]byte, 0, ringMark+nonceSize+len(plain)+aead.Overhead())
	return aead.Seal(append(append(box, k.mark[:]...), nonce...), nonce, plain, header), nil
}

func (k *boxKey) open(header, box []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	if len(box) < ringMark+nonceSize {
		return nil, events.ErrForged
	}
	plain, err := aead.Open(nil, box[ringMark:ringMark+nonceSize], box[ringMark+nonceSize:], header)
	if err != nil {
		return nil, events.ErrForged
	}
	return plain, nil
}
