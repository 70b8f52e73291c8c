package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
)

// MaxReport is how many uses one report has at most.
const MaxReport = 500

// maxReportCount bounds the number of uses of one key in a report.
const maxReportCount = 1 << 40

// ReportedUse is the use of one key that was verified elsewhere.
type ReportedUse struct {
	KeyID  uuid.UUID
	Count  uint64
	Last   time.Time // one that lies ahead counts as now
	Origin events.Origin
}

// Report records uses that others have seen who verify tokens by themselves, for a principal with the scope
// ledger:keys:verify. It tells how many it has taken: those of keys that are absent, or outside the principal's owner, it
// ignores, without saying which. Like every use they are stored about a second later.
func (s *Service) Report(ctx context.Context, p *Principal, uses []ReportedUse) (accepted int, err error) {
	if err := p.may(ScopeVerify); err != nil {
		return 0, err
	}
	if len(uses) > MaxReport {
		return 0, invalid("uses", "must be at most %d", MaxReport)
	}
	now := s.clock()
	for i := range uses {
		u := &uses[i]
		field := func(name string) string { return fmt.Sprintf("uses.%d.%s", i, name) }
		switch {
		case u.Count == 0 || u.Count > maxReportCount:
			return 0, invalid(field("count"), "must be 1 to %d", maxReportCount)
		case u.Last.UnixMicro() < 1:
			return 0, invalid(field("last_used_at"), "must be after 1970")
		}
	}
	for i := range uses {
		u := &uses[i]
		k, ok, err := s.state.Key(ctx, u.KeyID)
		if err != nil {
			return accepted, failed(err)
		}
		if !ok || !p.covers(&k.Owner) {
			continue
		}
		accepted++
		last := u.Last
		if last.After(now) {
			last = now
		}
		if s.usage != nil {
			s.usage.add(k.ID, use{last: last.UnixMicro(), count: u.Count, origin: u.Origin})
		}
		if !k.FirstUsed {
			s.firsts.note(k.ID, last)
		}
	}
	return accepted, nil
}
