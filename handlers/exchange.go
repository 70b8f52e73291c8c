package handlers

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// Exchange is one request and the answer to it. A Handler fills in Status, Body and headers; the Server sends them when
// the handler has returned without an error. An Exchange is reused: keep nothing of it after the handler returned.
type Exchange struct {
	Request   *http.Request
	RequestID string
	Principal ledger.Principal // who asks; zero on a public route
	Query     Parameters       // those of Route.Query that the request has

	Status int    // of the answer; 200 when the handler leaves it
	Body   []byte // of the answer; append to it, its room is reused

	// Stream, when it is not nil, writes the body of the answer, after its header was sent, for as long as it takes.
	Stream func(ctx context.Context, out *Outlet) error

	server    *Server
	route     *endpoint // nil: no route matched
	render    func(*Exchange, error)
	vars      map[string]string
	writer    http.ResponseWriter
	origin    events.Origin
	presented bool // a token was presented, good or not
	started   time.Time
	room      []ledger.Key // for a page of keys
	input     []byte       // the body of the request, once it is read
	inputRead bool

	sequence   uint64    // for the Keyledger-Sequence header; 0: none
	ifSequence uint64    // from If-Match; 0: none
	entropy    io.Reader // of an idempotent command; nil: random
	drawn      time.Time // with entropy: when it was first drawn

	// For the access line.
	keyID   uuid.UUID // that the request is about
	sent    int       // bytes of a stream
	err     error     // that was answered, or that ended a stream
	trouble error     // that the answer does not tell: it could not be sent, or not be remembered

	unlogged bool // it has no access line
}

// Handler answers one request by filling in the exchange, or returns an error; then the answer is the error's.
type Handler func(x *Exchange) error

// Header is the header of the answer.
func (x *Exchange) Header() http.Header { return x.writer.Header() }

// Context is the context of the request.
func (x *Exchange) Context() context.Context { return x.Request.Context() }

// limited is the context for what waits for the log.
func (x *Exchange) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(x.Context(), x.server.config.Timeout)
}

// Origin is where the request came from: the client's address, read through trusted proxies, and its user agent.
func (x *Exchange) Origin() events.Origin { return x.origin }

// Call is the call of a command by this request.
func (x *Exchange) Call() *ledger.Call {
	return &ledger.Call{
		Principal:  x.Principal,
		RequestID:  x.RequestID,
		Origin:     x.origin,
		IfSequence: x.ifSequence,
		Entropy:    x.entropy,
		Drawn:      x.drawn,
	}
}

// Var is a variable of the route's path, unescaped. A value that cannot be unescaped, or is not there, is empty.
func (x *Exchange) Var(name string) string {
	v := x.vars[name]
	if strings.IndexByte(v, '%') < 0 {
		return v
	}
	v, err := url.PathUnescape(v)
	if err != nil {
		return ""
	}
	return v
}

// KeyID is the path variable "id" as the id of a key: CodeNotFound when no key can have it.
func (x *Exchange) KeyID() (uuid.UUID, error) {
	id, err := uuid.Parse(x.Var("id"))
	if err != nil || len(x.Var("id")) != 36 {
		return uuid.UUID{}, &ledger.Error{Code: ledger.CodeNotFound, Detail: "no such key"}
	}
	x.keyID = id
	return id, nil
}

// WriteJSON answers with v as JSON.
func (x *Exchange) WriteJSON(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	x.Status = status
	x.Body = append(append(x.Body, b...), '\n')
	return nil
}

// Saw notes that the answer shows the ledger as of sequence at least: the Keyledger-Sequence header.
func (x *Exchange) Saw(sequence uint64) { x.sequence = max(x.sequence, sequence) }

// Shows notes that the answer shows k: its id for the access line, and what Saw is for.
func (x *Exchange) Shows(k *ledger.Key) {
	x.keyID = k.ID
	x.Saw(k.Sequence)
}

// setSequence sets the Keyledger-Sequence header, unless a remembered answer has set it.
func (x *Exchange) setSequence() {
	if h := x.Header(); x.sequence > 0 && h["Keyledger-Sequence"] == nil {
		h["Keyledger-Sequence"] = []string{strconv.FormatUint(x.sequence, 10)}
	}
}

// begin makes x, which is empty, the exchange of a request.
func (x *Exchange) begin(s *Server, w http.ResponseWriter, r *http.Request) {
	x.started = time.Now()
	x.server, x.writer, x.Request, x.render = s, w, r, RenderProblem
	x.RequestID = requestID(r.Header)
	x.origin = events.Origin{IP: s.clientIP(r), UserAgent: r.UserAgent()}
}

// keepAtMost is how much room an idle exchange keeps for a body: large pages are rare and would pin memory.
const keepAtMost = 256 << 10

// end lets go of everything that belongs to the request.
func (x *Exchange) end() {
	clear(x.room) // its strings pin buffers of the views
	*x = Exchange{Body: x.Body[:0], input: x.input[:0], room: x.room}
	if cap(x.Body) > keepAtMost {
		x.Body = nil
	}
	if cap(x.room) > 128 {
		x.room = nil
	}
}

// chunkedBeyond is how long an answer may be for net/http to find out its length by itself.
const chunkedBeyond = 2048

// send writes the answer.
func (x *Exchange) send() {
	s, h := x.server, x.writer.Header()
	h["X-Request-Id"] = []string{x.RequestID}
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = s.noStore
	}
	h["X-Content-Type-Options"] = s.noSniff
	x.setSequence()
	if x.Status == 0 {
		x.Status = http.StatusOK
	}
	if len(x.Body) > 0 {
		if _, ok := h["Content-Type"]; !ok {
			h["Content-Type"] = s.jsonType
		}
		if len(x.Body) > chunkedBeyond || x.Request.Method == http.MethodHead {
			h["Content-Length"] = []string{strconv.Itoa(len(x.Body))}
		}
	}
	if x.Stream != nil {
		h["X-Accel-Buffering"] = s.noBuffering
	}
	x.writer.WriteHeader(x.Status)
	if len(x.Body) > 0 {
		if _, err := x.writer.Write(x.Body); err != nil {
			x.trouble = errors.Join(x.trouble, err)
		}
	}
}
