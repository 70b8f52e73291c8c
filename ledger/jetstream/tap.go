package jetstream

import "sync"

// span is what this process has just stored: commits one after the other from the sequence first on.
type span struct {
	first   uint64
	commits []*commit
}

// taps hand what this process stores to its own tails at once, without waiting for the stream to send it back. A tap
// that is not emptied in time misses some: its tail gets them from the stream.
type taps struct {
	mu  sync.Mutex
	all map[chan span]struct{}
}

// open gives a new tap.
func (t *taps) open() chan span {
	c := make(chan span, 64)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[chan span]struct{})
	}
	t.all[c] = struct{}{}
	return c
}

// close ends a tap.
func (t *taps) close(c chan span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, c)
}

// push hands a span to every tap.
func (t *taps) push(s span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.all {
		select {
		case c <- s:
		default:
		}
	}
}
