package handlers

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/ledger"
)

func sampleKey() ledger.Key {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	return ledger.Key{
		ID:          uuid.MustParse("01980f3e-7c5a-7d1e-9f00-3b1d5a7c9e21"),
		Owner:       ledger.Owner{Workspace: "acme", Org: "eu", AgentID: "bot7", AgentName: "Büro\n\"7\"", Peer: "p1"},
		Name:        "deploy bot",
		Hint:        "kl_4fQz…8Tb2",
		Scopes:      "deploy read:all",
		Environment: ledger.Live,
		Type:        ledger.TypeExternal,
		Metadata:    []byte(`{"team":"infra"}`),
		CreatedAt:   at,
		CreatedBy:   "01980f3e-0000-7000-8000-000000000001",
		UpdatedAt:   at,
		ExpiresAt:   at.AddDate(1, 0, 0).Truncate(time.Hour),
		Sequence:    42,
		Use:         ledger.Use{LastAt: at.Add(time.Hour), Count: 7},
	}
}

func BenchmarkAppendKey(b *testing.B) {
	k, now := sampleKey(), time.Now()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendKey(buf[:0], &k, now)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeVerify(b *testing.B) {
	body := []byte(`{"token":"kl_4fQzL0cVbR1ySgC2mJ6nXpT9uWdEaK3hQ7iF5oZ8Tb20000Tb2","scopes":["deploy"]}`)
	b.ReportAllocs()
	for b.Loop() {
		var in verifyRequest
		if err := decodeObject(body, &in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendTime(b *testing.B) {
	t := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	buf := make([]byte, 0, 64)
	for b.Loop() {
		buf = appendTime(buf[:0], t)
	}
}
func BenchmarkAppendString(b *testing.B) {
	buf := make([]byte, 0, 64)
	for b.Loop() {
		buf = appendString(buf[:0], "01980f3e-0000-7000-8000-000000000001")
	}
}
func BenchmarkAppendHint(b *testing.B) {
	buf := make([]byte, 0, 64)
	for b.Loop() {
		buf = appendString(buf[:0], "kl_4fQz…8Tb2")
	}
}
func BenchmarkAppendUUID(b *testing.B) {
	buf := make([]byte, 0, 64)
	u := uuid.New()
	for b.Loop() {
		buf = appendUUID(buf[:0], u)
	}
}
