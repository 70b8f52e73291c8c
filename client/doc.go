// Package client is the Go SDK of keyledger. It has three parts.
//
// # Client: the REST API
//
// A Client creates, reads, changes, rotates, revokes and verifies API keys.
//
//	c, err := client.New("http://localhost:8080", client.NewToken(os.Getenv("KEYLEDGER_TOKEN")))
//	issued, err := c.CreateKey(ctx, client.CreateKey{Name: "ci", WorkspaceID: "acme", Scopes: []string{"deploy"}})
//	fmt.Println(issued.Token.Reveal()) // shown once, by nobody else
//
// Errors of the server are an *Error, made from its problem document (RFC 9457); test them with errors.As and its Code.
//
// A Client may be used by many goroutines. It repeats a request that was refused for the moment (429, 502, 503, 504)
// or whose connection was lost, with exponential backoff and jitter, but only one that is safe to repeat: a read, a
// verification, or a command, for which it makes an Idempotency-Key. So a create whose answer was lost gives the same
// key and the same token, not a second key.
//
// A Client reads its own writes on every node of a cluster: it remembers the highest ledger sequence that it was
// answered and asks later requests to be answered from views at least that new.
//
// # Subscribe: events as they happen
//
// Client.Subscribe iterates over events, from any ledger sequence on, over NATS (WithNATS) or as Server-Sent Events. A
// lost connection is made again by itself, and each event comes once. What was lost is found by numbers: over NATS the
// consumer numbers its messages, and after every new connection the last event is asked for again, so another ledger, or
// an older copy of it, is noticed too: ErrLedger.
//
// A reader of NATS uses one of the eight consumers that a key may have, whichever is free, for as long as it reads. So
// up to eight readers, in any processes, may share a key; the consumer of one that was killed is free after 30 s.
//
// # Verifier: tokens verified in process
//
// A Verifier keeps a replica of the keys that its token may see, and decides about tokens without asking anybody, in less
// than a microsecond. RequireKey puts it before a net/http handler.
//
//	c, err := client.New("http://localhost:8080", token, client.WithNATS("nats://localhost:4222"))
//	v, err := client.NewVerifier(c, client.VerifierOptions{})
//	err = v.Ready(ctx)
//	handler = client.RequireKey(v, client.Want{Scopes: []string{"deploy"}})(handler)
//
// It follows the ledger over NATS only, as the form of events on HTTP has no digests of tokens. It never answers that a
// token is valid when it cannot know: see Verifier.
package client
