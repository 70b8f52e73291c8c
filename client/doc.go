// Package client is the Go client of a keyledger server: it creates, reads, changes, rotates, revokes and verifies API
// keys over the REST API.
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
package client
