package ledger

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"keyledger/events"
)

// Sizes of a ring.
const (
	ringMark  = 4    // bytes that tell one secret of a workspace from another
	ringCache = 4096 // pieces that are kept in memory: 150 bytes each, 9 KB at most
)

// vaultPatience is how long the vault may take to answer.
const vaultPatience = 5 * time.Second

// ring gives the secrets of personal data. For each workspace there is a value in the vault: its generation, which grows
// with each erasure of the workspace, and the top piece of the tree of secrets (see piece). The other pieces, of which
// there are some only when a key was erased, are values of their own, sealed with a secret that is in the first: so to
// destroy that one is to destroy all.
type ring struct {
	vault Vault
	key   []byte // that the values are sealed with

	loading sync.Mutex // held while the vault is asked: so an old value never replaces a newer one in memory
	mu      sync.RWMutex
	pieces  map[place]*held
}

// place is where a piece is in a ring.
type place struct {
	workspace  string // as in a subject
	generation uint64 // 0 for the top piece
	depth      int
	way        way // its first depth bytes
}

// name is the name of the piece in the vault.
func (at *place) name() string {
	if at.depth == 0 {
		return at.workspace
	}
	return fmt.Sprintf("%s %d %x", at.workspace, at.generation, at.way[:at.depth])
}

// down is the place of the piece one byte further down the way.
func (at place) down(generation uint64, w way) place {
	at.generation, at.depth = generation, at.depth+1
	copy(at.way[:at.depth], w[:])
	return at
}

// held is a piece with what else its value has, and its revision in the vault; revision 0: there is none.
type held struct {
	revision   uint64
	generation uint64         // of the top piece, as are the two below
	mark       [ringMark]byte // random
	wrap       node           // random: what the other pieces are sealed with
	piece      piece
}

func (r *ring) init(secret []byte) (err error) {
	r.pieces = make(map[place]*held)
	if r.key, err = hkdf.Key(sha256.New, secret, nil, "keyledger vault", 32); err != nil {
		return fmt.Errorf("ledger: derive the key of the vault: %w", err)
	}
	return nil
}

// toSeal gives the key that personal data of what a subject names is sealed with: that of the present generation, which is
// after the last one that was ended. A workspace without such a secret gets one.
func (r *ring) toSeal(ctx context.Context, workspace, subject string, ended uint64) (boxKey, error) {
	for {
		top, err := r.load(ctx, place{workspace: workspace}, nil)
		switch {
		case err != nil:
			return boxKey{}, err
		case top.revision > 0 && top.generation > ended:
			return r.leaf(ctx, workspace, subject, top)
		case top.revision > 0:
			err = r.destroyWorkspace(ctx, workspace, ended) // this comes before the one who has this to do
		default:
			err = r.begin(ctx, workspace, ended+1)
		}
		if err != nil && !errors.Is(err, ErrConflict) {
			return boxKey{}, err
		}
	}
}

// begin gives a workspace its first secret, unless another node does: ErrConflict.
func (r *ring) begin(ctx context.Context, workspace string, generation uint64) error {
	fresh, err := freshTop(generation)
	if err != nil {
		return err
	}
	return r.keep(ctx, place{workspace: workspace}, nil, fresh)
}

// toOpen gives the key that it was sealed with: events.ErrErased when it was destroyed, events.ErrNoKey when it is not of this
// vault.
func (r *ring) toOpen(ctx context.Context, workspace, subject string, generation uint64, mark []byte) (boxKey, error) {
	at := place{workspace: workspace}
	var err error
	top := r.known(at)
	if top == nil || top.generation < generation { // another node has made it
		top, err = r.reload(ctx, at, nil)
	}
	switch {
	case err != nil:
		return boxKey{}, err
	case generation < top.generation:
		return boxKey{}, events.ErrErased
	case generation > top.generation || !bytes.Equal(mark, top.mark[:]):
		return boxKey{}, events.ErrNoKey
	}
	return r.leaf(ctx, workspace, subject, top)
}

// leaf gives the key of what a subject names.
func (r *ring) leaf(ctx context.Context, workspace, subject string, top *held) (boxKey, error) {
	w := wayOf(subject)
	at, h := place{workspace: workspace}, top
	for depth := range w {
		if n := h.piece.find(w[depth]); n != nil {
			below := n.below(depth, w[depth])
			return boxKey{generation: top.generation, mark: top.mark, leaf: below.leaf(w, depth+1)}, nil
		}
		if depth+1 == len(w) {
			break
		}
		at = at.down(top.generation, w)
		var err error
		if h, err = r.load(ctx, at, top); err != nil {
			return boxKey{}, err
		}
		if h.revision == 0 {
			break
		}
	}
	return boxKey{}, events.ErrErased
}

