package jetstream

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// TestNoRoomAfterALostAnswer: what may have been stored is not said to be refused, though there is no room here any more.
func TestNoRoomAfterALostAnswer(t *testing.T) {
	s, err := Embed(EmbedOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	nc, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	l, err := Open(t.Context(), nc, Options{Server: s})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := s.ns.Load().DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	noRoom := errNoRoom
	s.trouble.Store(&noRoom)
	m := events.Message{Subject: "ledger.w.-.-.key." + uuid.NewString(), Header: events.Header{ID: uuid.New(), Time: time.Now()}}
	if _, err := l.settled(newCommit([]ledger.Entry{{Message: m}}), errNoAnswer); !errors.Is(err, ledger.ErrUnsettled) {
		t.Errorf("%v, want ErrUnsettled", err)
	}
}
