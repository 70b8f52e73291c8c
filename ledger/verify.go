package ledger

import (
	"context"
	"time"

	"keyledger/events"
)

// VerifyRequest asks whether a token is good for something. Empty fields are not asked.
//
// A key is good for the owner that is exactly its own. A confined key (Key.Confined) is so in workspace, org and agent;
// of peers and sessions it is good for those inside its owner: one with a session for that session alone, one with a peer
// for that peer alone, one with neither for all of its workspace. It is not good for a workspace as a whole when it has
// a peer or a session.
type VerifyRequest struct {
	Token       string
	Scopes      []string // all must be held
	Environment string
	Workspace   string
	Org         string
	Agent       string
	Peer        string
	Session     string
	Origin      events.Origin // of the user of the token, for last use
}

// Decision is the code of a verification.
type Decision string

// The decisions, in the order in which they are taken: the first that applies is the answer.
const (
	Malformed         Decision = "MALFORMED"          // cannot be a token, or is a native one mistyped
	NotFound          Decision = "NOT_FOUND"          // no such token, or outside the principal's owner
	KeyRevoked        Decision = "REVOKED"            // for good
	KeyDisabled       Decision = "DISABLED"           // until it is enabled
	KeyExpired        Decision = "EXPIRED"            // the key, or the grace of its previous secret
	NotYetValid       Decision = "NOT_YET_VALID"      // its not-before lies ahead
	WrongOwner        Decision = "WRONG_OWNER"        // not of the owner asked for, or of another environment
	InsufficientScope Decision = "INSUFFICIENT_SCOPE" // lacks a scope asked for
	Valid             Decision = "VALID"
)

// Verification is the answer: Found tells whether Key is set. A key outside the principal's owner is NotFound.
type Verification struct {
	Decision Decision
	Found    bool
	Key      Key

	previous bool // it is the key's previous secret
}

// Authenticate gives the principal of a token, and records its use as coming from origin. A token that is not that of
// an active key, or its previous one within the grace, is CodeUnauthenticated; it is CodeStale when this node was cut
// off from the log for longer than MaxStaleness.
func (s *Service) Authenticate(ctx context.Context, token string, origin events.Origin) (Principal, error) {
	v, err := s.decide(ctx, &Principal{}, &VerifyRequest{Token: token, Origin: origin})
	return v.principal(err)
}

// Renew is Authenticate for whoever holds a connection open and kept only the digest of its token. It records no use.
func (s *Service) Renew(ctx context.Context, d Digest) (Principal, error) {
	v, err := s.decideDigest(ctx, &Principal{}, &VerifyRequest{}, d, s.clock())
	return v.principal(err)
}

// principal is that of a valid token.
func (v *Verification) principal(err error) (Principal, error) {
	if err != nil {
		return Principal{}, err
	}
	if v.Decision != Valid {
		return Principal{}, &Error{Code: CodeUnauthenticated, Detail: "the token is not valid"}
	}
	k := &v.Key
	return Principal{KeyID: k.ID, Owner: k.Owner, Scopes: k.Scopes, ExpiresAt: k.ExpiresAt, digest: v.digest()}, nil
}

// digest is that of the secret by which the key was found.
func (v *Verification) digest() Digest {
	if v.previous {
		return v.Key.PreviousDigest
	}
	return v.Key.Digest
}

// Verify decides about a token, for a principal with the scope ledger:keys:verify, and records its use when it is valid.
// It writes nothing to the log. Its errors are CodeForbidden, and CodeStale when this node was cut off from the log for
// longer than MaxStaleness.
func (s *Service) Verify(ctx context.Context, p *Principal, r *VerifyRequest) (Verification, error) {
	if err := p.may(ScopeVerify); err != nil {
		return Verification{}, err
	}
	return s.decide(ctx, p, r)
}

// Authorize decides about a token for a proxy (no other principal): a key outside every asked owner is WrongOwner.
func (s *Service) Authorize(ctx context.Context, r *VerifyRequest) (Verification, error) {
	return s.decide(ctx, &Principal{}, r)
}

