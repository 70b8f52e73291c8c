package handlers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/ledger"
)

// The answer of a key is a promise: its golden file is never edited, only added to.
func TestKeyGolden(t *testing.T) {
	k := ledger.Key{
		ID: uuid.MustParse("01980f3e-7c5a-7d1e-9f00-3b1d5a7c9e21"),
		Owner: ledger.Owner{Workspace: "acme", Org: "eu/west", AgentID: "bot7", AgentName: "Büro \"7\"\n", Peer: "p1",
			Session: "s1"},
		Name:              "deploy bot",
		Hint:              "kl_4fQz…8Tb2",
		Scopes:            "deploy read:all",
		Environment:       ledger.Live,
		Type:              ledger.TypeExternal,
		Metadata:          []byte(`{"team":"infra"}`),
		CreatedAt:         time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC),
		CreatedBy:         "01980f3e-0000-7000-8000-000000000001",
		UpdatedAt:         time.Date(2026, 3, 6, 12, 0, 0, 120000000, time.UTC),
		NotBefore:         time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
		ExpiresAt:         time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC),
		RotatedAt:         time.Date(2026, 3, 4, 1, 2, 3, 0, time.UTC),
		PreviousExpiresAt: time.Date(2026, 3, 4, 2, 2, 3, 0, time.UTC),
		DisabledAt:        time.Date(2026, 3, 5, 0, 0, 0, 1000, time.UTC),
		RevokedAt:         time.Date(2026, 3, 6, 12, 0, 0, 120000000, time.UTC),
		RevokedBy:         "system",
		RevokeReason:      "leaked",
		Revision:          42,
		Use:               ledger.Use{LastAt: time.Date(2026, 3, 5, 23, 59, 59, 999999000, time.UTC), Count: 7},
	}
	for name, key := range map[string]*ledger.Key{
		"key.json":       &k,
		"key_empty.json": {ID: k.ID, Hint: "…", Environment: ledger.Test, Type: ledger.TypeInternal, CreatedAt: k.CreatedAt, UpdatedAt: k.CreatedAt, Revision: 1},
	} {
		want, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(appendKey(nil, key, k.RevokedAt)) + "\n"; got != string(want) {
			t.Errorf("%s: got\n%swant\n%s", name, got, want)
		}
	}
}

func TestAppendTimeIsRFC3339(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(-1e17, 260000000000*1e6).Draw(t, "microseconds")).UTC()
		if got, want := string(appendTime(nil, at)), at.Format(time.RFC3339Nano); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
	for day := range 366 * 420 { // every day of more than one era, so every kind of leap year
		at := time.Date(1970, 1, 1, 23, 59, 59, 0, time.UTC).AddDate(0, 0, day)
		if got, want := string(appendTime(nil, at)), at.Format(time.RFC3339Nano); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

func TestAppendStringIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]*`), rapid.StringOf(rapid.RuneFrom([]rune("a\"\\\n\x1f\x7f\u0080é€😀")))).Draw(t, "s")
		var back string
		if err := json.Unmarshal(appendString(nil, s), &back); err != nil || back != s {
			t.Fatalf("%q became %q (%v)", s, back, err)
		}
	})
	// At every place within and after a word of eight, every byte that needs an escape.
	for at := range 17 {
		for c := range 256 {
			s := strings.Repeat("x", at) + string([]byte{byte(c)}) + strings.Repeat("y", 17-at)
			needs := c < ' ' || c == '"' || c == '\\' || c >= 0x80
			if isPlain(s) == needs {
				t.Fatalf("byte %#x at %d: isPlain is %v", c, at, isPlain(s))
			}
		}
	}
}

func TestAppendUUID(t *testing.T) {
	id := uuid.New()
	if got := string(appendUUID(nil, id)); got != id.String() {
		t.Errorf("%s, want %s", got, id)
	}
}
