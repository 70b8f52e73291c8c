package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// maxAttempts is how often a command is decided anew when others get in between.
const maxAttempts = 20

// command is one change of one key, with everything that was drawn at random for it: every attempt at it, and every
// repeat with the same entropy, makes the same event.
type command struct {
	call    *Call
	scope   string    // that the principal needs on the key; empty for a create
	event   uuid.UUID // id of its event
	key     uuid.UUID // that it changes or makes
	brought Secret    // token of the caller, whose digest it claims
	short   bool      // the brought token may be short
	mint    Mint      // nil: native tokens are minted
	secret  [32]byte  // of the token that it mints when none was brought
	minted  Secret
	decide  decision

	bootstrap bool // it makes the first root key
}

// decision gives the body of the event of a command, nil when there is nothing to change.
type decision func(k *Key, now time.Time) (events.Payload, error)

// fact is the body that a Decide function gave, as a decision returns it: a nil pointer is no body.
func fact[T any, P interface {
	*T
	events.Payload
}](body P, err error) (events.Payload, error) {
	if body == nil || err != nil {
		return nil, err
	}
	return body, nil
}

// draw fills in ids: UUIDs of version 7.
func (c *Call) draw(ids ...*uuid.UUID) (err error) {
	for _, id := range ids {
		if c.Entropy == nil {
			*id, err = uuid.NewV7()
		} else if *id, err = uuid.NewRandomFromReader(c.Entropy); err == nil {
			stamp(id, c.Drawn)
		}
		if err != nil {
			return failed(fmt.Errorf("ledger: draw an id: %w", err))
		}
	}
	return nil
}

// stamp makes a random UUID one of version 7 (RFC 9562, section 5.7) of a time.
func stamp(id *uuid.UUID, at time.Time) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = 0x70 | id[6]&0x0f
}

// drawSecret draws the bits of a token to be minted, or checks the one that was brought.
func (cmd *command) drawSecret(prefix string) error {
	switch {
	case cmd.brought.IsZero():
	case cmd.mint != nil:
		return invalid("token", "cannot be brought here: it is made")
	case cmd.short:
		return checkShortToken(cmd.brought.Reveal())
	default:
		return checkToken(cmd.brought.Reveal(), prefix)
	}
	random := cmd.call.Entropy
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, cmd.secret[:]); err != nil {
		return failed(fmt.Errorf("ledger: draw a secret: %w", err))
	}
	return nil
}

// token is the token of a create or a rotation: the brought one, or the minted one of this environment.
func (cmd *command) token(prefix, environment string) (Secret, error) {
	if !cmd.brought.IsZero() {
		return cmd.brought, nil
	}
	if !cmd.minted.IsZero() {
		return cmd.minted, nil
	}
	var err error
	if cmd.mint == nil {
		cmd.minted, err = MintToken(bytes.NewReader(cmd.secret[:]), prefix, environment)
		return cmd.minted, err
	}
	minted, err := cmd.mint(cmd.key, cmd.secret)
	if err != nil {
		return Secret{}, failed(err)
	}
	if MalformedToken(minted, prefix) {
		return Secret{}, failed(errors.New("ledger: a token was made that no verification takes"))
	}
	cmd.minted = NewSecret(minted)
	return cmd.minted, nil
}

// run attempts a command until no other one gets in between its reading and its append.
func (s *Service) run(ctx context.Context, cmd *command) (Key, error) {
	var k Key
	err := s.retry(ctx, func() (err error) {
		k, err = s.attempt(ctx, cmd)
		return err
	})
	if err != nil {
		return Key{}, err
	}
	return k, nil
}

// retry calls attempt until it fails with something other than ErrConflict, at most maxAttempts times. Between two
// attempts it waits until this node shows what the log holds.
func (s *Service) retry(ctx context.Context, attempt func() error) error {
	for range maxAttempts {
		err := attempt()
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if err := s.catchUp(ctx); err != nil {
			return err
		}
	}
	return conflict("others are changing the same at this moment: try again")
}

// attempt reads, decides and commits. It fails with ErrConflict when another command got in between.
func (s *Service) attempt(ctx context.Context, cmd *command) (Key, error) {
	if !cmd.brought.IsZero() {
		if err := s.catchUp(ctx); err != nil {
			return Key{}, err
		}
	}
	k, repeat, err := s.read(ctx, cmd)
	if err != nil || repeat {
		return k, err
	}
	if cmd.call.IfSequence != 0 && cmd.scope != "" && cmd.call.IfSequence != k.Revision {
		return Key{}, &Error{Code: CodePrecondition, Detail: "the key has changed since you read it"}
	}
	now := s.now()
	body, err := cmd.decide(&k, now)
	if err != nil || body == nil {
		return k, err
	}
	return s.commit(ctx, cmd, &k, body, now)
}

