package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// The commands. Each returns when its event is durable and in this node's State; the key it returns is the one its own
// event left, whatever came after. A command that changes nothing appends nothing.
//
// The errors they share: CodeNotFound for a key that is absent or outside the owner of the principal, CodeForbidden for
// a missing scope, CodePrecondition for another sequence than Call.IfSequence, CodeConflict for a revoked key,
// CodeInvalid for an input that breaks a rule, CodeOverloaded and CodeUnavailable with RetryAfter when the log does not
// take the event. After CodeUnavailable it may be stored all the same: a repeat with the same Call.Entropy finds out.

// Create makes a key: scope ledger:keys:create. The principal must state an owner no wider than its own, and can give
// neither a scope of the ledger that it does not hold nor an expiry after its own (CodeForbidden); a foreign owner is
// CodeNotFound. A brought token that the ledger has seen is CodeConflict, and so is a taken name of Create.UniqueName.
func (s *Service) Create(ctx context.Context, c *Call, in *Create) (Issued, error) {
	if err := allowOwner(&c.Principal, ScopeCreate, &in.Owner); err != nil {
		return Issued{}, err
	}
	if err := CheckOwner(&in.Owner); err != nil { // before a token is made of it
		return Issued{}, err
	}
	cmd := command{call: c, brought: in.Token, short: in.ShortToken, mint: in.Mint}
	if err := c.draw(&cmd.event, &cmd.key); err != nil {
		return Issued{}, err
	}
	cmd.decide = func(_ *Key, now time.Time) (events.Payload, error) {
		token, err := cmd.token(s.prefix, orDefault(in.Environment, Live))
		if err != nil {
			return nil, err
		}
		out, err := DecideCreate(in, cmd.key, token, now)
		if err != nil {
			return nil, err
		}
		return out, c.Principal.grantCreate(out)
	}
	return s.issue(ctx, &cmd)
}

// Rotate gives a key a new secret: scope ledger:keys:update. The principal must hold every scope of the ledger that the
// key has, and the key may not outlive the principal (CodeForbidden). An expired key is CodeConflict, as is a brought
// token that the ledger has seen.
func (s *Service) Rotate(ctx context.Context, c *Call, id uuid.UUID, in *Rotate) (Issued, error) {
	cmd := command{call: c, scope: ScopeUpdate, key: id, brought: in.Token, mint: in.Mint}
	if err := c.draw(&cmd.event); err != nil {
		return Issued{}, err
	}
	cmd.decide = func(k *Key, now time.Time) (events.Payload, error) {
		token, err := cmd.token(s.prefix, k.Environment)
		if err != nil {
			return nil, err
		}
		out, err := DecideRotate(k, in, token, now)
		if err != nil {
			return nil, err
		}
		return out, c.Principal.grantRotate(k, out)
	}
	return s.issue(ctx, &cmd)
}

// Update changes a key: scope ledger:keys:update. The principal must hold every scope of the ledger that the key has or
// is to have, and can give no expiry after its own (CodeForbidden). A taken name of a key with UniqueName is CodeConflict.
func (s *Service) Update(ctx context.Context, c *Call, id uuid.UUID, in *Update) (Key, error) {
	return s.change(ctx, c, id, ScopeUpdate, func(k *Key, now time.Time) (events.Payload, error) {
		if err := c.Principal.grantScopes(k.Scopes); err != nil {
			return nil, err
		}
		out, err := DecideUpdate(k, in, now)
		if err != nil || out == nil {
			return nil, err
		}
		return out, c.Principal.grantUpdate(k, out)
	})
}

// Disable suspends a key until it is enabled: scope ledger:keys:update. The last root key is CodeConflict.
func (s *Service) Disable(ctx context.Context, c *Call, id uuid.UUID) (Key, error) {
	return s.change(ctx, c, id, ScopeUpdate, func(k *Key, _ time.Time) (events.Payload, error) {
		return fact(DecideDisable(k))
	})
}

// Enable ends a suspension: scope ledger:keys:update. The principal must hold every scope of the ledger that the key
// has (CodeForbidden).
func (s *Service) Enable(ctx context.Context, c *Call, id uuid.UUID) (Key, error) {
	return s.change(ctx, c, id, ScopeUpdate, func(k *Key, _ time.Time) (events.Payload, error) {
		if err := c.Principal.grantScopes(k.Scopes); err != nil {
			return nil, err
		}
		return fact(DecideEnable(k))
	})
}

// Revoke ends a key for good: scope ledger:keys:revoke. A repeat returns the revoked key; with another reason it is
// CodeConflict, as is the last root key.
func (s *Service) Revoke(ctx context.Context, c *Call, id uuid.UUID, reason string) (Key, error) {
	return s.change(ctx, c, id, ScopeRevoke, func(k *Key, _ time.Time) (events.Payload, error) {
		return fact(DecideRevoke(k, reason))
	})
}

// change runs a command that gives no secret.
func (s *Service) change(ctx context.Context, c *Call, id uuid.UUID, scope string, decide decision) (Key, error) {
	cmd := command{call: c, scope: scope, key: id, decide: decide}
	if err := c.draw(&cmd.event); err != nil {
		return Key{}, err
	}
	return s.run(ctx, &cmd)
}

// issue runs a command that gives a secret.
func (s *Service) issue(ctx context.Context, cmd *command) (Issued, error) {
	if err := cmd.drawSecret(s.prefix); err != nil {
		return Issued{}, err
	}
	k, err := s.run(ctx, cmd)
	if err != nil {
		return Issued{}, err
	}
	token, err := cmd.token(s.prefix, k.Environment)
	if err != nil {
		return Issued{}, err
	}
	return Issued{Key: k, Token: token}, nil
}
