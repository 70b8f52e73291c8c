package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/google/uuid"

	"keyledger/events"
)

// Kinds of claims. A claim names something that must be unique beyond one key; it has a subject of its own, so that
// commands on different keys can guard it.
const (
	// A brought token is claimed under its digest, for ever: a token that was once in the ledger never means another
	// key. (A minted one needs no claim, it has 256 random bits.)
	claimToken = "token"
	// The name of an agent is claimed within its owner.
	claimAgent = "agent"
	// The name of a key with UniqueName is claimed within its owner and type, until the key is revoked or renamed.
	claimName = "name"
	// The root claim is held by a root key. It is taken anew, under its guard, whenever another root key is taken
	// away: so two nodes cannot each take away the one that the other counts on.
	claimRoot = "root"
)

// claimHash is the hash of what is claimed. Each part goes in with its length before it, so that no two lists of parts
// can be taken for each other.
func claimHash(parts ...string) string {
	var b []byte
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// rootHash is the hash of the one root claim.
func rootHash() string {
	sum := sha256.Sum256([]byte(claimRoot))
	return hex.EncodeToString(sum[:])
}

// claims are the claims that must be stored together with the event e, which turns k into next.
func (s *Service) claims(ctx context.Context, cmd *command, k, next *Key, e *events.Event) ([]Entry, error) {
	var list []Entry
	if cmd.bootstrap {
		claim, err := s.firstRootClaim(ctx, next, e)
		if err != nil {
			return nil, err
		}
		list = append(list, claim)
	}
	if !cmd.brought.IsZero() {
		claim, err := s.tokenClaim(ctx, next, e)
		if err != nil {
			return nil, err
		}
		list = append(list, claim)
	}
	if k.IsRoot() && !next.IsRoot() {
		claim, err := s.rootClaim(ctx, k, e)
		if err != nil {
			return nil, err
		}
		list = append(list, claim)
	}
	names, err := s.nameClaims(ctx, k, next, e)
	return append(list, names...), err
}

// tokenClaim claims the digest of the brought token of a key, unless the ledger has seen it.
func (s *Service) tokenClaim(ctx context.Context, k *Key, e *events.Event) (Entry, error) {
	_, _, used, err := s.state.KeyByDigest(k.Digest)
	if err != nil {
		return Entry{}, failed(err)
	}
	hash := hex.EncodeToString(k.Digest[:])
	claim, err := s.state.Claim(ctx, claimToken, hash)
	if err != nil {
		return Entry{}, failed(err)
	}
	if used || claim.Held {
		return Entry{}, conflict("the token is in use already")
	}
	return s.take(e, claimToken, hash, k.ID.String(), claim.Sequence)
}

// firstRootClaim takes the root claim for k, unless it was ever taken: then it fails with errRooted.
func (s *Service) firstRootClaim(ctx context.Context, k *Key, e *events.Event) (Entry, error) {
	claim, err := s.state.Claim(ctx, claimRoot, rootHash())
	if err != nil {
		return Entry{}, failed(err)
	}
	if claim.Sequence != 0 {
		return Entry{}, errRooted
	}
	return s.take(e, claimRoot, rootHash(), k.ID.String(), 0)
}

// rootClaim moves the root claim to another root key before k stops being one. Without another it is a conflict.
func (s *Service) rootClaim(ctx context.Context, k *Key, e *events.Event) (Entry, error) {
	// The claim is read before the roots: who takes a root away in between makes its guard fail.
	claim, err := s.state.Claim(ctx, claimRoot, rootHash())
	if err != nil {
		return Entry{}, failed(err)
	}
	roots, err := s.state.Roots(ctx)
	if err != nil {
		return Entry{}, failed(err)
	}
	for _, id := range roots {
		if id == k.ID {
			continue
		}
		other, ok, err := s.state.Key(ctx, id)
		if err != nil {
			return Entry{}, failed(err)
		}
		if ok && other.IsRoot() && other.Status(e.Time) == Active {
			return s.take(e, claimRoot, rootHash(), id.String(), claim.Sequence)
		}
	}
	return Entry{}, conflict("this is the last root key: make another one first")
}

// take is the entry of a claim that goes with the event e.
func (s *Service) take(e *events.Event, kind, hash, holder string, expect uint64) (Entry, error) {
	return s.beside(e, kind, hash, kind, &events.Claim{Kind: kind, Hash: hash, Holder: holder}, expect)
}

// release is the entry of the end of a claim that goes with the event e.
func (s *Service) release(e *events.Event, kind, hash string, expect uint64) (Entry, error) {
	return s.beside(e, kind, hash, kind+" released", &events.Release{Kind: kind, Hash: hash}, expect)
}

// beside is the entry of a claim's event that goes with the event e. Its id follows from that of e and a name, so that a
// repeat of e repeats it too.
func (s *Service) beside(e *events.Event, kind, hash, name string, body events.Payload, expect uint64) (Entry, error) {
	claim := *e
	claim.ID = uuid.NewSHA1(e.ID, []byte(name))
	claim.Subject = events.ClaimSubject(kind, hash)
	claim.Origin = events.Origin{}
	claim.Payload = body
	return s.entry(&claim, expect)
}
