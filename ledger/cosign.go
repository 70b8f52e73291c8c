package ledger

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/note"
)

// maxCosigned is how many heads are kept for their cosignatures, as witnesses answer for a head at different times.
const maxCosigned = 16

// cosignatures are those of the last heads that witnesses have cosigned.
type cosignatures struct {
	mu    sync.Mutex
	heads []*cosignedHead // of ascending sizes
}

// cosignedHead is a head that witnesses have cosigned.
type cosignedHead struct {
	bare  *SignedHead       // without cosignatures
	lines map[string]string // of the note, by witness
	full  *SignedHead       // with all of them
}

// Cosign adds the cosignature of a witness to a head of this ledger and returns the head with all that it has. A later one
// of the same witness takes the place of the earlier one. Its caller has verified the cosignature, and gives the head as
// Latest or Open has given it.
func (h *Heads) Cosign(head *SignedHead, by note.Signature) *SignedHead {
	c := &h.cosigned
	c.mu.Lock()
	defer c.mu.Unlock()
	i, known := slices.BinarySearchFunc(c.heads, head.Size, func(a *cosignedHead, size uint64) int {
		return cmp.Compare(a.bare.Size, size)
	})
	if !known {
		c.heads = slices.Insert(c.heads, i, &cosignedHead{bare: head, lines: make(map[string]string)})
	}
	cosigned := c.heads[i]
	cosigned.lines[by.Name] = noteLine(by)
	cosigned.full = cosigned.join()
	c.heads = slices.Delete(c.heads, 0, max(0, len(c.heads)-maxCosigned))
	return cosigned.full
}

// join makes the note with all cosignatures.
func (c *cosignedHead) join() *SignedHead {
	text := bytes.Clone(c.bare.Note)
	lines := make([]string, 0, len(c.lines))
	for _, line := range c.lines {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	for _, line := range lines {
		text = append(text, line...)
	}
	return &SignedHead{Head: c.bare.Head, Note: text, Witnesses: len(lines)}
}

// noteLine is the line of a signature in a signed note (C2SP signed-note).
func noteLine(s note.Signature) string { return "— " + s.Name + " " + s.Base64 + "\n" }

// Cosigned is the newest head with the cosignatures of so many witnesses, nil when there is none. With 0 it is Latest, with
// the cosignatures that it has so far.
func (h *Heads) Cosigned(witnesses int) *SignedHead {
	latest := h.Latest()
	if latest == nil {
		return nil
	}
	c := &h.cosigned
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, head := range slices.Backward(c.heads) {
		if head.full.Witnesses >= witnesses && (witnesses > 0 || head.full.Size == latest.Size) {
			return head.full
		}
	}
	if witnesses > 0 {
		return nil
	}
	return latest
}

// Open gives the head that a signed note says, without what others have signed in it. It fails with ErrDiverged unless this
// ledger's key has signed it, and the ledger has that root.
func (h *Heads) Open(text []byte) (*SignedHead, error) {
	head, err := h.open(text)
	if err != nil {
		return nil, err
	}
	if size := h.config.State.Position(); head.Size > size {
		return nil, fmt.Errorf("%w: a head of %d events was cosigned, and there are %d", ErrDiverged, head.Size, size)
	}
	if err := h.agree(&head); err != nil {
		return nil, err
	}
	n, err := note.Open(text, h.known)
	if err != nil {
		return nil, err
	}
	return &SignedHead{Head: head, Note: []byte(n.Text + "\n" + noteLine(n.Sigs[0]))}, nil
}
