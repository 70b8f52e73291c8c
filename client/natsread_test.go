package client

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"keyledger/events"
)

// delivered is a message of a consumer: number count, with a sequence of the stream, and what is pending behind it.
func delivered(t *testing.T, count, sequence, pending int, change func(*nats.Msg)) *nats.Msg {
	t.Helper()
	id := uuid.New()
	m, err := events.Encode(&events.Event{
		Header:  events.Header{ID: uuid.New(), Time: time.Now(), Actor: "system"},
		Subject: events.KeySubject(&events.Owner{}, id),
		Payload: &events.Revoked{KeyID: id},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	msg := &nats.Msg{
		Subject: m.Subject, Data: m.Data, Header: nats.Header{}, Sub: new(nats.Subscription),
		Reply: fmt.Sprintf("$JS.ACK.LEDGER.name.1.%d.%d.%d.%d", sequence, count, time.Now().UnixNano(), pending),
	}
	m.Each(func(name, value string) { msg.Header[name] = []string{value} })
	if change != nil {
		change(msg)
	}
	return msg
}

// reading is a session that has read three messages up to sequence 10, and how much it has heard.
func reading() (s *natsSession, got, heard *int) {
	got, heard = new(int), new(int)
	return &natsSession{
		natsReader: &natsReader{
			at:    &place{next: 11, last: 10, id: uuid.New()},
			event: func(*events.Event) error { *got++; return nil },
			heard: func(time.Time) { *heard++ },
			level: func() error { return nil },
		},
		count: 3,
	}, got, heard
}

// TestMessages: what is missing, repeated, damaged or unknown ends a session, for good where it would again.
func TestMessages(t *testing.T) {
	for name, test := range map[string]struct {
		count, sequence int
		change          func(*nats.Msg)
		fails, final    bool
	}{
		"the next":      {4, 12, nil, false, false},
		"one missing":   {5, 12, nil, true, false},
		"one again":     {3, 10, nil, true, false},
		"an older one":  {4, 9, nil, true, false},
		"redelivered":   {4, 12, func(m *nats.Msg) { m.Reply = "$JS.ACK.LEDGER.name.2.12.4.1.0" }, true, false},
		"no ack reply":  {4, 12, func(m *nats.Msg) { m.Reply = "" }, true, false},
		"no header":     {4, 12, func(m *nats.Msg) { m.Header = nil }, true, true},
		"unknown type":  {4, 12, func(m *nats.Msg) { m.Header.Set(events.HeaderType, "key.limited") }, true, true},
		"newer version": {4, 12, func(m *nats.Msg) { m.Header.Set(events.HeaderVersion, "3") }, true, true},
		"damaged":       {4, 12, func(m *nats.Msg) { m.Data = m.Data[1:] }, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, got, _ := reading()
			err := s.message(delivered(t, test.count, test.sequence, 0, test.change))
			var end *finalError
			if (err != nil) != test.fails || errors.As(err, &end) != test.final {
				t.Fatalf("got %v, final is %v", err, end != nil)
			}
			if (*got == 1) == test.fails {
				t.Fatalf("%d events were given", *got)
			}
			var unknown *events.UnknownError
			if name == "unknown type" && (!errors.As(err, &unknown) || unknown.Sequence != 12 || unknown.Type != "key.limited") {
				t.Fatalf("it does not say which: %v", err)
			}
		})
	}
}

// TestHeard: nothing is missing up to a time when the consumer has come to where the ledger ended then: with a message, with
// a heartbeat that has counted as many, or by its state. A heartbeat alone shows nothing.
func TestHeard(t *testing.T) {
	s, _, heard := reading()
	expect := func(what string, want int, err error) {
		t.Helper()
		if err != nil || *heard != want {
			t.Fatalf("%s: heard %d, want %d, %v", what, *heard, want, err)
		}
	}
	beat := func(count, sequence string) error {
		return s.beat(&nats.Msg{Header: nats.Header{"Nats-Last-Consumer": {count}, "Nats-Last-Stream": {sequence}}})
	}
	expect("a heartbeat without a mark", 0, beat("3", "900"))
	s.next, s.later = mark{time.Now(), 13}, mark{time.Now(), 20}
	expect("a message before the mark", 0, s.message(delivered(t, 4, 12, 0, nil)))
	expect("a heartbeat before the mark", 0, beat("4", "12"))
	expect("the message of the mark", 1, s.message(delivered(t, 5, 13, 100, nil)))
	expect("a heartbeat before the next one", 1, beat("5", "19"))
	expect("a heartbeat at the next one", 2, beat("5", "20"))
	expect("one more without a mark", 2, beat("5", "21"))
	s.next = mark{time.Now(), 22}
	if err := beat("6", "22"); err == nil || *heard != 2 {
		t.Fatal("a lost message is not seen")
	}
}

// TestMark: a mark is as old as the node says, counted from when it was asked; without one there is an error.
func TestMark(t *testing.T) {
	asked := time.Now()
	header := func(age, last string) nats.Header {
		h := nats.Header{}
		h.Set(events.HeaderAge, age)
		h.Set(events.HeaderLast, last)
		return h
	}
	m, err := parseMark(header("1500", "42"), asked)
	if err != nil || m != (mark{asked.Add(-1500 * time.Millisecond), 42}) {
		t.Fatal(m, err)
	}
	if m, err = parseMark(header("-3", "42"), asked); err != nil || m.at.After(asked) {
		t.Fatal(m, err) // a clock was set back
	}
	for _, h := range []nats.Header{nil, header("", "42"), header("1", ""), header("x", "42"), header("1", "-1")} {
		if m, err := parseMark(h, asked); err == nil {
			t.Errorf("%v gives %v", h, m)
		}
	}
}
