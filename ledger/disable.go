package ledger

import "keyledger/events"

// DecideDisable decides on the suspension of a key. A key that is disabled already gives nil.
func DecideDisable(k *Key) (*events.Disabled, error) {
	switch {
	case !k.RevokedAt.IsZero():
		return nil, conflict("the key is revoked")
	case !k.DisabledAt.IsZero():
		return nil, nil
	}
	return &events.Disabled{KeyID: k.ID}, nil
}

// DecideEnable decides on the end of a suspension. A key that is not disabled gives nil.
func DecideEnable(k *Key) (*events.Enabled, error) {
	switch {
	case !k.RevokedAt.IsZero():
		return nil, conflict("the key is revoked")
	case k.DisabledAt.IsZero():
		return nil, nil
	}
	return &events.Enabled{KeyID: k.ID}, nil
}
