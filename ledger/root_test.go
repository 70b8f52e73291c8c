package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

func rootEntry() ledger.Entry {
	key := uuid.New()
	return ledger.Entry{Message: events.Message{
		Header: events.Header{
			Type: events.KeyCreated, Version: 1, ID: uuid.New(), Time: time.Unix(1_900_000_000, 0).UTC(), Actor: "system", RequestID: "r-1",
		},
		Subject: events.KeySubject(&events.Owner{Workspace: "acme"}, key),
		Data:    []byte(key.String()),
	}}
}

// TestTreeRoot compares the root of every size with that of tlog.
func TestTreeRoot(t *testing.T) {
	log := ledgertest.NewLog()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (list []tlog.Hash, err error) {
		for _, i := range indexes {
			list = append(list, stored[i])
		}
		return list, nil
	})
	for size := range int64(40) {
		want, err := tlog.TreeHash(size, reader)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ledger.TreeRoot(t.Context(), log, uint64(size))
		if err != nil || got != want {
			t.Fatalf("root of %d: %v, want %v, %v", size, got, want, err)
		}
		e := rootEntry()
		if e.Message.Sequence, err = log.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		hashes, err := tlog.StoredHashes(size, events.AppendLeaf(nil, &e.Message), reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
	}
	if _, err := ledger.TreeRoot(t.Context(), log, 41); !errors.Is(err, ledger.ErrGap) {
		t.Errorf("of more than there is: %v, want ErrGap", err)
	}
}
