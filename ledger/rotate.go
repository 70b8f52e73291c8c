package ledger

import (
	"time"

	"keyledger/events"
)

// Rotate is the input of a rotation.
type Rotate struct {
	Grace     time.Duration // 0 to 7 days
	ExpiresAt *time.Time    // nil: unchanged; zero time: never
	Token     Secret        // brought by the caller; minted when zero
	Mint      Mint          // as in Create
}

// DecideRotate decides on a new secret for a key. The present one stays valid until the grace ends, but no longer than
// it would have been; the one before it, if any, is given up.
func DecideRotate(k *Key, in *Rotate, token Secret, now time.Time) (*events.Rotated, error) {
	switch k.Status(now) {
	case Revoked:
		return nil, conflict("the key is revoked")
	case Expired:
		return nil, conflict("the key is expired")
	}
	if in.Grace < 0 || in.Grace > MaxGrace {
		return nil, invalid("grace_seconds", "must be 0 to %d", int(MaxGrace.Seconds()))
	}
	out := events.Rotated{
		KeyID:             k.ID,
		Digest:            token.Digest(),
		Hint:              token.Hint(),
		PreviousExpiresAt: earlier(moment(now.Add(in.Grace)), k.ExpiresAt),
	}
	if in.ExpiresAt != nil {
		expiry := moment(*in.ExpiresAt)
		if err := checkExpiry(expiry, k.NotBefore, now); err != nil {
			return nil, err
		}
		if !expiry.Equal(k.ExpiresAt) {
			out.ExpiresAt = &expiry
			out.PreviousExpiresAt = earlier(out.PreviousExpiresAt, expiry)
		}
	}
	return &out, nil
}

// InGrace tells whether the previous secret of k is good still. One that was replaced without grace never is, though the
// clock of this node may be behind that of the node which replaced it.
func (k *Key) InGrace(now time.Time) bool {
	return k.PreviousExpiresAt.After(k.RotatedAt) && now.Before(k.PreviousExpiresAt)
}

// earlier is the earlier of two times, where a zero limit is none.
func earlier(t, limit time.Time) time.Time {
	if !limit.IsZero() && limit.Before(t) {
		return limit
	}
	return t
}
