package projections

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// eraseCommit is how many entries of a workspace are rewritten in one commit.
const eraseCommit = 1024

// erase puts "erased" into all that the views have of a workspace, after it has stored what was applied up to a position.
// It does so in several commits, before the erasure itself is shown: should it be cut short, the erasure comes again.
func (v *Views) erase(position uint64, x *ledger.Erasure) error {
	if x.Key {
		return nil // the views do it, as with any change of a key
	}
	if err := v.store(position); err != nil {
		return err
	}
	e := eraser{views: v, erasure: x, batch: v.db.NewBatch()}
	defer func() { e.batch.Close() }()
	return errors.Join(e.keys(), e.agents(), e.webhooks(), e.batch.Commit(pebble.NoSync))
}

// eraser rewrites what the views have of a workspace.
type eraser struct {
	views   *Views
	erasure *ledger.Erasure
	batch   *pebble.Batch
}

// commit commits from time to time.
func (e *eraser) commit() error {
	if e.batch.Count() < eraseCommit {
		return nil
	}
	err := e.batch.Commit(pebble.NoSync)
	e.batch.Reset()
	return err
}

func (e *eraser) keys() error {
	return e.views.scan(string(appendList(nil, workspacePrefix, e.erasure.Workspace)), func(key, _ []byte) error {
		place, err := placeOf(key)
		if err != nil {
			return err
		}
		return errors.Join(e.key(place.ID), e.views.eraseUse(e.batch, place.ID, e.erasure.Covers), e.commit())
	})
}

func (e *eraser) key(id uuid.UUID) error {
	v := e.views
	var k ledger.Key
	if err := v.current(id, &k); err != nil {
		return err
	}
	k.Scrub()
	v.packed = packKey(v.packed[:0], &k, nil)
	if err := e.batch.Set(packedKey(id), v.packed, nil); err != nil || v.table == nil {
		return err
	}
	return v.table.put(&k)
}

func (e *eraser) agents() error {
	return e.views.scan(string(appendTexts([]byte{agentPrefix}, e.erasure.Workspace)), func(key, value []byte) error {
		a, err := unpackAgent(value)
		if err != nil || a.Erased {
			return err
		}
		name := agentNameKey(a.Workspace, a.Org, a.Name)
		a.Scrub()
		return errors.Join(
			e.batch.Delete(name, nil),
			e.batch.Set(bytes.Clone(key), packAgent(&a), nil),
			e.commit(),
		)
	})
}

func (e *eraser) webhooks() error {
	return e.views.scan(string(webhookPrefix), func(key, value []byte) error {
		w, err := unpackWebhook(value)
		if err != nil || w.Workspace != e.erasure.Workspace {
			return err
		}
		w.Scrub()
		return errors.Join(e.batch.Set(bytes.Clone(key), packWebhook(&w), nil), e.commit())
	})
}

// compactErased removes from the files what erasures have replaced, after each, and at the start what an earlier run did
// not come to.
func (v *Views) compactErased(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.erasures.compact:
		}
		if err := v.Compact(ctx); err != nil {
			return err
		}
	}
}

// Compact removes from the files what the erasures that are shown have replaced.
func (v *Views) Compact(ctx context.Context) error {
	var done uint64
	if err := v.numbers(compactedKey, &done); err != nil {
		return v.openError(err)
	}
	for {
		list := v.erasures.after(done, 64)
		if len(list) == 0 {
			return nil
		}
		last := list[len(list)-1].Sequence
		if err := v.WaitFor(ctx, last); err != nil { // it is known a moment before it is shown
			return err
		}
		if err := v.db.Flush(); err != nil {
			return fmt.Errorf("projections: flush: %w", err)
		}
		for i := range list {
			if err := v.compactOne(ctx, &list[i]); err != nil {
				return fmt.Errorf("projections: compact: %w", err)
			}
		}
		done = last
		if err := v.db.Set([]byte(compactedKey), packNumbers(done), pebble.NoSync); err != nil {
			return fmt.Errorf("projections: %w", err)
		}
		v.dirty.Store(true)
	}
}

// compactOne compacts the part of the files that an erasure concerns: for a workspace, all that has personal data.
func (v *Views) compactOne(ctx context.Context, x *ledger.Erasure) error {
	if !x.Key {
		for _, prefix := range []byte{keyPrefix, usePrefix, agentPrefix, agentNamePrefix, webhookPrefix} {
			if err := v.db.Compact(ctx, []byte{prefix}, []byte{prefix + 1}, true); err != nil {
				return err
			}
		}
		return nil
	}
	s, err := events.ParseSubject(x.Subject)
	if err != nil {
		return err
	}
	for _, key := range [][]byte{packedKey(s.Key), useKey(s.Key)} {
		if err := v.db.Compact(ctx, key, append(bytes.Clone(key), 0), false); err != nil {
			return err
		}
	}
	return nil
}
