package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// destroyWorkspace destroys the secrets of a workspace up to a generation, and gives it a fresh one of the next. It does
// nothing more when that was done.
func (r *ring) destroyWorkspace(ctx context.Context, workspace string, generation uint64) error {
	at := place{workspace: workspace}
	return untilKept(func() error {
		top, err := r.reload(ctx, at, nil)
		switch {
		case err != nil:
			return err
		case top.generation > generation || top.revision == 0:
			return r.scrub(ctx, at)
		}
		next, err := freshTop(generation + 1)
		if err != nil {
			return err
		}
		next.revision = top.revision
		return r.keep(ctx, at, nil, next)
	})
}

// destroyLeaf destroys the secret of what a subject names. It does nothing more when that was done.
func (r *ring) destroyLeaf(ctx context.Context, workspace, subject string) error {
	w := wayOf(subject)
	return untilKept(func() error {
		top, err := r.reload(ctx, place{workspace: workspace}, nil)
		if err != nil || top.revision == 0 {
			return err
		}
		at, h := place{workspace: workspace}, top
		for depth := range w {
			above := top
			if depth == 0 {
				above = nil
			} else if h, err = r.reload(ctx, at, top); err != nil {
				return err
			}
			if err := r.puncture(ctx, at, above, top, h, w); err != nil {
				return err
			}
			at = at.down(top.generation, w)
		}
		return nil
	})
}

// puncture takes what leads down the way out of the piece h at a place, after it has put what is left of that into the
// piece below, unless there is none.
func (r *ring) puncture(ctx context.Context, at place, above, top, h *held, w way) error {
	n := h.piece.find(w[at.depth])
	if n == nil {
		return r.scrub(ctx, at)
	}
	if below := at.down(top.generation, w); below.depth < len(w) {
		// It follows from this piece, so whoever makes it makes the same: one that is there is this one, or a part of it.
		err := r.keep(ctx, below, top, &held{piece: piece{{node: n.below(at.depth, w[at.depth])}}})
		if err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	next := *h
	next.piece = h.piece.puncture(at.depth, w[at.depth])
	return r.keep(ctx, at, above, &next)
}

func (r *ring) scrub(ctx context.Context, at place) error {
	if err := r.vault.Scrub(ctx, at.name()); err != nil {
		return fmt.Errorf("ledger: vault: %w", err)
	}
	return nil
}

// untilKept calls attempt until no other node has changed the vault in between.
func untilKept(attempt func() error) error {
	for range maxAttempts {
		if err := attempt(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%w: others are changing the vault at this moment", ErrUnavailable)
}

// destroyed is where the vault keeps the sequence of the last erasure that was carried out. It is no workspace's name.
const destroyed = "."

// destroy carries out an erasure. It may be repeated.
func (p *Personal) destroy(ctx context.Context, x *Erasure) error {
	if x.Key {
		return p.ring.destroyLeaf(ctx, workspaceOf(x.Subject), x.Subject)
	}
	return p.ring.destroyWorkspace(ctx, workspaceOf(x.Subject), x.Generation)
}

// Run carries out the erasures that a State shows, from the last one on that is known to be done, until ctx ends: those of
// this node, of others, and of one that died before it came to it. failed is told why it could not, once until it can
// again; nil: nobody is.
func (p *Personal) Run(ctx context.Context, state State, failed func(error)) error {
	retry := time.NewTimer(0)
	defer retry.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-retry.C:
		}
		err := p.DestroyAll(ctx, state)
		if err != nil {
			retry.Reset(time.Second)
			if !failing && ctx.Err() == nil && failed != nil {
				failed(err)
			}
		}
		failing = err != nil
	}
}

// DestroyAll carries out all erasures that a State shows now and that this node does not know to be done.
func (p *Personal) DestroyAll(ctx context.Context, state State) error {
	p.destroying.Lock()
	defer p.destroying.Unlock()
	for {
		list, err := state.Erasures(ctx, p.done, MaxPage)
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			if err := p.destroy(ctx, &list[i]); err != nil {
				return err
			}
		}
		p.done = list[len(list)-1].Sequence
		if err := p.note(ctx, p.done); err != nil {
			return err
		}
	}
}

// noted is up to which erasure all are done, as the vault says.
func (p *Personal) noted(ctx context.Context) (sequence, revision uint64, err error) {
	value, revision, err := p.vault.Secret(ctx, destroyed)
	if err != nil {
		return 0, 0, fmt.Errorf("ledger: vault: %w", err)
	}
	if len(value) == 8 {
		sequence = binary.BigEndian.Uint64(value)
	}
	return sequence, revision, nil
}

// note notes it. That another node has noted something meanwhile is as good: the next start looks again.
func (p *Personal) note(ctx context.Context, last uint64) error {
	done, revision, err := p.noted(ctx)
	if err != nil || last <= done {
		return err
	}
	_, err = p.vault.Keep(ctx, destroyed, binary.BigEndian.AppendUint64(nil, last), revision)
	if err != nil && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("ledger: vault: %w", err)
	}
	return nil
}

// generation is the present generation of a workspace, 0 when it has no secret.
func (p *Personal) generation(ctx context.Context, workspace string) (uint64, error) {
	top, err := p.ring.reload(ctx, place{workspace: workspace}, nil)
	if err != nil {
		return 0, err
	}
	return top.generation, nil
}
