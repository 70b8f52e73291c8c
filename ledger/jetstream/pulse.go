package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
)

const (
	// pulseInterval lies between two questions to the leader of the ledger's stream.
	pulseInterval = 500 * time.Millisecond
	// pulseTimeout bounds one of them. A leader that cannot be reached does not answer at all.
	pulseTimeout = 2 * time.Second
	// majorityAge is how long after the last sign of a majority appends are still sent. Leaders of an external NATS hear
	// their followers once a second at least.
	majorityAge = 2 * time.Second
)

// pulse tells as of when this process knows the whole ledger, where that is kept by more than this process.
//
// That a consumer still sends heartbeats shows nothing: it may be on a server that is cut off with us, and so may be a
// leader that does not know yet that the others have elected another one. What counts is when a majority of the
// servers last followed the leader that answers: whatever was acknowledged before that, it has. A leader that was
// suspended may take old answers of its followers for new ones, until it reads what came behind them. So a moment
// counts when the same leader answers once more.
type pulse struct {
	log *Log

	mu        sync.Mutex
	asked     bool   // a leader has answered
	candidate moment // of the last answer
	confirmed moment // of the one before, by the same leader
	wrote     time.Time
}

// moment is what a leader has told.
type moment struct {
	at     time.Time // when a majority followed it
	last   uint64    // sequence of the last message, at least at that time
	leader string    // name of the server; empty: the stream is on one server
}

// run asks until ctx ends.
func (p *pulse) run(ctx context.Context) {
	tick := time.NewTicker(pulseInterval)
	defer tick.Stop()
	for {
		p.ask(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask asks once.
func (p *pulse) ask(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, pulseTimeout)
	defer cancel()
	asked := time.Now()
	info, err := p.log.info(limited)
	var told moment
	if err == nil {
		told, err = momentOf(info, asked, p.log.options.Replicas)
	}
	if err == nil || errors.Is(err, ledger.ErrGap) {
		p.hear(told)
	}
}

// hear takes what a leader has told. What it told before counts from now on.
func (p *pulse) hear(told moment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if told.leader == p.candidate.leader && p.asked {
		p.confirmed = p.candidate
	}
	p.candidate, p.asked = told, true
}

// momentOf is what the state of a stream tells that was asked for at a time.
func momentOf(info *jetstream.StreamInfo, asked time.Time, replicas int) (moment, error) {
	m := moment{at: asked, last: info.State.LastSeq}
	if info.Cluster != nil && len(info.Cluster.Replicas) > 0 {
		m.leader = info.Cluster.Leader
		var ages []time.Duration
		for _, r := range info.Cluster.Replicas {
			if r.Active > 0 { // 0: it was not heard since this one leads
				ages = append(ages, r.Active)
			}
		}
		slices.Sort(ages)
		followers := max(replicas, len(info.Cluster.Replicas)+1) / 2 // with the leader they are a majority
		if len(ages) < followers {
			return m, fmt.Errorf("%w: %d of %d servers follow the leader", ledger.ErrUnavailable, len(ages)+1, len(info.Cluster.Replicas)+1)
		}
		m.at = asked.Add(-ages[followers-1])
	}
	return m, checkWhole(&info.State)
}

// known is the last moment that counts, its time being zero when there was none yet.
func (p *pulse) known() moment {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.confirmed
}

// stored notes that a message which was sent at a time was acknowledged, so by a majority.
func (p *pulse) stored(sent time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if sent.After(p.wrote) {
		p.wrote = sent
	}
}

// majority tells why an append cannot be stored: for a while, no majority has been seen.
func (p *pulse) majority() error {
	if p == nil {
		return nil
	}
	if age := p.age(); age > majorityAge {
		return fmt.Errorf("%w: no majority of its servers was seen for %v", ledger.ErrUnavailable, age.Round(time.Millisecond))
	}
	return nil
}

// age is how long ago a majority was seen.
func (p *pulse) age() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.candidate.at
	if p.wrote.After(at) {
		at = p.wrote
	}
	return time.Since(at)
}

// leads tells whether the server of this process leads the stream.
func (p *pulse) leads() bool {
	if p == nil || p.log.options.Server == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.candidate.leader == p.log.options.Server.Peer().Node
}
