package ledger_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

// inHex is a form of tokens: the id and the random bits.
func inHex(id uuid.UUID, random [32]byte) (string, error) {
	return "hex:" + id.String() + hex.EncodeToString(random[:]), nil
}

func TestMint(t *testing.T) {
	w := newWorld(t)
	before := w.log.Len()
	issued := w.create(ledger.Create{Mint: inHex})
	token := issued.Token.Reveal()
	if n := w.log.Len() - before; n != 1 || !strings.HasPrefix(token, "hex:"+issued.Key.ID.String()) || len(token) != 104 {
		t.Fatalf("%d events, token %q", n, token)
	}
	if another := w.create(ledger.Create{Mint: inHex}).Token.Reveal(); another[40:] == token[40:] {
		t.Fatal("two tokens have the same random bits")
	}
	if d := w.decision(issued.Token); d != ledger.Valid {
		t.Fatalf("the token is %s", d)
	}
	rotated := must(w.Rotate(w.ctx(), &w.root, issued.Key.ID, &ledger.Rotate{Mint: inHex}))
	if next := rotated.Token.Reveal(); !strings.HasPrefix(next, token[:40]) || next == token {
		t.Fatalf("rotated from %q to %q", token, next)
	}
	if d := w.decision(rotated.Token); d != ledger.Valid {
		t.Fatalf("the new token is %s", d)
	}
}

// A token may tell its owner, so none is made of an owner that is refused.
func TestMintNeverSeesARefusedOwner(t *testing.T) {
	w := newWorld(t)
	before := w.log.Len()
	mint := func(uuid.UUID, [32]byte) (string, error) {
		t.Error("a token was made")
		return "", nil
	}
	_, err := w.Create(w.ctx(), &w.root, &ledger.Create{Mint: mint, Owner: ledger.Owner{Peer: strings.Repeat("x", ledger.MaxID+1)}})
	var e *ledger.Error
	if !errors.As(err, &e) || e.Code != ledger.CodeInvalid || e.Field != "peer_id" || w.log.Len() != before {
		t.Errorf("%v, %d events", err, w.log.Len()-before)
	}
}

func TestMintRefuses(t *testing.T) {
	w := newWorld(t)
	id := w.create(ledger.Create{}).Key.ID
	gives := func(token string, err error) ledger.Mint {
		return func(uuid.UUID, [32]byte) (string, error) { return token, err }
	}
	for what, c := range map[string]struct {
		mint  ledger.Mint
		token string
		code  ledger.Code
	}{
		"an error":            {gives("", errors.New("broken")), "", ledger.CodeInternal},
		"an error with code":  {gives("", &ledger.Error{Code: ledger.CodeInvalid}), "", ledger.CodeInvalid},
		"nothing":             {gives("", nil), "", ledger.CodeInternal},
		"15 characters":       {gives(strings.Repeat("x", 15), nil), "", ledger.CodeInternal},
		"4097 characters":     {gives(strings.Repeat("x", 4097), nil), "", ledger.CodeInternal},
		"a space":             {gives("a token with spaces", nil), "", ledger.CodeInternal},
		"a mistyped native":   {gives("kl_"+strings.Repeat("x", 49), nil), "", ledger.CodeInternal},
		"a brought token too": {inHex, strings.Repeat("b", 40), ledger.CodeInvalid},
	} {
		t.Run(what, func(*testing.T) {
			token := ledger.NewSecret(c.token)
			w.refused(c.code, w.creating(ledger.Create{Mint: c.mint, Token: token}))
			w.refused(c.code, func() error {
				_, err := w.Rotate(w.ctx(), &w.root, id, &ledger.Rotate{Mint: c.mint, Token: token})
				return err
			})
		})
	}
	for _, n := range []int{16, 4096} {
		w.create(ledger.Create{Mint: gives(strings.Repeat("x", n), nil)})
	}
}

func TestShortToken(t *testing.T) {
	w := newWorld(t)
	for token, hint := range map[string]string{
		"s":                                "…",
		"fifteen letters":                  "…",
		"8f742231b10e8888abcd99yyyzzz85":   "…", // 30
		"8f742231b10e8888abcd99yyyzzz85a5": "8f74…85a5",
		strings.Repeat("ü", 256):           "…",
		"kl_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": "kl_x…xxxx",
		strings.Repeat("x", 512):                                  "xxxx…xxxx",
	} {
		short := ledger.Create{Token: ledger.NewSecret(token), ShortToken: true}
		before := w.log.Len()
		issued := w.create(short)
		if n := w.log.Len() - before; n != 2 || issued.Key.Hint != hint || issued.Token.Reveal() != token {
			t.Errorf("%q: %d events, hint %q", token, n, issued.Key.Hint)
		}
		w.refused(ledger.CodeConflict, w.creating(short))
		if d := w.decision(issued.Token); (d == ledger.Malformed) != ledger.MalformedToken(token, "kl") {
			t.Errorf("%q: %s", token, d)
		}
	}
	for _, token := range []string{strings.Repeat("x", 513), "a\nb", "\xff"} {
		e := w.refused(ledger.CodeInvalid, w.creating(ledger.Create{Token: ledger.NewSecret(token), ShortToken: true}))
		if e.Field != "token" {
			t.Errorf("%q: field %q", token, e.Field)
		}
	}
	w.refused(ledger.CodeInvalid, w.creating(ledger.Create{Token: ledger.NewSecret("short")}))
	if len(w.create(ledger.Create{ShortToken: true}).Token.Reveal()) < 32 {
		t.Error("without a token none was minted")
	}
}

func TestLapsed(t *testing.T) {
	w := newWorld(t)
	past := w.clock.Now().Add(-time.Hour)
	issued := w.create(ledger.Create{ExpiresAt: past, Lapsed: true})
	if d := w.decision(issued.Token); d != ledger.KeyExpired || !issued.Key.ExpiresAt.Equal(past) {
		t.Errorf("%s, expiry %v", d, issued.Key.ExpiresAt)
	}
	if d := w.decision(w.create(ledger.Create{ExpiresAt: past.Add(2 * time.Hour), Lapsed: true}).Token); d != ledger.Valid {
		t.Errorf("one that lies ahead: %s", d)
	}
	for _, in := range []ledger.Create{
		{ExpiresAt: past},
		{ExpiresAt: time.Unix(0, 0), Lapsed: true},
		{ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), Lapsed: true},
		{ExpiresAt: w.clock.Now().Add(time.Hour), NotBefore: w.clock.Now().Add(2 * time.Hour), Lapsed: true},
	} {
		if e := w.refused(ledger.CodeInvalid, w.creating(in)); e.Field != "expires_at" {
			t.Errorf("%v: field %q", in.ExpiresAt, e.Field)
		}
	}
}
