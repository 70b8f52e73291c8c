package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"keyledger/client"
)

// connect gives the client of the examples.
func connect() *client.Client {
	c, err := client.New(os.Getenv("KEYLEDGER_SERVER"), client.NewToken(os.Getenv("KEYLEDGER_TOKEN")))
	if err != nil {
		log.Fatal(err)
	}
	return c
}

func Example() {
	ctx := context.Background()
	c, err := client.New(os.Getenv("KEYLEDGER_SERVER"), client.NewToken(os.Getenv("KEYLEDGER_TOKEN")))
	if err != nil {
		log.Fatal(err)
	}

	issued, err := c.CreateKey(ctx, client.CreateKey{
		Name:        "deploy bot",
		WorkspaceID: "acme",
		Scopes:      []string{"deploy"},
		Metadata:    json.RawMessage(`{"team": "core"}`),
		ExpiresAt:   time.Now().Add(90 * 24 * time.Hour),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(issued.Name, "is", issued.Status)
	fmt.Println("printed by accident:", issued.Token)

	v, err := c.Verify(ctx, client.Verify{Token: issued.Token, Scopes: []string{"deploy"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Code, "for", v.Key.WorkspaceID)

	if _, err := c.RevokeKey(ctx, issued.ID, "the bot is retired"); err != nil {
		log.Fatal(err)
	}
	v, err = c.Verify(ctx, client.Verify{Token: issued.Token})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Valid, v.Code)
	// Output:
	// deploy bot is active
	// printed by accident: [secret]
	// VALID for acme
	// false REVOKED
}

func ExampleClient_Keys() {
	ctx := context.Background()
	c := connect()
	for _, name := range []string{"one", "two", "three"} {
		if _, err := c.CreateKey(ctx, client.CreateKey{Name: name, WorkspaceID: "listed"}); err != nil {
			log.Fatal(err)
		}
	}
	for key, err := range c.Keys(ctx, client.KeyQuery{WorkspaceID: "listed", Status: client.Active}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(key.Name)
	}
	// Output:
	// three
	// two
	// one
}

func ExampleClient_RotateKey() {
	ctx := context.Background()
	c := connect()
	old, err := c.CreateKey(ctx, client.CreateKey{Name: "rotated"})
	if err != nil {
		log.Fatal(err)
	}
	fresh, err := c.RotateKey(ctx, old.ID, client.RotateKey{Grace: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	for _, token := range []client.Token{old.Token, fresh.Token} {
		v, err := c.Verify(ctx, client.Verify{Token: token})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(v.Code, v.Key.ID == old.ID)
	}
	// Output:
	// VALID true
	// VALID true
}

func ExampleClient_UpdateKey() {
	ctx := context.Background()
	c := connect()
	key, err := c.CreateKey(ctx, client.CreateKey{Name: "before"})
	if err != nil {
		log.Fatal(err)
	}
	name := "after"
	updated, err := c.UpdateKey(ctx, key.ID, client.UpdateKey{Name: &name}, client.IfSequence(key.Sequence))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(updated.Name)

	// Whoever still holds the key as it was before is refused.
	_, err = c.UpdateKey(ctx, key.ID, client.UpdateKey{Name: &name}, client.IfSequence(key.Sequence))
	var refused *client.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Status, refused.Code)
	}
	// Output:
	// after
	// 412 precondition_failed
}

func ExampleClient_KeyEvents() {
	ctx := context.Background()
	c := connect()
	key, err := c.CreateKey(ctx, client.CreateKey{Name: "with a past"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.DisableKey(ctx, key.ID); err != nil {
		log.Fatal(err)
	}
	if _, err := c.RevokeKey(ctx, key.ID, "leaked"); err != nil {
		log.Fatal(err)
	}
	for event, err := range c.KeyEvents(ctx, key.ID, 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Type, event.Subject == key.ID)
	}
	// Output:
	// keyledger.key.created true
	// keyledger.key.disabled true
	// keyledger.key.revoked true
}

func ExampleClient_RegisterAgent() {
	ctx := context.Background()
	c := connect()
	first, err := c.RegisterAgent(ctx, client.RegisterAgent{Name: "planner", WorkspaceID: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	again, err := c.RegisterAgent(ctx, client.RegisterAgent{Name: "planner", WorkspaceID: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first.ID == again.ID)
	// Output:
	// true
}
