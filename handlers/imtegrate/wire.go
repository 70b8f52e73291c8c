package imtegrate

import (
	"slices"
	"strings"
	"time"

	"keyledger/ledger"
)

// apiKey is a key on the wire: the vendor's ApiKeyCreated, which is without a token in lists.
type apiKey struct {
	ID         string   `json:"id"`
	OrgID      string   `json:"org_id"`
	Prefix     string   `json:"prefix"`
	Name       string   `json:"name"`
	Scopes     []string `json:"scopes"`
	LastUsedAt *string  `json:"last_used_at"`
	RevokedAt  *string  `json:"revoked_at"`
	CreatedAt  *string  `json:"created_at"`
	Token      string   `json:"token,omitempty"`
}

func newAPIKey(k *ledger.Key) apiKey {
	prefix, _, _ := strings.Cut(k.Hint, "…")
	return apiKey{
		ID:         k.ID.String(),
		OrgID:      k.Owner.Org,
		Prefix:     prefix,
		Name:       k.Name,
		Scopes:     slices.Collect(k.Scopes.All()),
		LastUsedAt: datetime(k.Use.LastAt),
		RevokedAt:  datetime(k.RevokedAt),
		CreatedAt:  datetime(k.CreatedAt),
	}
}

// datetime is a time as pydantic prints it: microseconds, all six digits, only when there are any. nil for the zero time.
func datetime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	layout := "2006-01-02T15:04:05Z"
	if t.Nanosecond() >= int(time.Microsecond) {
		layout = "2006-01-02T15:04:05.000000Z"
	}
	s := t.UTC().Format(layout)
	return &s
}
