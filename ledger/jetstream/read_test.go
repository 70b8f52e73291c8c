package jetstream_test

import (
	"errors"
	"testing"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// TestReadsAreUnavailable: a stream that is not there, as on a server that makes it anew, and a message that is not there
// yet, as on a leader that is behind, are something to wait for, not a fault of this process.
func TestReadsAreUnavailable(t *testing.T) {
	s, _ := external(t)
	l := openURL(t, s.ClientURL(), jetstream.Options{})
	if _, err := l.Append(t.Context(), entry()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), 2); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("a message beyond the end: %v", err)
	}
	wipe(t, s)
	for name, read := range map[string]func() error{
		"Last": func() error { _, err := l.Last(t.Context()); return err },
		"Read": func() error { _, err := l.Read(t.Context(), 1); return err },
		"Scan": func() error { _, err := l.Scan(t.Context(), ">", 1, 10); return err },
	} {
		if err := read(); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("%s without a stream: %v", name, err)
		}
	}
}
