// Package historytest records what clients of the nodes of a ledger asked and were answered, and checks that it keeps what
// the ledger promises: with porcupine, which looks for an order of the operations that explains every answer, and by
// comparing it with the events that the ledger holds afterwards.
package historytest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is what an operation does with a key.
type Kind string

// The kinds of operations. All but Verify are writes.
const (
	Create Kind = "create"
	Update Kind = "update" // sets the name
	Rotate Kind = "rotate" // without grace: the secret before is none from then on
	Revoke Kind = "revoke"
	Verify Kind = "verify"
)

// Outcome is what an operation was answered.
type Outcome string

// The outcomes of operations.
const (
	Done    Outcome = "done"     // of a write: it is stored
	Kept    Outcome = "kept"     // of a write: it is stored, but the node that says so may not show it
	Refused Outcome = "refused"  // of a write: it is not stored, and never will be; of a verification: the node cannot know
	Unknown Outcome = "unknown"  // no answer, or one that says so: a write may be stored, now or later
	Absent  Outcome = "absent"   // the node knows no such key, or no such secret
	Ended   Outcome = "revoked"  // the node says that the key is revoked
	Good    Outcome = "valid"    // of a verification
	Foreign Outcome = "nonsense" // an answer that the node must not give, whatever happened
)

// Op is one operation on one key.
type Op struct {
	ID      string // that its event has as the id of its request
	Client  int
	Node    int
	Kind    Kind
	Key     string // its id; empty: of a create that was not answered
	Name    string // what the key is named by it; of a valid verification: how it was named
	Secret  int    // of Create and Rotate: the number of the secret that it makes; of Verify: of the one that is presented
	Outcome Outcome
	// Call and Return are when it began and was answered, since the history began.
	Call, Return time.Duration
	// Sequence is that of the event of a write that is done, as it was answered.
	Sequence uint64
	Detail   string // of nonsense
}

func (o *Op) String() string {
	end := fmt.Sprintf("%9.3fs", o.Return.Seconds())
	if o.Return == never {
		end = "    never "
	}
	return fmt.Sprintf("%9.3fs – %s  node %d  client %-2d  %s %s name=%q secret=%d → %s %d %s",
		o.Call.Seconds(), end, o.Node+1, o.Client, o.Kind, o.Key, o.Name, o.Secret, o.Outcome, o.Sequence, o.Detail)
}

// History is the operations that were answered, or given up. It may be used from several goroutines.
type History struct {
	began time.Time

	mu    sync.Mutex
	ops   []Op
	count map[Kind]map[Outcome]int
	last  uint64 // the highest sequence that was answered
}

// New begins a history.
func New() *History {
	return &History{began: time.Now(), count: map[Kind]map[Outcome]int{}}
}

// Now is the time since it began.
func (h *History) Now() time.Duration { return time.Since(h.began) }

// Add adds an operation that is over.
func (h *History) Add(op Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	h.last = max(h.last, op.Sequence)
	if h.count[op.Kind] == nil {
		h.count[op.Kind] = map[Outcome]int{}
	}
	h.count[op.Kind][op.Outcome]++
}

// Ops are the operations so far.
func (h *History) Ops() []Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ops)
}

// Last is the highest sequence that was answered.
func (h *History) Last() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// Progress is how many writes are done so far, or how many keys were found valid if that is less.
func (h *History) Progress() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	writes := h.count[Create][Done] + h.count[Update][Done] + h.count[Rotate][Done] + h.count[Revoke][Done]
	return min(writes, h.count[Verify][Good])
}

// Summary tells how many operations had which outcome.
func (h *History) Summary() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var parts []string
	for kind, outcomes := range h.count {
		for outcome, n := range outcomes {
			parts = append(parts, fmt.Sprintf("%s %s %d", kind, outcome, n))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
