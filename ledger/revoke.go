package ledger

import "keyledger/events"

// DecideRevoke decides on the end of a key. The repeat of a revocation, with the same reason or without one, changes
// nothing and gives nil; with another reason it is a conflict, as the reason on record is final. Of an erased key no reason is recorded.
func DecideRevoke(k *Key, reason string) (*events.Revoked, error) {
	if err := checkReason(reason); err != nil {
		return nil, err
	}
	if !k.ErasedAt.IsZero() {
		reason = "" // it has no personal data any more
	}
	if k.RevokedAt.IsZero() {
		return &events.Revoked{KeyID: k.ID, Reason: reason}, nil
	}
	if reason != "" && reason != k.RevokeReason {
		return nil, conflict("the key is revoked already, for another reason")
	}
	return nil, nil
}
