package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"keyledger/client"
)

// subscribe gives a client of a new key of a workspace, which reads events over NATS.
func subscribe(ctx context.Context, workspace string) *client.Client {
	key, err := connect().CreateKey(ctx, client.CreateKey{
		Name: "gateway", WorkspaceID: workspace, Scopes: []string{"ledger:events:read", "ledger:keys:verify"},
	})
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.New(os.Getenv("KEYLEDGER_SERVER"), key.Token, client.WithNATS(os.Getenv("KEYLEDGER_NATS")))
	if err != nil {
		log.Fatal(err)
	}
	return c
}

func ExampleClient_Subscribe() {
	ctx := context.Background()
	c := connect()
	key, err := c.CreateKey(ctx, client.CreateKey{Name: "leaky", WorkspaceID: "subscribed"})
	if err != nil {
		log.Fatal(err)
	}
	go c.RevokeKey(ctx, key.ID, "leaked")

	filter := client.EventFilter{WorkspaceID: "subscribed", Types: []string{client.TypeKeyRevoked}}
	for event, err := range c.Subscribe(ctx, filter, key.Sequence) {
		if err != nil {
			log.Fatal(err)
		}
		change, err := event.Key()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Type, *change.Reason)
		break // it goes on for ever
	}
	// Output:
	// keyledger.key.revoked leaked
}

func ExampleVerifier() {
	ctx := context.Background()
	key, err := connect().CreateKey(ctx, client.CreateKey{Name: "ci", WorkspaceID: "verified", Scopes: []string{"deploy"}})
	if err != nil {
		log.Fatal(err)
	}

	v, err := client.NewVerifier(subscribe(ctx, "verified"), client.VerifierOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	if err := v.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	for _, scope := range []string{"deploy", "admin"} {
		verified, err := v.VerifyFor(key.Token.Reveal(), &client.Want{Scopes: []string{scope}})
		if err != nil {
			log.Fatal(err) // it cannot tell now
		}
		fmt.Println(verified.Code, verified.Owner().WorkspaceID)
	}
	// Output:
	// VALID verified
	// INSUFFICIENT_SCOPE verified
}

func ExampleRequireKey() {
	ctx := context.Background()
	key, err := connect().CreateKey(ctx, client.CreateKey{Name: "ci", WorkspaceID: "required", Scopes: []string{"deploy"}})
	if err != nil {
		log.Fatal(err)
	}
	v, err := client.NewVerifier(subscribe(ctx, "required"), client.VerifierOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	if err := v.Ready(ctx); err != nil {
		log.Fatal(err)
	}

	deploy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, _ := client.KeyFrom(r.Context())
		fmt.Fprintln(w, "deployed for", key.Owner().WorkspaceID)
	})
	server := httptest.NewServer(client.RequireKey(v, client.Want{Scopes: []string{"deploy"}})(deploy))
	defer server.Close()

	for _, token := range []string{key.Token.Reveal(), "not-a-token-of-anybody"} {
		request, err := http.NewRequest(http.MethodPost, server.URL, nil)
		if err != nil {
			log.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
		fmt.Println(response.StatusCode)
	}
	// Output:
	// 200
	// 401
}