// freshTop is a new secret for a workspace.
func freshTop(generation uint64) (*held, error) {
	h := &held{generation: generation}
	var root node
	for _, b := range [][]byte{h.mark[:], h.wrap[:], root[:]} {
		if _, err := rand.Read(b); err != nil {
			return nil, fmt.Errorf("ledger: draw a secret: %w", err)
		}
	}
	h.piece = piece{{node: root}}
	return h, nil
}

// load gives what is at a place, from memory if it is there. top is the top piece of the workspace, nil for itself.
func (r *ring) load(ctx context.Context, at place, top *held) (*held, error) {
	if h := r.known(at); h != nil {
		return h, nil
	}
	return r.reload(ctx, at, top)
}

// known gives what is at a place if it is in memory, else nil.
func (r *ring) known(at place) *held {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.pieces[at]
}

// reload gives what is at a place in the vault now.
func (r *ring) reload(ctx context.Context, at place, top *held) (*held, error) {
	r.loading.Lock()
	defer r.loading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, vaultPatience)
	defer cancel()
	value, revision, err := r.vault.Secret(ctx, at.name())
	if err != nil {
		return nil, fmt.Errorf("ledger: vault: %w", err)
	}
	h := &held{}
	if revision > 0 {
		if h, err = r.parse(at, top, value); err != nil {
			return nil, err
		}
		h.revision = revision
	}
	r.remember(at, h)
	return h, nil
}

// remember keeps a piece in memory. That there is none is not kept: it may come any time.
func (r *ring) remember(at place, h *held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.revision == 0 {
		delete(r.pieces, at)
		return
	}
	if len(r.pieces) >= ringCache {
		clear(r.pieces)
	}
	at.workspace = strings.Clone(at.workspace)
	r.pieces[at] = h
}

// keep puts a piece in the place of what h.revision says is there, in the vault and in memory.
func (r *ring) keep(ctx context.Context, at place, top, h *held) error {
	value, err := r.value(at, top, h)
	if err != nil {
		return err
	}
	r.loading.Lock()
	defer r.loading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, vaultPatience)
	defer cancel()
	next := *h
	if next.revision, err = r.vault.Keep(ctx, at.name(), value, h.revision); err != nil {
		r.remember(at, &held{}) // whatever is there now
		return fmt.Errorf("ledger: vault: %w", err)
	}
	r.remember(at, &next)
	return nil
}

// value is the sealed form of a piece for the vault: for a top piece generation (uvarint), mark and wrap, then the branches.
func (r *ring) value(at place, top, h *held) ([]byte, error) {
	var plain []byte
	if at.depth == 0 {
		plain = binary.AppendUvarint(plain, h.generation)
		plain = append(append(plain, h.mark[:]...), h.wrap[:]...)
	}
	aead, err := r.aead(top)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("ledger: draw a nonce: %w", err)
	}
	return aead.Seal(nonce, nonce, h.piece.append(plain), []byte(at.name())), nil
}

// errVault says that a value of the vault cannot be read.
var errVault = errors.New("ledger: a value of the vault is damaged, or was sealed with another secret of the server")

// parse is the inverse of value.
func (r *ring) parse(at place, top *held, value []byte) (*held, error) {
	aead, err := r.aead(top)
	if err != nil {
		return nil, err
	}
	if len(value) < aead.NonceSize() {
		return nil, errVault
	}
	plain, err := aead.Open(nil, value[:aead.NonceSize()], value[aead.NonceSize():], []byte(at.name()))
	if err != nil {
		return nil, errVault
	}
	h := &held{}
	if at.depth == 0 {
		var n int
		if h.generation, n = binary.Uvarint(plain); n <= 0 || len(plain) < n+ringMark+len(h.wrap) {
			return nil, errVault
		}
		plain = plain[n:]
		plain = plain[copy(h.mark[:], plain):]
		plain = plain[copy(h.wrap[:], plain):]
	}
	h.piece, err = parsePiece(plain)
	return h, err
}

// aead is what values are sealed with: of the pieces below a top with what only that one has.
func (r *ring) aead(top *held) (cipher.AEAD, error) {
	key := r.key
	if top != nil {
		var err error
		if key, err = hkdf.Key(sha256.New, append(bytes.Clone(r.key), top.wrap[:]...), nil, "keyledger vault piece", 32); err != nil {
			return nil, fmt.Errorf("ledger: derive the key of a piece: %w", err)
		}
	}
	return newGCM(key)
}