// decide answers from memory: no write, no lock, and no wait unless the token is unknown and this node is behind.
func (s *Service) decide(ctx context.Context, p *Principal, r *VerifyRequest) (v Verification, err error) {
	if MalformedToken(r.Token, s.prefix) {
		v.Decision = Malformed
		return v, nil
	}
	now := s.clock()
	v, err = s.decideDigest(ctx, p, r, digest(r.Token), now)
	if err != nil || v.Decision != Valid {
		return v, err
	}
	if s.usage != nil {
		s.usage.Touch(v.Key.ID, now, r.Origin)
	}
	if !v.Key.FirstUsed {
		s.firsts.note(v.Key.ID, now)
	}
	return v, nil
}

// decideDigest is decide for the token of a digest. It records no use.
func (s *Service) decideDigest(ctx context.Context, p *Principal, r *VerifyRequest, d Digest, now time.Time) (v Verification, err error) {
	if err := s.fresh(now); err != nil {
		return v, err
	}
	v.Key, v.previous, v.Found, err = s.lookup(ctx, d)
	if err != nil {
		return Verification{}, err
	}
	if !v.Found || !p.covers(&v.Key.Owner) {
		return Verification{Decision: NotFound}, nil
	}
	v.Decision = r.judge(&v.Key, v.previous, now)
	return v, nil
}

// fresh is nil unless this node was cut off from the log for longer than MaxStaleness, by the monotonic clock or by the wall
// clock: the one does not count the time for which a machine was suspended, the other can be set back.
func (s *Service) fresh(now time.Time) error {
	heard := s.state.Heard()
	if max(now.Sub(heard), now.Round(0).Sub(heard.Round(0))) > s.staleness {
		return &Error{Code: CodeStale, Detail: "this node is cut off from the ledger", RetryAfter: retryAfter}
	}
	return nil
}

// Known tells how long ago this node knew the whole ledger, and a sequence after which there was none then. ok is false when
// it never did.
func (s *Service) Known() (age time.Duration, last uint64, ok bool) {
	at := s.state.Heard() // before the position, which has all that there was at that time
	return s.clock().Sub(at), s.state.Position(), !at.IsZero()
}

// lookup finds the key of a digest. What is not there while this node is behind may just have come to another one, so
// it is looked for once more after a short wait.
func (s *Service) lookup(ctx context.Context, d Digest) (k Key, previous, ok bool, err error) {
	k, previous, ok, err = s.state.KeyByDigest(d)
	if lag := s.state.Lag(); err == nil && !ok && lag > 0 {
		s.await(ctx, s.state.Position()+lag)
		k, previous, ok, err = s.state.KeyByDigest(d)
	}
	return k, previous, ok, failed(err)
}

// judge decides about a key that was found by its present or its previous secret.
func (r *VerifyRequest) judge(k *Key, previous bool, now time.Time) Decision {
	switch k.Status(now) {
	case Revoked:
		return KeyRevoked
	case Disabled:
		return KeyDisabled
	case Expired:
		return KeyExpired
	case Scheduled, Active:
	}
	switch {
	case previous && !k.InGrace(now):
		return KeyExpired
	case now.Before(k.NotBefore):
		return NotYetValid
	case !r.asks(k), r.Environment != "" && r.Environment != k.Environment:
		return WrongOwner
	}
	for _, scope := range r.Scopes {
		if !k.Scopes.Has(scope) {
			return InsufficientScope
		}
	}
	return Valid
}

// asks tells whether k is good for the owner asked for.
func (r *VerifyRequest) asks(k *Key) bool {
	asked := Principal{Owner: Owner{Workspace: r.Workspace, Org: r.Org, AgentID: r.Agent}}
	if !k.Confined {
		asked.Owner.Peer, asked.Owner.Session = r.Peer, r.Session
	}
	return asked.covers(&k.Owner) && (!k.Confined || r.inside(&k.Owner))
}

// inside tells whether the workspace, peer or session asked for lies inside the owner of a confined key.
func (r *VerifyRequest) inside(o *Owner) bool {
	whole := o.Peer == "" && o.Session == ""
	switch {
	case r.Session != "":
		return whole || o.Session == r.Session
	case r.Peer != "":
		return whole || o.Session == "" && o.Peer == r.Peer
	case r.Workspace != "":
		return whole
	}
	return true
}
