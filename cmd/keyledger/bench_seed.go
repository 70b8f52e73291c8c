package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

const (
	seedWorkspace = "bench"
	seedLargeOrg  = "large" // owns a tenth of the seeded keys
	seedOrgs      = 10_000  // own the others
	seedBatch     = 500     // events of one append
	seedWriters   = 4       // appends at once
)

// seedKey is what bench remembers of a key that it wrote into the ledger.
type seedKey struct {
	id    string
	token string
}

// seedLedger appends n keys to the ledger in dir, which a server has made and none uses now.
func seedLedger(ctx context.Context, dir string, n int, show func(done int)) ([]seedKey, error) {
	store, err := openStore(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer store.close()
	personal, err := personalOf(ctx, dir, store.log)
	if err != nil {
		return nil, err
	}
	keys := make([]seedKey, n)
	var next, done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range seedWriters {
		group.Go(func() error {
			for {
				from := int(next.Add(seedBatch)) - seedBatch
				if from >= n {
					return nil
				}
				part := keys[from:min(from+seedBatch, n)]
				if err := appendKeys(ctx, store.log, personal, from, part); err != nil {
					return fmt.Errorf("seed keys from %d on: %w", from, err)
				}
				show(int(done.Add(int64(len(part)))))
			}
		})
	}
	return keys, group.Wait()
}

// personalOf gives what the server of a data folder seals personal data with.
func personalOf(ctx context.Context, dir string, log *jetstream.Log) (*ledger.Personal, error) {
	secret, err := os.ReadFile(filepath.Join(dir, secretFile))
	if err != nil {
		return nil, err
	}
	personal, err := ledger.NewPersonal(bytes.TrimSpace(secret))
	if err != nil {
		return nil, err
	}
	return personal, personal.Use(ctx, log)
}

// appendKeys appends one key for each of keys, the first of which has the number from, and fills them in.
func appendKeys(ctx context.Context, log *jetstream.Log, sealer events.Sealer, from int, keys []seedKey) error {
	entries := make([]ledger.Entry, len(keys))
	for i := range keys {
		key, created, err := seedEvent(from + i)
		if err != nil {
			return err
		}
		if entries[i].Message, err = events.Encode(created, sealer); err != nil {
			return err
		}
		keys[i] = key
	}
	_, err := log.Append(ctx, entries...)
	return err
}

// seedEvent makes the key with number i: always the same one but for its times.
func seedEvent(i int) (seedKey, *events.Event, error) {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(i))
	random := rand.NewChaCha8(seed)
	id, err := uuid.NewV7FromReader(random)
	if err != nil {
		return seedKey{}, nil, err
	}
	eventID, err := uuid.NewRandomFromReader(random)
	if err != nil {
		return seedKey{}, nil, err
	}
	token, err := ledger.MintToken(random, "kl", "live")
	if err != nil {
		return seedKey{}, nil, err
	}
	owner := events.Owner{Workspace: seedWorkspace, Org: fmt.Sprintf("org-%d", i%seedOrgs)}
	if i%10 == 0 {
		owner.Org = seedLargeOrg
	}
	return seedKey{id.String(), token.Reveal()}, &events.Event{
		Header:  events.Header{ID: eventID, Time: time.Now().UTC().Truncate(time.Microsecond), Actor: "system"},
		Subject: events.KeySubject(&owner, id),
		Payload: &events.Created{
			KeyID:       id,
			Owner:       owner,
			Name:        fmt.Sprintf("Key %d of the bench", i),
			Scopes:      "files:read files:write",
			Environment: "live",
			KeyType:     "external",
			Digest:      token.Digest(),
			Hint:        token.Hint(),
		},
	}, nil
}