// read returns the key that a command changes, the zero Key for a create; or, as a repeat, the key that the same
// command left before.
func (s *Service) read(ctx context.Context, cmd *command) (k Key, repeat bool, err error) {
	if cmd.scope != "" {
		s.await(ctx, cmd.call.IfSequence)
		if k, err = s.find(ctx, &cmd.call.Principal, cmd.scope, cmd.key); err != nil {
			return Key{}, false, err
		}
	}
	if cmd.call.Entropy == nil {
		return k, false, nil
	}
	before, repeat, err := s.outcome(ctx, cmd)
	if err != nil || repeat {
		return before, repeat, err
	}
	return k, false, nil
}

// commit appends the event with the claims it needs, and returns the key after it when this node shows it.
func (s *Service) commit(ctx context.Context, cmd *command, k *Key, body events.Payload, now time.Time) (Key, error) {
	e, err := cmd.call.event(cmd.event, body, now)
	if err != nil {
		return Key{}, err
	}
	next := Evolve(*k, &e)
	if !next.ErasedAt.IsZero() {
		e.Origin = events.Origin{} // there is no secret to seal it with any more
	}
	e.Subject = events.KeySubject(&next.Owner, next.ID)
	claims, err := s.claims(ctx, cmd, k, &next, &e)
	if err != nil {
		return Key{}, err
	}
	if e.Sequence, err = s.store(ctx, cmd.call, &e, k.Sequence, claims...); err != nil {
		return Key{}, err
	}
	if cmd.call.Entropy != nil {
		// It may be the first event, not this one, that is stored: its time counts.
		if first, ok, err := s.outcome(ctx, cmd); err != nil || ok {
			return first, err
		}
	}
	return Evolve(*k, &e), nil
}

// event is the event of a call, but for its subject.
func (c *Call) event(id uuid.UUID, body events.Payload, now time.Time) (events.Event, error) {
	if len(c.RequestID) > MaxRequestID || !isVisible(c.RequestID) {
		return events.Event{}, invalid("request_id", "must be at most %d visible ASCII characters", MaxRequestID)
	}
	return events.Event{
		Header:  events.Header{ID: id, Time: now, Actor: orDefault(c.Principal.Name(), "system"), RequestID: c.RequestID},
		Origin:  c.Origin,
		Payload: body,
	}, nil
}

// store appends the claims and then the event as one commit, waits until this node shows it, and returns its sequence.
// It fails with ErrConflict, or an *Error.
func (s *Service) store(ctx context.Context, c *Call, e *events.Event, expect uint64, claims ...Entry) (uint64, error) {
	last, err := s.entry(e, expect)
	if err != nil {
		return 0, err
	}
	entries := append(claims, last)
	sequence, err := s.log.Append(ctx, entries...)
	if errors.Is(err, ErrConflict) {
		return 0, ErrConflict
	}
	if err != nil {
		return 0, failed(err)
	}
	if err := s.show(ctx, c, entries, sequence); err != nil {
		return 0, &Error{
			Code:       CodeUnavailable,
			Detail:     "stored, but not yet visible here",
			RetryAfter: retryAfter,
			Err:        err,
		}
	}
	return sequence, nil
}

// show waits until this node shows entries that were stored up to a sequence.
func (s *Service) show(ctx context.Context, c *Call, entries []Entry, last uint64) error {
	if c.Entropy != nil {
		return s.state.WaitFor(ctx, last) // what is stored may be of an earlier run, and of another time
	}
	return s.state.Show(ctx, stored(entries, last)...)
}

// stored are the messages of entries that were stored one after the other up to a sequence.
func stored(entries []Entry, last uint64) []events.Message {
	messages := make([]events.Message, len(entries))
	for i := range entries {
		messages[i] = entries[i].Message
		messages[i].Sequence = last - uint64(len(entries)-1-i)
	}
	return messages
}

// entry is the message of an event with its guard. It fails with ErrConflict when the secret of what the event is about was
// destroyed: an event is on its way here that says so.
func (s *Service) entry(e *events.Event, expect uint64) (Entry, error) {
	m, err := events.Encode(e, s.sealer())
	if errors.Is(err, events.ErrErased) {
		return Entry{}, ErrConflict
	}
	if err != nil {
		return Entry{}, failed(err)
	}
	return Entry{Message: m, Expect: expect}, nil
}

// catchUp waits until this node shows all that the log holds.
func (s *Service) catchUp(ctx context.Context) error {
	last, err := s.log.Last(ctx)
	if err != nil {
		return failed(err)
	}
	return failed(s.state.WaitFor(ctx, last))
}

// await gives this node a moment to reach a sequence.
func (s *Service) await(ctx context.Context, sequence uint64) {
	if s.state.Position() >= sequence {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = s.state.WaitFor(ctx, sequence) // whoever asked looks again, whether it came or not
}
