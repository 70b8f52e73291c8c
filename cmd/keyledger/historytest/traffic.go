package historytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"keyledger/client"
)

const (
	// keysAtATime is how many keys the clients work with at a time.
	keysAtATime = 8
	// opsOfKey is how many operations a key sees about, until another one takes its place: so many can be explained
	// in no time.
	opsOfKey = 40
	// breath is how long a client waits after a failure.
	breath = 20 * time.Millisecond
	// timeout bounds a request, and shunned is how long a client then asks the other nodes only.
	timeout, shunned = 5 * time.Second, 3 * time.Second
)

// key is a key that the clients know.
type key struct {
	id  string
	ops atomic.Int64

	mu      sync.Mutex
	secrets []secretOf
}

// secretOf is a secret with its number.
type secretOf struct {
	number int
	token  client.Token
}

// Traffic is clients that create, update, rotate, revoke and verify keys at random nodes, and record it.
type Traffic struct {
	History *History

	nodes   []*client.Client
	name    string
	stop    context.CancelFunc
	workers sync.WaitGroup
	numbers atomic.Int64

	mu   sync.Mutex
	keys []*key
}

// Run starts some clients of the nodes at urls, which act with token and repeat nothing by themselves. What they do follows
// from the seed, and from what they are answered. The keys are named after name.
func Run(ctx context.Context, h *History, urls []string, token client.Token, name string, clients int, seed uint64) (*Traffic, error) {
	ctx, stop := context.WithCancel(ctx)
	t := &Traffic{History: h, name: name, stop: stop}
	for _, url := range urls {
		c, err := client.New(url, token, client.WithRetries(0), client.WithHTTPClient(&http.Client{
			Timeout: timeout, Transport: identified{&http.Transport{MaxIdleConnsPerHost: clients}},
		}))
		if err != nil {
			stop()
			return nil, err
		}
		t.nodes = append(t.nodes, c)
	}
	for i := range clients {
		w := &worker{Traffic: t, number: i, shun: make([]time.Duration, len(t.nodes)), rand: rand.New(rand.NewPCG(seed, uint64(i)))}
		t.workers.Go(func() {
			for ctx.Err() == nil {
				w.act(context.WithoutCancel(ctx)) // what has begun is recorded
			}
		})
	}
	return t, nil
}

// identified gives a request the id that its context has: that of an operation, which its event will have.
type identified struct{ http.RoundTripper }

type requestID struct{}

func (t identified) RoundTrip(r *http.Request) (*http.Response, error) {
	if id, ok := r.Context().Value(requestID{}).(string); ok {
		r = r.Clone(r.Context())
		r.Header.Set("X-Request-Id", id)
	}
	return t.RoundTripper.RoundTrip(r)
}

// End ends the clients when they have been answered.
func (t *Traffic) End() {
	t.stop()
	t.workers.Wait()
}

// worker is one client.
type worker struct {
	*Traffic
	number int
	rand   *rand.Rand
	shun   []time.Duration // until when each node is not asked
}

// node chooses one.
func (w *worker) node() int {
	node := w.rand.IntN(len(w.nodes))
	for range w.nodes {
		if w.History.Now() >= w.shun[node] {
			break
		}
		node = (node + 1) % len(w.nodes)
	}
	return node
}

// act does something with some key.
func (w *worker) act(ctx context.Context) {
	k := w.pick()
	if k == nil {
		w.create(ctx)
		return
	}
	k.ops.Add(1)
	node := w.node()
	switch n := w.rand.IntN(100); {
	case n < 70:
		w.verify(ctx, node, k)
	case n < 82:
		w.update(ctx, node, k)
	case n < 92:
		w.rotate(ctx, node, k)
	default:
		w.revoke(ctx, node, k)
		w.verify(ctx, node, k)     // what it has answered it knows
		w.verify(ctx, w.node(), k) // another one will
	}
}

// pick gives a key, nil when one is to be made.
func (w *worker) pick() *key {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.keys) < keysAtATime {
		return nil
	}
	i := w.rand.IntN(len(w.keys))
	k := w.keys[i]
	if k.ops.Load() >= opsOfKey {
		w.keys = append(w.keys[:i], w.keys[i+1:]...)
		return nil
	}
	return k
}

