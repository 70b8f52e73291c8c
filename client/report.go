package client

import (
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const (
	reportEvery   = time.Second
	reportTimeout = 10 * time.Second // of one request
	reportKeys    = 500              // keys in one request: what the server takes
	waitingKeys   = 1 << 17          // keys whose uses wait while the server is away; those of others are dropped
)

// Used is how often a key was used, as it is reported.
type Used struct {
	KeyID      string    `json:"key_id"`
	Count      uint64    `json:"count"`
	LastUsedAt time.Time `json:"last_used_at"`
	IP         string    `json:"ip,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
}

// Reported is the answer to Client.ReportUsage.
type Reported struct {
	Accepted int `json:"accepted"`
	Ignored  int `json:"ignored"` // keys that are not there, or outside what the token may see
}

// ReportUsage tells the server of uses of keys that it has not seen itself, of at most 500 keys at a time. It is asked
// once: what is reported again is counted again. A Verifier does it by itself. It takes the scope ledger:keys:verify.
func (c *Client) ReportUsage(ctx context.Context, uses []Used) (Reported, error) {
	body, err := json.Marshal(map[string]any{"uses": uses})
	if err != nil {
		return Reported{}, fmt.Errorf("client: encode the request: %w", err)
	}
	var answer Reported
	err = c.attempt(ctx, &request{method: http.MethodPost, path: "v1/usage", header: http.Header{}}, body, &answer)
	return answer, err
}

// reports are the uses that are to be reported.
type reports struct {
	retired chan *replica      // replaced by rebuilt ones; what was counted in them is still to be reported
	last    []*replica         // of the reporter: those that it has looked at once
	waiting map[uuid.UUID]Used // of the reporter
	dropped atomic.Uint64
}

// retire keeps a replica until its uses are reported. When many wait already, its uses are lost.
func (p *reports) retire(t *replica) {
	select {
	case p.retired <- t:
	default:
	}
}

// DroppedUses is how many uses were not reported because the server was away for too long.
func (v *Verifier) DroppedUses() uint64 { return v.reports.dropped.Load() }

// reportAll reports until ctx ends, and once more then.
func (v *Verifier) reportAll(ctx context.Context) {
	v.reports.waiting = make(map[uuid.UUID]Used)
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			v.report(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			v.report(ctx)
		}
	}
}

// report collects what was used since the last time and sends it. What cannot be sent waits.
func (v *Verifier) report(ctx context.Context) {
	p := &v.reports
	now := time.Now().UTC()
	p.collect(v.replica.Load(), now)
	p.collectRetired(now)
	for len(p.waiting) > 0 {
		batch := make([]Used, 0, min(len(p.waiting), reportKeys))
		for _, u := range p.waiting {
			if batch = append(batch, u); len(batch) == reportKeys {
				break
			}
		}
		limited, cancel := context.WithTimeout(ctx, reportTimeout)
		_, err := v.client.ReportUsage(limited, batch)
		cancel()
		if err != nil {
			v.tell(fmt.Errorf("client: uses of %d keys wait to be reported: %w", len(p.waiting), err))
			return
		}
		for i := range batch {
			delete(p.waiting, uuid.MustParse(batch[i].KeyID))
		}
	}
}

// collectRetired takes the uses that were counted in replaced replicas. They are looked at twice, since a Verify that
// has begun may still count there.
func (p *reports) collectRetired(now time.Time) {
	for _, t := range p.last {
		p.collect(t, now)
	}
	p.last = nil
	for {
		select {
		case t := <-p.retired:
			p.collect(t, now)
			p.last = append(p.last, t)
		default:
			return
		}
	}
}

// collect takes the uses that were counted in a replica.
func (p *reports) collect(t *replica, now time.Time) {
	for _, c := range *t.chunks.Load() {
		if !c.used.Swap(false) {
			continue
		}
		for i := range c.bits {
			for word := c.bits[i].Swap(0); word != 0; word &= word - 1 {
				r := &c.records[i*64+bits.TrailingZeros64(word)]
				if n := r.uses.Swap(0); n > 0 {
					p.add(r.id, uint64(n), now)
				}
			}
		}
	}
}

func (p *reports) add(id uuid.UUID, count uint64, now time.Time) {
	u, ok := p.waiting[id]
	if !ok && len(p.waiting) >= waitingKeys {
		p.dropped.Add(count)
		return
	}
	p.waiting[id] = Used{KeyID: id.String(), Count: u.Count + count, LastUsedAt: now}
}
