package handlers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"keyledger/ledger"
)

// Times of idempotent requests.
const (
	// claimAge is when the owner of a claim without an answer is taken for dead. It is longer than a command may take.
	claimAge = 30 * time.Second
	// settleTime is how long the end of a command may take to be remembered, whether or not the client still waits.
	settleTime = 5 * time.Second
)

// entropyLength is how many random bytes a command may draw. It needs two or three ids and a token: below 100.
const entropyLength = 512

// idempotency runs each command once per principal and Idempotency-Key, and gives a repeat the first answer.
//
// A claim with a random salt is stored before the command runs, the sealed answer after it. The ids and the token that
// the command draws come from the salt, the server's secret and the idempotency key: whoever runs it again, because the
// first runner died or lost the answer of the log, makes the same event and the same token. What is stored shows neither
// the idempotency key, nor the request, nor the answer to anyone who lacks the secret and that key.
type idempotency struct {
	memo ledger.Memo
	keys *keys
	now  func() time.Time
}

// claim is what is stored, as msgpack. All of it is in the clear but Answer, which is sealed.
type claim struct {
	Since   int64  `msgpack:"since_us"` // the runner began, in microseconds since 1970; 0 when it gave up
	Drawn   int64  `msgpack:"drawn_us"` // the first runner began: the time in the ids it drew
	Salt    []byte `msgpack:"salt"`     // of everything that is derived for this request
	Request []byte `msgpack:"request"`  // MAC of what was asked
	Answer  []byte `msgpack:"answer"`   // sealed; empty while the command runs
}

// answer is what a repeat gets again.
type answer struct {
	Status int               `msgpack:"status"`
	Header map[string]string `msgpack:"header"`
	Body   []byte            `msgpack:"body"`
}

// remembered are the headers of an answer that a repeat gets again.
func remembered() []string { return []string{"Content-Type", "Etag", "Location", "Keyledger-Sequence"} }

// run runs the command of an exchange unless it ran before. asked is what is asked beside the method, the target and
// If-Match: the body.
func (i *idempotency) run(x *Exchange, values, asked []string, handle func() error) error {
	key := values[0]
	if len(values) > 1 || len(key) < 1 || len(key) > 255 || !visible(key) {
		return invalid("Idempotency-Key", "the header must be one value of 1 to 255 visible ASCII characters")
	}
	r := x.Request
	one := &attempt{idempotency: i, x: x, handle: handle, key: key, principal: x.Principal.Name()}
	one.name = base64.RawURLEncoding.EncodeToString(mac(i.keys.name, one.principal, key))
	now := i.now().UnixMicro()
	one.mine = claim{
		Since:   now,
		Drawn:   now,
		Salt:    make([]byte, 32),
		Request: mac(i.keys.input, append([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("If-Match")}, asked...)...),
	}
	if _, err := rand.Read(one.mine.Salt); err != nil {
		return fmt.Errorf("handlers: draw a salt: %w", err)
	}
	return one.start()
}

