package ledger

import (
	"sync"

	"keyledger/events"
)

// feedSize is how many of the last events a Feed keeps. Who is further behind reads from the log.
const feedSize = 2048

// Feed hands the events that this node's State has come to show to all of the node's subscribers: however many they are,
// the log is tailed once. The zero Feed is ready; its Publish belongs behind the State's tail.
type Feed struct {
	mu      sync.Mutex
	ring    [feedSize]*Published // the event n is in place n % feedSize
	first   uint64               // sequence of the oldest event in the ring
	last    uint64               // of the newest; 0: there is none yet
	waiting map[*Subscription]struct{}
}

// Published is an event that all subscribers share.
type Published struct {
	events.Event
	about events.Subject
	once  sync.Once
	text  []byte
	err   error
}

// CloudEvent is the event in the exchange form (events.AppendCloudEvent), made when it is first asked for. It must not be
// modified. All who ask give the same source.
func (p *Published) CloudEvent(source string) ([]byte, error) {
	p.once.Do(func() { p.text, p.err = events.AppendCloudEvent(nil, &p.Event, source) })
	return p.text, p.err
}

func publish(e *events.Event) (*Published, error) {
	about, err := events.ParseSubject(e.Subject)
	return &Published{Event: *e, about: about}, err
}

// Publish takes the next events, which the State shows by now. The slice may be reused afterwards.
func (f *Feed) Publish(list []events.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := max(0, len(list)-feedSize); i < len(list); i++ {
		p, err := publish(&list[i])
		if err != nil {
			continue // not of the ledger: decoding has refused it before
		}
		if f.last == 0 || p.Sequence != f.last+1 {
			f.first = p.Sequence
		}
		if _, ok := p.Payload.(*events.Erasure); ok {
			f.first, f.ring = p.Sequence, [feedSize]*Published{} // what is before has to be read, and opened, again
		}
		f.last = p.Sequence
		f.first = max(f.first, f.last-min(f.last, feedSize-1))
		f.ring[f.last%feedSize] = p
	}
	for s := range f.waiting {
		if f.concerns(s) {
			delete(f.waiting, s)
			s.ready <- struct{}{} // has room for one, and s is taken out with it
		}
	}
}

// concerns moves a waiting subscription past the events that do not concern it and tells whether one does.
func (f *Feed) concerns(s *Subscription) bool {
	if s.next < f.first {
		return true // it has to read from the log
	}
	for ; s.next <= f.last; s.next++ {
		p := f.ring[s.next%feedSize]
		if s.selection.wants(p) || p.about.Key == s.principal.KeyID {
			return true
		}
	}
	return s.next > s.until // its end is one, too
}

// take moves a subscription on and returns up to limit events that it wants. When the feed does not have what comes next,
// though the State is at position and shows it, behind is the last sequence that may be read from the log instead.
func (f *Feed) take(s *Subscription, limit int, position uint64) (page []*Published, behind uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.last == 0 && s.next <= position:
		return nil, position
	case f.last == 0:
		return nil, 0
	case s.next < f.first:
		return nil, f.last
	}
	for ; s.next <= min(f.last, s.until) && len(page) < limit; s.next++ {
		if p := f.ring[s.next%feedSize]; s.selection.wants(p) {
			page = append(page, p)
		}
	}
	return page, 0
}

// wait puts a subscription among those that wait, unless there is something for it already: then it is ready.
func (f *Feed) wait(s *Subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-s.ready: // of a wait that was given up
	default:
	}
	if f.last != 0 && f.concerns(s) {
		s.ready <- struct{}{}
		return
	}
	if f.waiting == nil {
		f.waiting = make(map[*Subscription]struct{})
	}
	f.waiting[s] = struct{}{}
}

// leave takes a subscription out of those that wait.
func (f *Feed) leave(s *Subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, s)
}
