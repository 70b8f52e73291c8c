package jetstream_test

import (
	"bytes"
	"errors"
	"testing"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// TestRestore: what is restored is what it was, byte for byte, several events of a key in one batch too; and nothing is stored
// that does not follow.
func TestRestore(t *testing.T) {
	l := open(t, t.TempDir(), jetstream.Options{})
	var messages []events.Message
	var leaves [][]byte
	for i := range 2500 {
		e := entry().Message
		if i%3 == 2 {
			e.Subject = messages[i-1].Subject
		}
		e.Sequence = uint64(i + 1)
		messages, leaves = append(messages, e), append(leaves, events.AppendLeaf(nil, &e))
	}
	if err := l.Restore(t.Context(), messages[1:3]); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("what does not follow: %v", err)
	}
	for _, part := range [][]events.Message{messages[:1200], messages[1200:]} {
		if err := l.Restore(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Restore(t.Context(), messages[:10]); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("again: %v", err)
	}
	if last, err := l.Last(t.Context()); err != nil || last != uint64(len(messages)) {
		t.Fatal(last, err)
	}
	for i, m := range collect(t, l, 1, len(messages)) {
		if leaf := events.AppendLeaf(nil, &m); !bytes.Equal(leaf, leaves[i]) {
			t.Fatalf("message %d is %+v", i+1, m)
		}
	}
	if _, err := l.Append(t.Context(), ledger.Entry{Message: events.Message{
		Header: messages[1].Header, Subject: messages[0].Subject, Data: messages[0].Data,
	}}); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("a guard after the restore: %v", err)
	}
}
