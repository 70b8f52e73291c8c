package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"keyledger/client"
)

func TestTokenIsNeverShown(t *testing.T) {
	const text = "kl_this-must-not-be-seen"
	token := client.NewToken(text)
	type holder struct {
		Token   client.Token
		Pointer *client.Token
		Inner   struct{ Token client.Token }
	}
	h := holder{Token: token, Pointer: &token, Inner: struct{ Token client.Token }{token}}
	var shown strings.Builder
	for _, v := range []any{token, &token, h, &h, []client.Token{token}, map[string]client.Token{"t": token}} {
		for _, verb := range "vsqxXdTgeEfbotUcp" {
			for _, flag := range []string{"", "+", "#", "-", " ", "0", "20"} {
				fmt.Fprintf(&shown, "%"+flag+string(verb)+"\n", v)
			}
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(b)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("line", "value", v)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("line", "value", v)
	}
	create := client.CreateKey{Name: "n", Token: token}
	b, err := json.Marshal(create)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&shown, "%s %+v", b, create)
	fmt.Fprintf(&shown, "%+v", client.Verify{Token: token})
	fmt.Fprintf(&shown, "%+v", client.Issued{Token: token})
	for _, form := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text)} {
		if strings.Contains(shown.String(), form) {
			t.Fatalf("%s is shown", form)
		}
	}
	if token.Reveal() != text {
		t.Fatal("Reveal does not give the token")
	}
}

func TestServerAddress(t *testing.T) {
	for _, address := range []string{"", "localhost:8080", "ftp://localhost", "http://", "://", "http://[::1"} {
		if _, err := client.New(address, client.NewToken("t")); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}

func TestErrors(t *testing.T) {
	c := open(t, "")
	ctx := t.Context()
	key, err := c.CreateKey(ctx, client.CreateKey{Name: "for errors"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RevokeKey(ctx, key.ID, ""); err != nil {
		t.Fatal(err)
	}
	stranger, err := client.New(os.Getenv("KEYLEDGER_SERVER"), client.NewToken("nobody-knows-this-token-of-32-chars"))
	if err != nil {
		t.Fatal(err)
	}
	limited, err := c.CreateKey(ctx, client.CreateKey{Name: "limited", Scopes: []string{"ledger:keys:read"}})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := client.New(os.Getenv("KEYLEDGER_SERVER"), limited.Token)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		call   func() error
		status int
		code   client.Code
		field  string
	}{
		{"a rule is broken", func() error {
			_, err := c.CreateKey(ctx, client.CreateKey{Name: strings.Repeat("n", 121)})
			return err
		}, 400, client.CodeInvalid, "name"},
		{"nobody knows the token", func() error { _, err := stranger.Key(ctx, key.ID); return err }, 401, client.CodeUnauthenticated, ""},
		{"the token may not", func() error { _, err := reader.RevokeKey(ctx, key.ID, ""); return err }, 403, client.CodeForbidden, ""},
		{"there is no such key", func() error {
			_, err := c.Key(ctx, "0198c0de-0000-7000-8000-000000000000")
			return err
		}, 404, client.CodeNotFound, ""},
		{"the state forbids it", func() error { _, err := c.RotateKey(ctx, key.ID, client.RotateKey{}); return err }, 409, client.CodeConflict, ""},
		{"the key has moved on", func() error {
			_, err := c.DisableKey(ctx, limited.ID, client.IfSequence(key.Sequence))
			return err
		}, 412, client.CodePrecondition, ""},
		{"the idempotency key was used", func() error {
			once := client.IdempotencyKey("errors-" + key.ID)
			if _, err := c.CreateKey(ctx, client.CreateKey{Name: "once"}, once); err != nil {
				return err
			}
			_, err := c.CreateKey(ctx, client.CreateKey{Name: "twice"}, once)
			return err
		}, 422, client.CodeIdempotency, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.call()
			var e *client.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *client.Error", err)
			}
			if e.Status != test.status || e.Code != test.code || e.Field != test.field {
				t.Errorf("got %d %s %q, want %d %s %q", e.Status, e.Code, e.Field, test.status, test.code, test.field)
			}
			if e.RequestID == "" || e.Title == "" || e.Detail == "" || e.Type == "" {
				t.Errorf("something is missing in %+v", e)
			}
		})
	}
}

func TestPages(t *testing.T) {
	c := open(t, "")
	for i := range 5 {
		if _, err := c.CreateKey(t.Context(), client.CreateKey{Name: fmt.Sprint(i), OrgID: "paged"}); err != nil {
			t.Fatal(err)
		}
	}
	var names, sizes string
	cursor := ""
	for {
		page, err := c.KeyPage(t.Context(), client.KeyQuery{OrgID: "paged"}, cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range page.Data {
			names += key.Name
		}
		sizes += fmt.Sprint(len(page.Data))
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if names != "43210" || sizes != "221" {
		t.Fatalf("got the keys %s in pages of %s", names, sizes)
	}
}

func TestUpdateEmptiesAndUnlimits(t *testing.T) {
	c := open(t, "")
	key, err := c.CreateKey(t.Context(), client.CreateKey{
		Name: "full", Metadata: json.RawMessage(`{"a":1}`), ExpiresAt: time.Now().Add(time.Hour), Scopes: []string{"x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	scopes, metadata, never := []string{}, json.RawMessage(nil), time.Time{}
	updated, err := c.UpdateKey(t.Context(), key.ID, client.UpdateKey{Scopes: &scopes, Metadata: &metadata, ExpiresAt: &never})
	if err != nil {
		t.Fatal(err)
	}
	if updated.Name != "full" || len(updated.Scopes) != 0 || string(updated.Metadata) != "{}" || !updated.ExpiresAt.IsZero() {
		t.Fatalf("got %+v", updated)
	}
}

func TestUsage(t *testing.T) {
	c := open(t, "", client.WithUserAgent("usage test"))
	key, err := c.CreateKey(t.Context(), client.CreateKey{Name: "used"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(t.Context(), client.Verify{Token: key.Token}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		use, err := c.KeyUsage(ctx, key.ID)
		if err != nil {
			t.Fatalf("the use does not show up: %v", err)
		}
		if use.UseCount == 1 {
			if use.IP != "127.0.0.1" || use.UserAgent != "usage test" || use.LastUsedAt.IsZero() {
				t.Fatalf("got %+v", use)
			}
			return
		}
	}
}

func TestAnswerTooLong(t *testing.T) {
	c := open(t, "", client.WithMaxResponse(100))
	_, err := c.KeyPage(t.Context(), client.KeyQuery{}, "", 0)
	if err == nil || !strings.Contains(err.Error(), "longer than 100 bytes") {
		t.Fatalf("got %v", err)
	}
}
