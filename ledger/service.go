package ledger

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// Principal is an authenticated caller: a key of the ledger.
type Principal struct {
	KeyID     uuid.UUID
	Owner     Owner
	Scopes    Scopes
	ExpiresAt time.Time
}

// Call is who asks, from where, and under which conditions.
type Call struct {
	Principal Principal
	RequestID string
	Origin    events.Origin
	// IfSequence, when not 0, is the sequence the caller saw (If-Match): another is CodePrecondition.
	IfSequence uint64
	// Entropy, when not nil, is where ids and secrets come from: the same bytes make the same command, so that its
	// repetition after a lost answer is recognised and gives the first result. nil: crypto/rand.
	Entropy io.Reader
}

// Config is what a Service is made of.
type Config struct {
	Log          Log
	State        State
	Prefix       string           // of native tokens; "kl" when empty
	MaxStaleness time.Duration    // 5 s when 0
	Now          func() time.Time // time.Now when nil
	Usage        *Usage
}

// Service is the ledger: every command and query goes through it, and it asks Allow.
type Service struct{}

// New gives a Service.
func New(c Config) *Service { panic("not implemented") }

// Create is the input of a create. Zero means absent.
type Create struct {
	Name        string
	Owner       Owner
	Scopes      []string
	Environment string // "live" when empty
	Type        string // "external" when empty
	Metadata    json.RawMessage
	NotBefore   time.Time
	ExpiresAt   time.Time
	Token       Secret // brought by the caller; minted when zero
}

// Issued is a key with its token, which is never shown again.
type Issued struct {
	Key   Key
	Token Secret
}

// Update is the input of an update: nil means unchanged.
type Update struct {
	Name      *string
	Scopes    *[]string
	Metadata  *json.RawMessage // "null" or "{}" empties it
	ExpiresAt *time.Time       // zero time: never
}

// Rotate is the input of a rotation.
type Rotate struct {
	Grace     time.Duration // 0 to 7 days
	ExpiresAt *time.Time    // nil: unchanged; zero time: never
	Token     Secret        // brought by the caller; minted when zero
}

// RegisterAgent is the input of an agent's registration.
type RegisterAgent struct {
	ID        string // a UUID when empty
	Name      string
	Workspace string
	Org       string
}

// VerifyRequest asks whether a token is good for something. Empty fields are not asked.
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

const (
	Valid             Decision = "VALID"
	NotFound          Decision = "NOT_FOUND"
	Malformed         Decision = "MALFORMED"
	KeyRevoked        Decision = "REVOKED"
	KeyExpired        Decision = "EXPIRED"
	NotYetValid       Decision = "NOT_YET_VALID"
	KeyDisabled       Decision = "DISABLED"
	InsufficientScope Decision = "INSUFFICIENT_SCOPE"
	WrongOwner        Decision = "WRONG_OWNER"
)

// Verification is the answer: Found tells whether Key is set. A key outside the principal's owner is NotFound.
type Verification struct {
	Decision Decision
	Found    bool
	Key      Key
}

// Authenticate gives the principal of a token, or CodeUnauthenticated, or CodeStale.
func (s *Service) Authenticate(token string) (Principal, error) { panic("not implemented") }

// Verify decides about a token and records its use when it is valid. It writes nothing to the log.
func (s *Service) Verify(ctx context.Context, p *Principal, r *VerifyRequest) (Verification, error) {
	panic("not implemented")
}

// Authorize decides about a token for a proxy (no other principal): a key outside every asked owner is WrongOwner.
func (s *Service) Authorize(ctx context.Context, r *VerifyRequest) (Verification, error) {
	panic("not implemented")
}

// The commands. Each returns when its event is durable and in this node's views.

func (s *Service) Create(ctx context.Context, c *Call, in *Create) (Issued, error) { panic("") }
func (s *Service) Update(ctx context.Context, c *Call, id uuid.UUID, in *Update) (Key, error) {
	panic("")
}
func (s *Service) Rotate(ctx context.Context, c *Call, id uuid.UUID, in *Rotate) (Issued, error) {
	panic("")
}
func (s *Service) Disable(ctx context.Context, c *Call, id uuid.UUID) (Key, error) { panic("") }
func (s *Service) Enable(ctx context.Context, c *Call, id uuid.UUID) (Key, error)  { panic("") }
func (s *Service) Revoke(ctx context.Context, c *Call, id uuid.UUID, reason string) (Key, error) {
	panic("")
}

// RegisterAgent registers an agent, or returns the one of this owner and name that exists: created tells which.
func (s *Service) RegisterAgent(ctx context.Context, c *Call, in *RegisterAgent) (a Agent, created bool, err error) {
	panic("")
}

// Bootstrap makes the first root key unless the ledger ever had one: made tells. token zero: minted.
func (s *Service) Bootstrap(ctx context.Context, token Secret) (issued Issued, made bool, err error) {
	panic("")
}

// The queries.

func (s *Service) Key(ctx context.Context, p *Principal, id uuid.UUID) (Key, error)  { panic("") }
func (s *Service) Keys(ctx context.Context, p *Principal, q *Query) (Page, error)    { panic("") }
func (s *Service) Agent(ctx context.Context, p *Principal, id string) (Agent, error) { panic("") }
func (s *Service) Agents(ctx context.Context, p *Principal, q *AgentQuery) (AgentPage, error) {
	panic("")
}
func (s *Service) LastUse(ctx context.Context, p *Principal, id uuid.UUID) (LastUse, error) {
	panic("")
}

// KeyEvents returns up to limit events of a key from sequence from on.
func (s *Service) KeyEvents(ctx context.Context, p *Principal, id uuid.UUID, from uint64, limit int) ([]events.Event, error) {
	panic("")
}

// Events returns up to limit events of an owner within the principal's, from sequence from on.
func (s *Service) Events(ctx context.Context, p *Principal, owner Owner, from uint64, limit int) ([]events.Event, error) {
	panic("")
}