// visible tells that s is visible ASCII.
func visible(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

// attempt is one request with an Idempotency-Key.
type attempt struct {
	*idempotency
	x         *Exchange
	handle    func() error
	key       string
	principal string
	name      string // in the memo
	mine      claim
	revision  uint64
	again     bool // the claim was another's before: its command may have been run already
}

// start claims the name and runs the command, or takes what the earlier claim says.
func (r *attempt) start() error {
	value, err := msgpack.Marshal(&r.mine)
	if err != nil {
		return err
	}
	existing, revision, err := r.memo.Claim(r.x.Context(), r.name, value)
	if err != nil {
		return unremembered(err)
	}
	r.revision = revision
	if existing == nil {
		return r.command()
	}
	var earlier claim
	if err := msgpack.Unmarshal(existing, &earlier); err != nil {
		return fmt.Errorf("handlers: read a claim: %w", err)
	}
	switch {
	case !bytes.Equal(earlier.Request, r.mine.Request):
		return &ledger.Error{Code: ledger.CodeIdempotency,
			Detail: "this Idempotency-Key was used for another request: take a new one"}
	case len(earlier.Answer) > 0:
		return r.replay(&earlier)
	case r.mine.Since-earlier.Since < claimAge.Microseconds():
		return running()
	}
	return r.takeOver(&earlier)
}

func unremembered(err error) error {
	return &ledger.Error{Code: ledger.CodeUnavailable, Detail: "idempotency keys cannot be looked up now", Err: err}
}

func running() error {
	return &ledger.Error{Code: CodeRunning, RetryAfter: time.Second,
		Detail: "the first request with this Idempotency-Key is still running"}
}

// takeOver makes the claim of a dead runner ours and runs its command again, with its salt and time.
func (r *attempt) takeOver(earlier *claim) error {
	r.mine.Salt, r.mine.Drawn, r.again = earlier.Salt, earlier.Drawn, true
	if err := r.store(r.x.Context()); errors.Is(err, ledger.ErrConflict) {
		return running()
	} else if err != nil {
		return unremembered(err)
	}
	return r.command()
}

// store replaces the claim by mine.
func (r *attempt) store(ctx context.Context) error {
	value, err := msgpack.Marshal(&r.mine)
	if err != nil {
		return err
	}
	revision, err := r.memo.Replace(ctx, r.name, value, r.revision)
	if err == nil {
		r.revision = revision
	}
	return err
}

// command runs the command and remembers how it ended.
func (r *attempt) command() error {
	entropy, err := r.keys.derive("entropy", entropyLength, r.mine.Salt, r.principal, r.key)
	if err != nil {
		return err
	}
	r.x.entropy, r.x.drawn = bytes.NewReader(entropy), time.UnixMicro(r.mine.Drawn).UTC()
	err = r.handle()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.x.Context()), settleTime)
	defer cancel()
	if err != nil {
		return errors.Join(err, r.release(ctx, err))
	}
	if err := r.remember(ctx); err != nil {
		// What the client asked for has happened, so it gets its answer. A repeat takes the claim over and, with the
		// same salt, comes to the same end.
		r.x.trouble = err
	}
	return nil
}

// release gives the claim up: for good when the command surely did nothing, else for whoever repeats the request.
func (r *attempt) release(ctx context.Context, err error) error {
	if !r.again && withoutEffect(err) {
		return r.memo.Remove(ctx, r.name, r.revision)
	}
	r.mine.Since = 0
	return r.store(ctx)
}

// withoutEffect tells whether a command that failed with err has surely stored nothing.
func withoutEffect(err error) bool {
	status := StatusOf(AsError(err).Code)
	return status < http.StatusInternalServerError || ledger.CodeOf(err) == ledger.CodeOverloaded
}

// remember seals the answer and stores it in place of the claim.
func (r *attempt) remember(ctx context.Context) error {
	x := r.x
	out := answer{Status: x.Status, Header: make(map[string]string), Body: x.Body}
	x.setSequence()
	for _, name := range remembered() {
		if v := x.Header()[name]; len(v) > 0 {
			out.Header[name] = v[0]
		}
	}
	text, err := msgpack.Marshal(&out)
	if err != nil {
		return err
	}
	key, err := r.keys.derive("answer", keyLength, r.mine.Salt, r.principal, r.key)
	if err != nil {
		return err
	}
	if r.mine.Answer, err = seal(key, text, slices.Concat(r.mine.Request, []byte(r.name))); err != nil {
		return err
	}
	return r.store(ctx)
}

// replay answers with a remembered answer.
func (r *attempt) replay(earlier *claim) error {
	key, err := r.keys.derive("answer", keyLength, earlier.Salt, r.principal, r.key)
	if err != nil {
		return err
	}
	text, err := unseal(key, earlier.Answer, slices.Concat(earlier.Request, []byte(r.name)))
	if err != nil {
		return err
	}
	var out answer
	if err := msgpack.Unmarshal(text, &out); err != nil {
		return fmt.Errorf("handlers: read a remembered answer: %w", err)
	}
	x := r.x
	for name, value := range out.Header {
		x.Header()[name] = []string{value}
	}
	x.Header()["Idempotency-Replayed"] = []string{"true"}
	x.Status, x.Body = out.Status, append(x.Body[:0], out.Body...)
	return nil
}
