package ledger

import (
	"bytes"
	"encoding/json"
	"time"

	"keyledger/events"
)

// Update is the input of an update: nil means unchanged.
type Update struct {
	Name      *string
	Scopes    *[]string
	Metadata  *json.RawMessage // "null" or "{}" empties it
	ExpiresAt *time.Time       // zero time: never
}

// DecideUpdate decides on a change of a key. Nothing to change gives nil. An expired key may be given a later expiry,
// an erased one neither name nor metadata.
func DecideUpdate(k *Key, in *Update, now time.Time) (*events.Updated, error) {
	if k.Status(now) == Revoked {
		return nil, conflict("the key is revoked")
	}
	out := events.Updated{KeyID: k.ID}
	changed := false
	if in.Name != nil && *in.Name != k.Name {
		if err := checkName("name", *in.Name); err != nil {
			return nil, err
		}
		out.Name, changed = in.Name, true
	}
	if in.Scopes != nil {
		scopes, err := NewScopes(*in.Scopes)
		if err != nil {
			return nil, err
		}
		if scopes != k.Scopes {
			list := string(scopes)
			out.Scopes, changed = &list, true
		}
	}
	if in.Metadata != nil {
		metadata, err := compactMetadata(*in.Metadata)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(metadata, k.Metadata) {
			out.Metadata, changed = &metadata, true
		}
	}
	if in.ExpiresAt != nil {
		expiry := moment(*in.ExpiresAt)
		if !expiry.Equal(k.ExpiresAt) {
			if err := checkExpiry(expiry, k.NotBefore, now); err != nil {
				return nil, err
			}
			out.ExpiresAt, changed = &expiry, true
		}
	}
	if !k.ErasedAt.IsZero() && (out.Name != nil || out.Metadata != nil) {
		return nil, conflict("the personal data of the key was erased: it gets no name and no metadata any more")
	}
	if !changed {
		return nil, nil
	}
	return &out, nil
}
