package handlers

import (
	"fmt"
	"hash/maphash"
	"math"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"keyledger/ledger"
)

// failureWindow is how long wrong tokens are counted, from the first of an address on.
const failureWindow = time.Minute

// failures counts wrong tokens by the address they come from, an IPv6 address by its /64. It takes the same memory
// whatever comes, a good megabyte: an address that finds its bucket full takes the place of the one with the fewest
// failures. Nothing of it is touched by a request with a right token.
type failures struct {
	limit   uint32   // of an address in a window; 0: none
	policy  []string // RateLimit-Policy header
	now     func() time.Time
	began   time.Time
	seed    maphash.Seed // secret, so that nobody can choose addresses that share a bucket
	buckets []failureBucket
	lines   lineBudget
}

const (
	failureBuckets = 4096
	failurePlaces  = 8 // addresses in a bucket
)

type failureBucket struct {
	mu     sync.Mutex
	places [failurePlaces]failureCount
}

// failureCount is how often one address failed until a window ends, as a time since counting began: it keeps its length when
// the wall clock is set.
type failureCount struct {
	from  [16]byte
	ends  time.Duration
	count uint32
}

func newFailures(limit int, now func() time.Time) *failures {
	f := &failures{now: now, began: now(), lines: lineBudget{now: now}}
	if limit > 0 {
		f.limit = uint32(min(limit, math.MaxUint32-2))
		f.policy = []string{fmt.Sprintf(`"wrong-tokens";q=%d;w=%d`, f.limit, int(failureWindow.Seconds()))}
		f.seed = maphash.MakeSeed()
		f.buckets = make([]failureBucket, failureBuckets)
	}
	return f
}

// add counts a failure of an address, and tells how many it has in the window that ends after a while.
func (f *failures) add(ip string) (count uint32, ends time.Duration) {
	from, now := subnet(ip), f.now().Sub(f.began)
	b := &f.buckets[maphash.Comparable(f.seed, from)%failureBuckets]
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.find(from, now)
	if p.from != from || p.ends <= now {
		*p = failureCount{from: from, ends: now + failureWindow}
	}
	if p.count <= f.limit+1 { // beyond that it does not matter
		p.count++
	}
	return p.count, p.ends - now
}

// find is the place of an address: its own, else the one that is missed least.
func (b *failureBucket) find(from [16]byte, now time.Duration) *failureCount {
	least := &b.places[0]
	for i := range b.places {
		p := &b.places[i]
		if p.from == from && p.ends > now {
			return p
		}
		if p.ends <= now {
			p.count = 0
		}
		if p.count < least.count {
			least = p
		}
	}
	return least
}

// subnet is whose failures are counted together: an IPv4 address, or the /64 of an IPv6 address, of which one client can
// have every address. All that is no address is one.
func subnet(ip string) (from [16]byte) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return from
	}
	if a = a.Unmap(); a.Is6() {
		p, _ := a.WithZone("").Prefix(64) // 64 is a length
		a = p.Addr()
	}
	return a.As16()
}

// refused is what a request is told that err ended: err, unless it is one wrong token too many from its address. The
// headers are those of draft-ietf-httpapi-ratelimit-headers.
func (f *failures) refused(x *Exchange, err error) error {
	if !x.presented || ledger.CodeOf(err) != ledger.CodeUnauthenticated {
		return err
	}
	m := x.server.metrics
	m.failed.Inc()
	if f.limit == 0 {
		return err
	}
	count, ends := f.add(x.origin.IP)
	h, reset := x.Header(), retryAfter(ends)
	h["Ratelimit-Policy"] = f.policy
	h["Ratelimit"] = []string{`"wrong-tokens";r=` + strconv.Itoa(int(f.limit-min(count, f.limit))) + ";t=" + reset}
	if count <= f.limit {
		return err
	}
	m.limited.Inc()
	x.unlogged = count > f.limit+1 // one line tells that it began
	delete(h, "Keyledger-Code")
	h["X-Should-Retry"] = []string{"false"} // what vendors' clients understand: the token does not become right
	return &ledger.Error{Code: CodeRateLimited, Detail: "too many wrong tokens came from this address", RetryAfter: ends}
}

// maxFailureLines is how many access lines tell of requests without a right token, in a failureWindow.
const maxFailureLines = 1000

// lineBudget bounds how many lines are written in a window.
type lineBudget struct {
	now     func() time.Time
	mu      sync.Mutex
	ends    time.Time
	written int
	left    int // out, since the last one that was written
}

// take tells whether one more line may be written, and how many before it were not.
func (l *lineBudget) take() (left int, ok bool) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.ends) {
		l.ends, l.written = now.Add(failureWindow), 0
	}
	if l.written == maxFailureLines {
		l.left++
		return 0, false
	}
	l.written++
	left, l.left = l.left, 0
	return left, true
}
