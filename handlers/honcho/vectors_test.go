package honcho_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keyledger/handlers/handlerstest"
)

// vector is a request that was seen at Honcho 3.0.12, with its answer.
type vector struct {
	Case          string
	AuthEnabled   bool `json:"auth_enabled"`
	Method, Query string
	Authorization json.RawMessage
	Status        int
	Body          any
	KeyPayload    map[string]any `json:"key_payload"`
	Allow         string
}

// divergences are the vectors that are answered in another way: see COMPAT.md.
func divergences() map[string]int { return map[string]int{"token_admin_exp_int_future": 401} }

func TestVectors(t *testing.T) {
	var vectors struct{ Cases []vector }
	read(t, "keys.json", &vectors)
	if len(vectors.Cases) != 24 {
		t.Fatalf("%d cases", len(vectors.Cases))
	}
	on, off := newWorld(t, secret), newWorld(t, "")
	for _, v := range vectors.Cases {
		for _, path := range []string{"/v3/keys", "/v2/keys"} {
			t.Run(v.Case+path, func(t *testing.T) {
				w := on
				if !v.AuthEnabled {
					w = off
				}
				in := handlerstest.Request{Method: v.Method, Target: path + "?" + v.Query, Header: map[string]string{}}
				if header := v.header(t); header != "" {
					in.Header["Authorization"] = header
				}
				if v.Status == 200 {
					v.checkKey(t, mint(t, w, in))
					return
				}
				if status, ok := divergences()[v.Case]; ok {
					refused(t, w, in, status, "Invalid JWT")
					return
				}
				r := w.Refuses(t, in, v.Status)
				var body any
				if err := json.Unmarshal(r.Body, &body); err != nil || !reflect.DeepEqual(body, v.Body) {
					t.Errorf("got %s, want %v", r.Body, v.Body)
				}
				if got := r.Header.Get("Allow"); got != v.Allow {
					t.Errorf("Allow is %q, want %q", got, v.Allow)
				}
			})
		}
	}
}

// header is the Authorization header of a vector.
func (v *vector) header(t *testing.T) string {
	var text string
	if json.Unmarshal(v.Authorization, &text) == nil {
		return strings.ReplaceAll(text, "<admin>", admin)
	}
	var token struct {
		Kind   string
		Claims json.RawMessage
	}
	if err := json.Unmarshal(v.Authorization, &token); err != nil {
		t.Fatal(err)
	}
	switch token.Kind {
	case "":
		return "Bearer " + ours(t, string(token.Claims))
	case "admin_hs512":
		return "Bearer " + sign(t, jwt.SigningMethodHS512, []byte(secret), `{"t":"","ad":true}`)
	}
	t.Fatalf("what is a token of kind %q?", token.Kind)
	return ""
}

// checkKey holds the claims of a key against those of a vector.
func (v *vector) checkKey(t *testing.T, key string) {
	t.Helper()
	got := claims(t, key)
	made, err := time.Parse("2006-01-02T15:04:05Z", got["t"].(string))
	if age := time.Since(made); err != nil || age < 0 || age > time.Hour {
		t.Errorf("t is %v", got["t"])
	}
	want := maps.Clone(v.KeyPayload)
	want["t"], want["jti"] = got["t"], got["jti"]
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestExpiresAtVectors(t *testing.T) {
	var vectors struct {
		Cases []struct {
			Input, Exp, Type, Msg string
			OK                    bool
			Ctx                   any
		}
	}
	read(t, "expires_at.json", &vectors)
	if len(vectors.Cases) != 35 {
		t.Fatalf("%d cases", len(vectors.Cases))
	}
	w := newWorld(t, secret)
	for _, v := range vectors.Cases {
		t.Run(v.Input, func(t *testing.T) {
			in := ask(admin, "workspace_id", "w", "expires_at", v.Input)
			if v.OK {
				if exp := claims(t, mint(t, w, in))["exp"]; exp != v.Exp {
					t.Errorf("exp is %v, want %s", exp, v.Exp)
				}
				return
			}
			r := w.Refuses(t, in, 422)
			want := []any{map[string]any{
				"type": v.Type, "loc": []any{"query", "expires_at"}, "msg": v.Msg, "input": v.Input, "ctx": v.Ctx,
			}}
			if !reflect.DeepEqual(r.Field("detail"), want) {
				t.Errorf("got %s, want %v", r.Body, want)
			}
		})
	}
}
