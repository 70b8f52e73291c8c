package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
)

// State is what commands and queries read: the views of the ledger as of a position. projections implements it on
// Pebble, ledgertest in memory. Strings in what it returns must not be modified and may pin a larger buffer.
type State interface {
	// Key returns a key, or ok false.
	Key(ctx context.Context, id uuid.UUID) (k Key, ok bool, err error)

	// KeyByDigest returns the key that has, or just before its last rotation had, this digest. previous tells that
	// the digest is the older one. It takes no lock, and allocates nothing, on the in-memory index.
	KeyByDigest(d Digest) (k Key, previous, ok bool, err error)

	// Claim returns the state of a claim: held, and the sequence of the last message on its subject (0: none).
	Claim(ctx context.Context, kind, hash string) (c ClaimState, err error)

	// Agent and AgentByName return an agent of this exact owner, or ok false.
	Agent(ctx context.Context, workspace, org, id string) (a Agent, ok bool, err error)
	AgentByName(ctx context.Context, workspace, org, name string) (a Agent, ok bool, err error)

	// Keys returns one page of the keys that q matches, newest first, those of one creation time by descending id; or all
	// the other way round.
	// Agents returns one page of agents, newest first.
	Keys(ctx context.Context, q *Query) (Page, error)
	Agents(ctx context.Context, q *AgentQuery) (AgentPage, error)

	// Webhook returns an endpoint, or ok false. Webhooks returns one page of them, newest first.
	Webhook(ctx context.Context, id uuid.UUID) (w Webhook, ok bool, err error)
	Webhooks(ctx context.Context, q *WebhookQuery) (WebhookPage, error)

	// WebhooksChanged returns when the state has an event of an endpoint after a sequence, with the sequence of the last
	// one. The sequence of a state in which none was changed since it was opened is that of its position then.
	WebhooksChanged(ctx context.Context, after uint64) (uint64, error)

	// History returns up to limit sequences of a key's events that are >= from, in order.
	History(ctx context.Context, key uuid.UUID, from uint64, limit int) ([]uint64, error)

	// Erasure returns the last erasure on the subject of a workspace, zero when there was none. Erasures returns up to limit
	// erasures after a sequence, in order.
	Erasure(ctx context.Context, subject string) (Erasure, error)
	Erasures(ctx context.Context, after uint64, limit int) ([]Erasure, error)

	// LastUse returns the last use of a key, with its origin.
	LastUse(ctx context.Context, key uuid.UUID) (LastUse, error)

	// Before returns a sequence up to which no event bears a time after at: the highest there is, or one of up to 8 before
	// it. It never goes down as the log grows.
	Before(ctx context.Context, at time.Time) (uint64, error)

	// Roots returns the ids of all keys that may do everything for everyone: scope "ledger:*", no owner, no expiry,
	// not disabled, not revoked.
	Roots(ctx context.Context) ([]uuid.UUID, error)

	// Expiries returns up to limit expiries that have not been announced in full (Key.Expiry) after a place and not
	// later than until, in their order.
	Expiries(ctx context.Context, after Place, until time.Time, limit int) ([]Expiry, error)

	// HashReader gives the hashes of the Merkle tree (RFC 6962) over all messages up to Position, the message with sequence n
	// being the leaf with index n-1.
	tlog.HashReader

	// Position is the sequence of the last event in the state. WaitFor returns when Position has reached sequence.
	Position() uint64
	WaitFor(ctx context.Context, sequence uint64) error

	// Show returns when the state shows messages that this process has just appended, one after the other by their
	// sequences. It need not wait for the log to send them back.
	Show(ctx context.Context, messages ...events.Message) error

	// Lag is how many events the log is known to hold beyond Position. Heard is the last moment at which the log was
	// heard and of which the State shows all; zero: never.
	Lag() uint64
	Heard() time.Time
}

// ClaimState is what is known of a claim.
type ClaimState struct {
	Held     bool
	Holder   string
	Sequence uint64
}

// LastUse is the last use of a key and where it came from.
type LastUse struct {
	Use
	IP        string
	UserAgent string
}
