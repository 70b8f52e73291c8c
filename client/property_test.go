package client_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyledger/client"
)

// TestVerifierDecidesAsTheServer: after a random history, for every token that ever was and for what is asked of it, the
// Verifier and the server say the same of the same key.
func TestVerifierDecidesAsTheServer(t *testing.T) {
	root := open(t, "")
	c, _ := reader(t, "property")
	v := verifier(t, c, client.VerifierOptions{})
	ids := []string{"", "a", "b"}
	scopes := []string{"deploy", "read", "ledger:events:read", "ledger:*"}
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(list []string, label string) string { return rapid.SampledFrom(list).Draw(rt, label) }
		some := func(label string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(scopes), 0, 2, rapid.ID).Draw(rt, label)
		}
		in := client.CreateKey{
			WorkspaceID: rapid.SampledFrom([]string{"property", "property", "property", "elsewhere"}).Draw(rt, "workspace"),
			OrgID:       pick(ids, "org"), AgentID: pick(ids, "agent"), PeerID: pick(ids, "peer"), SessionID: pick(ids, "session"),
			Scopes: some("scopes"), Environment: rapid.SampledFrom([]string{"live", "test"}).Draw(rt, "environment"),
		}
		if rapid.Bool().Draw(rt, "scheduled") {
			in.NotBefore = time.Now().Add(rapid.SampledFrom([]time.Duration{-time.Hour, time.Hour}).Draw(rt, "not before"))
		}
		key, err := root.CreateKey(t.Context(), in)
		if err != nil {
			rt.Fatal(err)
		}
		tokens := []string{key.Token.Reveal(), key.Token.Reveal() + "x", key.Token.Reveal()[:30], "kl_unknown-but-long-enough-to-be-one"}
		sequence := key.Sequence
		for range rapid.IntRange(0, 6).Draw(rt, "changes") {
			var changed client.Key
			var err error
			switch rapid.IntRange(0, 5).Draw(rt, "change") {
			case 0:
				list := some("new scopes")
				changed, err = root.UpdateKey(t.Context(), key.ID, client.UpdateKey{Scopes: &list})
			case 1:
				until := time.Now().Add(rapid.SampledFrom([]time.Duration{time.Hour, 2 * time.Hour}).Draw(rt, "until"))
				changed, err = root.UpdateKey(t.Context(), key.ID, client.UpdateKey{ExpiresAt: &until})
			case 2:
				var issued client.Issued
				grace := rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(rt, "grace")
				issued, err = root.RotateKey(t.Context(), key.ID, client.RotateKey{Grace: grace})
				if changed = issued.Key; err == nil {
					tokens = append(tokens, issued.Token.Reveal())
				}
			case 3:
				changed, err = root.DisableKey(t.Context(), key.ID)
			case 4:
				changed, err = root.EnableKey(t.Context(), key.ID)
			case 5:
				if rapid.IntRange(0, 3).Draw(rt, "revoke") == 0 {
					changed, err = root.RevokeKey(t.Context(), key.ID, "")
				}
			}
			if err == nil { // else the state of the key forbids it
				sequence = max(sequence, changed.Sequence)
			}
		}
		if in.WorkspaceID == "property" {
			reaches(t, v, sequence)
		}
		for range 10 {
			token := rapid.SampledFrom(tokens).Draw(rt, "token")
			want := client.Want{
				Scopes:      some("wanted"),
				Environment: rapid.SampledFrom([]string{"", "", "live", "test"}).Draw(rt, "wanted environment"),
				WorkspaceID: rapid.SampledFrom([]string{"", "property", "property", "elsewhere"}).Draw(rt, "wanted workspace"),
				OrgID:       pick(ids, "wanted org"), AgentID: pick(ids, "wanted agent"),
				PeerID: pick(ids, "wanted peer"), SessionID: pick(ids, "wanted session"),
			}
			if rapid.Bool().Draw(rt, "want little") {
				want = client.Want{Scopes: want.Scopes}
			}
			same(rt, c, v, token, &want)
		}
	})
}

// same asks both, the Verifier before and after the server, for time goes by.
func same(t *rapid.T, c *client.Client, v *client.Verifier, token string, want *client.Want) {
	t.Helper()
	before, err := v.VerifyFor(token, want)
	if err != nil {
		t.Fatal(err)
	}
	server, err := c.Verify(t.Context(), client.Verify{
		Token: client.NewToken(token), Scopes: want.Scopes, Environment: want.Environment, WorkspaceID: want.WorkspaceID,
		OrgID: want.OrgID, AgentID: want.AgentID, PeerID: want.PeerID, SessionID: want.SessionID,
	})
	if err != nil {
		t.Fatal(err)
	}
	after, err := v.VerifyFor(token, want)
	if err != nil {
		t.Fatal(err)
	}
	if server.Code != before.Code && server.Code != after.Code {
		t.Fatalf("%+v: the server says %s, the verifier %s", want, server.Code, after.Code)
	}
	switch k := server.Key; {
	case k == nil && after.KeyID != [16]byte{}:
		t.Fatalf("the verifier knows key %s, the server none", after.KeyID)
	case k == nil:
	case k.ID != after.KeyID.String(), k.Environment != after.Environment, !k.ExpiresAt.Equal(after.ExpiresAt()),
		(client.Owner{k.WorkspaceID, k.OrgID, k.AgentID, k.AgentName, k.PeerID, k.SessionID}) != after.Owner(),
		slices.ContainsFunc(k.Scopes, func(s string) bool { return !after.HasScope(s) }):
		t.Fatalf("the verifier says %+v of %+v", after, k)
	}
}
