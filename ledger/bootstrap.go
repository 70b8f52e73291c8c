package ledger

import (
	"context"
	"errors"
	"time"

	"keyledger/events"
)

// errRooted says that the ledger has, or had, a root key.
var errRooted = errors.New("ledger: there is a root key already")

// Bootstrap makes the first root key unless the ledger ever had one: made tells. token zero: minted. It asks no
// principal: it is for the process itself, at its start. Of several processes that start at once, one makes it.
//
// A minted token is lost when the answer is. Where that matters, mint it before (MintToken), keep it, and bring it.
func (s *Service) Bootstrap(ctx context.Context, token Secret) (issued Issued, made bool, err error) {
	cmd := command{call: &Call{}, brought: token, bootstrap: true}
	if err := cmd.call.draw(&cmd.event, &cmd.key); err != nil {
		return Issued{}, false, err
	}
	in := Create{Name: "root", Scopes: []string{ScopeAll}, Type: TypeInternal}
	cmd.decide = func(_ *Key, now time.Time) (events.Payload, error) {
		token, err := cmd.token(s.prefix, Live)
		if err != nil {
			return nil, err
		}
		return fact(DecideCreate(&in, cmd.key, token, now))
	}
	issued, err = s.issue(ctx, &cmd)
	if errors.Is(err, errRooted) {
		return Issued{}, false, nil
	}
	return issued, err == nil, err
}
