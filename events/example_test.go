package events_test

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

func ExampleParseSubject() {
	owner := events.Owner{Workspace: "acme.com", AgentID: "bot7"}
	subject := events.KeySubject(&owner, uuid.MustParse("01978d2c-8f00-7a00-8000-000000000001"))
	fmt.Println(subject)

	s, err := events.ParseSubject(subject)
	fmt.Printf("%q %q %q %s %v\n", s.Workspace, s.Org, s.Agent, s.Key, err)

	// Output:
	// ledger.acme=2Ecom.~.bot7.01978d2c-8f00-7a00-8000-000000000001
	// "acme.com" "" "bot7" 01978d2c-8f00-7a00-8000-000000000001 <nil>
}

func ExampleEncode() {
	key := uuid.MustParse("01978d2c-8f00-7a00-8000-000000000001")
	m, err := events.Encode(&events.Event{
		Header: events.Header{
			ID: uuid.MustParse("01978d2c-8f00-7b00-8000-0000000000e1"), Actor: "system",
			Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		},
		Subject: events.KeySubject(&events.Owner{Workspace: "acme"}, key),
		Payload: &events.Revoked{KeyID: key, Reason: "leaked"},
	}, nil) // without keys: nothing is sealed
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Subject)
	m.Each(func(name, value string) { fmt.Println(name + ": " + value) })
	fmt.Printf("%q\n", m.Data)

	e, err := events.Decode(&m, nil)
	fmt.Println(e.Payload.(*events.Revoked).Reason, err)

	// Output:
	// ledger.acme.~.~.01978d2c-8f00-7a00-8000-000000000001
	// Nats-Msg-Id: 01978d2c-8f00-7b00-8000-0000000000e1
	// Keyledger-Type: key.revoked
	// Keyledger-Version: 1
	// Keyledger-Time: 2026-01-02T03:04:05.000006Z
	// Keyledger-Actor: system
	// "\xde\x00\x02\xa3key\xc4\x10\x01\x97\x8d,\x8f\x00z\x00\x80\x00\x00\x00\x00\x00\x00\x01\xa1p\xde\x00\x01\xa6reason\xa6leaked"
	// leaked <nil>
}
