package jetstream

import (
	"context"
	"errors"
	"fmt"

	"keyledger/ledger"
)

// Append implements ledger.Log.
func (l *Log) Append(ctx context.Context, entries ...ledger.Entry) (uint64, error) {
	if len(entries) != 1 {
		return 0, errors.New("not yet")
	}
	m, err := l.nc.RequestMsgWithContext(ctx, outgoing(&entries[0]))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	a, err := parseAck(m)
	var api *apiError
	if errors.As(err, &api) && api.conflict() {
		return 0, fmt.Errorf("%w: %w", ledger.ErrConflict, err)
	}
	return a.Sequence, err
}
