package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyledger/client"
)

// TestVerifierStale: a verifier that hears nothing, though its connection is open, answers an error after its bound, and
// decides again, by what happened meanwhile, once it hears.
func TestVerifierStale(t *testing.T) {
	root := open(t, "")
	key, err := root.CreateKey(t.Context(), client.CreateKey{Name: "k", WorkspaceID: "stale"})
	if err != nil {
		t.Fatal(err)
	}
	c, l := overNATS(t, subscriber(t, "stale").Token)
	v := verifier(t, c, client.VerifierOptions{MaxStaleness: 1500 * time.Millisecond})
	if d, err := v.Verify(key.Token.Reveal()); err != nil || !d.Valid() {
		t.Fatal(d.Code, err)
	}
	l.hold()
	if _, err := root.RevokeKey(t.Context(), key.ID, ""); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		if _, err = v.Verify(key.Token.Reveal()); err != nil || time.Now().After(deadline) {
			break
		}
		if s := v.Staleness(); s > 1800*time.Millisecond {
			t.Fatalf("it decides though it is stale for %v", s)
		}
	}
	if !errors.Is(err, client.ErrStale) {
		t.Fatalf("got %v", err)
	}
	l.resume()
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		d, err := v.Verify(key.Token.Reveal())
		if err == nil && d.Code == client.KeyRevoked {
			break
		}
		if d.Valid() || time.Now().After(deadline) {
			t.Fatal(d.Code, err)
		}
	}
}

// TestVerifiersShareAKey: verifiers of the same key read each for itself.
func TestVerifiersShareAKey(t *testing.T) {
	c, _ := reader(t, "shared")
	var list []*client.Verifier
	for range 3 {
		list = append(list, verifier(t, c, client.VerifierOptions{}))
	}
	for range 20 {
		key, err := open(t, "").CreateKey(t.Context(), client.CreateKey{WorkspaceID: "shared"})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			reaches(t, v, key.Sequence)
			if d, err := v.Verify(key.Token.Reveal()); err != nil || !d.Valid() {
				t.Fatal(d.Code, err)
			}
		}
	}
}