func (w *worker) create(ctx context.Context) {
	node, number := w.node(), int(w.numbers.Add(1))
	ctx, op := w.op(ctx, node, Create, "")
	op.Secret, op.Name = number, fmt.Sprintf("%s-%d", w.name, number)
	issued, err := w.nodes[node].CreateKey(ctx, client.CreateKey{
		Name: op.Name, WorkspaceID: fmt.Sprint("w", number%3), OrgID: fmt.Sprint("o", number%2), AgentID: fmt.Sprint("a", number%10),
	})
	op.Key = issued.ID
	w.written(op, issued.Sequence, err)
	if err != nil {
		return
	}
	k := &key{id: issued.ID, secrets: []secretOf{{number, issued.Token}}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys = append(w.keys, k)
}

func (w *worker) update(ctx context.Context, node int, k *key) {
	ctx, op := w.op(ctx, node, Update, k.id)
	op.Name = fmt.Sprintf("%s-%d", w.name, w.numbers.Add(1))
	changed, err := w.nodes[node].UpdateKey(ctx, k.id, client.UpdateKey{Name: &op.Name})
	w.written(op, changed.Sequence, err)
}

func (w *worker) rotate(ctx context.Context, node int, k *key) {
	ctx, op := w.op(ctx, node, Rotate, k.id)
	op.Secret = int(w.numbers.Add(1))
	issued, err := w.nodes[node].RotateKey(ctx, k.id, client.RotateKey{})
	w.written(op, issued.Sequence, err)
	if err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.secrets = append(k.secrets, secretOf{op.Secret, issued.Token})
	}
}

func (w *worker) revoke(ctx context.Context, node int, k *key) {
	ctx, op := w.op(ctx, node, Revoke, k.id)
	revoked, err := w.nodes[node].RevokeKey(ctx, k.id, "")
	w.written(op, revoked.Sequence, err)
}

// verify presents a secret, mostly the newest one. A node that says that it cannot know tells nothing.
func (w *worker) verify(ctx context.Context, node int, k *key) {
	k.mu.Lock()
	i := len(k.secrets) - 1
	if w.rand.IntN(4) == 0 {
		i = w.rand.IntN(len(k.secrets))
	}
	presented := k.secrets[i]
	k.mu.Unlock()
	ctx, op := w.op(ctx, node, Verify, k.id)
	op.Secret = presented.number
	v, err := w.nodes[node].Verify(ctx, client.Verify{Token: presented.token})
	op.Return = w.History.Now()
	switch {
	case err != nil:
		op.Outcome, op.Detail = failed(err)
	case v.Code == client.Valid:
		op.Outcome, op.Name = Good, v.Key.Name
	case v.Code == client.KeyRevoked:
		op.Outcome = Ended
	case v.Code == client.NotFound, v.Code == client.KeyExpired: // keys do not expire here, but secrets that were replaced do
		op.Outcome = Absent
	default:
		op.Outcome, op.Detail = Foreign, string(v.Code)
	}
	w.add(op)
}

// op begins an operation.
func (w *worker) op(ctx context.Context, node int, kind Kind, key string) (context.Context, Op) {
	id := fmt.Sprintf("%s-op-%d", w.name, w.numbers.Add(1))
	return context.WithValue(ctx, requestID{}, id), Op{ID: id, Client: w.number, Node: node, Kind: kind, Key: key, Call: w.History.Now()}
}

// written records a write.
func (w *worker) written(op Op, sequence uint64, err error) {
	op.Return, op.Outcome, op.Sequence = w.History.Now(), Done, sequence
	if err != nil {
		op.Outcome, op.Detail = failed(err)
	}
	w.add(op)
}

// add records an operation; after one that failed it waits a little.
func (w *worker) add(op Op) {
	w.History.Add(op)
	if op.Outcome == Unknown && op.Return-op.Call >= timeout {
		w.shun[op.Node] = op.Return + shunned
	}
	if op.Outcome == Unknown || op.Outcome == Refused {
		<-time.After(breath)
	}
}

// failed tells what a failure means. 503 means that nothing was stored, unless it says that it was, or that this is not known.
func failed(err error) (outcome Outcome, detail string) {
	var refused *client.Error
	switch {
	case errors.Is(err, client.ErrNoAnswer):
		return Unknown, ""
	case !errors.As(err, &refused):
		return Foreign, err.Error()
	case refused.Status == http.StatusServiceUnavailable && strings.Contains(refused.Detail, "whether this was stored"):
		return Unknown, refused.Detail
	case refused.Status == http.StatusServiceUnavailable && strings.HasPrefix(refused.Detail, "stored"):
		return Kept, refused.Detail
	case refused.Status == http.StatusServiceUnavailable:
		return Refused, refused.Detail
	case refused.Status == http.StatusConflict && refused.Code == client.CodeConflict:
		return Ended, ""
	case refused.Status == http.StatusNotFound && refused.Code == client.CodeNotFound:
		return Absent, ""
	default:
		return Foreign, err.Error()
	}
}