// snapshotted runs a verifier on a snapshot file: what it decides about tokens, and which trouble it tells of.
func snapshotted(t *testing.T, c *client.Client, file string, decides map[string]client.Decision, wantTrouble string) {
	t.Helper()
	var trouble []string
	v, err := client.NewVerifier(c, client.VerifierOptions{SnapshotFile: file, Trouble: func(err error) { trouble = append(trouble, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	want := &client.Want{Scopes: []string{"deploy"}, WorkspaceID: "snapshot"}
	for token, code := range decides {
		if d, err := v.VerifyFor(token, want); err != nil || d.Code != code {
			t.Errorf("%v %v, want %v", d.Code, err, code)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	for token := range decides {
		if _, err := v.Verify(token); !errors.Is(err, client.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
	if got := strings.Join(trouble, "\n"); !strings.Contains(got, wantTrouble) || wantTrouble == "" && got != "" {
		t.Errorf("the trouble was %q, want %q", got, wantTrouble)
	}
}

// TestVerifierSnapshot: a verifier goes on from its snapshot, with what happened while it was away; one that is damaged, or
// not of this ledger, is not used.
func TestVerifierSnapshot(t *testing.T) {
	root := open(t, "")
	var keys []client.Issued
	for range 3 {
		key, err := root.CreateKey(t.Context(), client.CreateKey{WorkspaceID: "snapshot", Scopes: []string{"deploy"}})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	rotated, err := root.RotateKey(t.Context(), keys[2].ID, client.RotateKey{Grace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := reader(t, "snapshot")
	file := filepath.Join(t.TempDir(), "verifier")
	decides := map[string]client.Decision{rotated.Token.Reveal(): client.Valid}
	for _, key := range keys {
		decides[key.Token.Reveal()] = client.Valid
	}
	run := func(wantTrouble string) { t.Helper(); snapshotted(t, c, file, decides, wantTrouble) }
	run("")
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if _, err := root.RevokeKey(t.Context(), keys[1].ID, ""); err != nil {
		t.Fatal(err)
	}
	decides[keys[1].Token.Reveal()] = client.KeyRevoked
	run("")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range keys {
		if bytes.Contains(good, []byte(token.Token.Reveal())) {
			t.Error("a token is in the snapshot")
		}
	}
	damaged := bytes.Clone(good)
	damaged[len(damaged)/2] ^= 1
	for _, test := range []struct {
		data    []byte
		trouble string
	}{
		{damaged, "damaged"},
		{good[:len(good)-1], "damaged"},
		{nil, "damaged"},
		{client.ForgeEvent(good), "another one than before"},
		{client.ForgeOwner(good), "another owner"},
	} {
		if err := os.WriteFile(file, test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		run(test.trouble)
	}
}

// TestVerifierReports: uses that only the verifier has seen are told by the server, and refusals are not.
func TestVerifierReports(t *testing.T) {
	root := open(t, "")
	key, err := root.CreateKey(t.Context(), client.CreateKey{WorkspaceID: "reports"})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := reader(t, "reports")
	v := verifier(t, c, client.VerifierOptions{})
	for range 7 {
		if d, err := v.Verify(key.Token.Reveal()); err != nil || !d.Valid() {
			t.Fatal(d.Code, err)
		}
		if d, err := v.VerifyFor(key.Token.Reveal(), &client.Want{Scopes: []string{"x"}}); err != nil || d.Code != client.InsufficientScope {
			t.Fatal(d.Code, err)
		}
	}
	for deadline := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		u, err := root.KeyUsage(t.Context(), key.ID)
		if err != nil || time.Now().After(deadline) {
			t.Fatal(u, err)
		}
		if u.UseCount == 7 && time.Since(u.LastUsedAt) < patience {
			return
		}
		if u.UseCount > 7 {
			t.Fatalf("%d uses", u.UseCount)
		}
	}
}

// TestRequireKey: what the middleware answers, and what it lets through.
func TestRequireKey(t *testing.T) {
	root := open(t, "")
	create := func(workspace string, scopes ...string) string {
		key, err := root.CreateKey(t.Context(), client.CreateKey{WorkspaceID: workspace, Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		return key.Token.Reveal()
	}
	good, poor := create("require", "deploy"), create("require")
	other := create("elsewhere", "deploy")
	c, _ := reader(t, "require")
	v := verifier(t, c, client.VerifierOptions{})
	closed, err := client.NewVerifier(c, client.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	serve := func(v *client.Verifier, want client.Want) http.Handler {
		return client.RequireKey(v, want)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			key, ok := client.KeyFrom(r.Context())
			if !ok {
				t.Error("there is no key in the context")
				return
			}
			fmt.Fprint(w, key.Owner().WorkspaceID, " ", key.Scopes)
		}))
	}
	deploy := serve(v, client.Want{Scopes: []string{"deploy"}})
	for name, test := range map[string]struct {
		handler http.Handler
		header  http.Header
		status  int
		body    string
		asks    string // WWW-Authenticate
	}{
		"bearer":        {deploy, http.Header{"Authorization": {"Bearer " + good}}, 200, "require deploy", ""},
		"api key":       {deploy, http.Header{"X-Api-Key": {good}}, 200, "require deploy", ""},
		"both the same": {deploy, http.Header{"X-Api-Key": {good}, "Authorization": {"bearer " + good}}, 200, "require deploy", ""},
		"both":          {deploy, http.Header{"X-Api-Key": {good}, "Authorization": {"Bearer " + poor}}, 401, "one token", "Bearer"},
		"two":           {deploy, http.Header{"X-Api-Key": {good, poor}}, 401, "one token", "Bearer"},
		"none":          {deploy, http.Header{}, 401, "one token", "Bearer"},
		"basic":         {deploy, http.Header{"Authorization": {"Basic " + good}}, 401, "one token", "Bearer"},
		"foreign":       {deploy, http.Header{"X-Api-Key": {other}}, 401, "NOT_FOUND", `Bearer error="invalid_token"`},
		"mistyped":      {deploy, http.Header{"X-Api-Key": {good[:len(good)-1] + "~"}}, 401, "NOT_FOUND", `Bearer error="invalid_token"`},
		"no scope":      {deploy, http.Header{"X-Api-Key": {poor}}, 403, "INSUFFICIENT_SCOPE", `Bearer error="insufficient_scope", scope="deploy"`},
		"wrong owner":   {serve(v, client.Want{OrgID: "x"}), http.Header{"X-Api-Key": {good}}, 403, "WRONG_OWNER", ""},
		"cannot tell":   {serve(closed, client.Want{}), http.Header{"X-Api-Key": {good}}, 503, "cannot be verified now", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			r.Header = test.header
			test.handler.ServeHTTP(w, r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.body) || w.Header().Get("WWW-Authenticate") != test.asks {
				t.Errorf("%d %q %s", w.Code, w.Header().Get("WWW-Authenticate"), w.Body)
			}
			if problem := w.Header().Get("Content-Type") == "application/problem+json"; problem != (w.Code >= 400) {
				t.Errorf("Content-Type is %s", w.Header().Get("Content-Type"))
			}
		})
	}
}

// TestVerifierResumes: connections that are cut again and again cost a verifier nothing of what happens.
func TestVerifierResumes(t *testing.T) {
	root := open(t, "")
	c, l := overNATS(t, subscriber(t, "resumes").Token)
	v := verifier(t, c, client.VerifierOptions{MaxStaleness: patience})
	l.cutAfter(6000)
	var keys []client.Issued
	var last uint64
	for i := range 60 {
		key, err := root.CreateKey(t.Context(), client.CreateKey{WorkspaceID: "resumes"})
		if err != nil {
			t.Fatal(err)
		}
		if keys = append(keys, key); i%2 == 0 {
			if key.Key, err = root.RevokeKey(t.Context(), key.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
		if last = key.Sequence; i%7 == 0 {
			l.cut()
		}
	}
	l.cutAfter(0)
	reaches(t, v, last)
	for i, key := range keys {
		want := map[bool]client.Decision{true: client.KeyRevoked, false: client.Valid}[i%2 == 0]
		if d, err := v.Verify(key.Token.Reveal()); err != nil || d.Code != want {
			t.Errorf("key %d: %v %v, want %v", i, d.Code, err, want)
		}
	}
	if v.Keys() != len(keys)+1 || l.broken() == 0 {
		t.Errorf("it has %d keys, and %d connections were cut", v.Keys(), l.broken())
	}
}
