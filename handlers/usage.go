package handlers

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// usageReport is the body of POST /v1/usage.
type usageReport struct {
	Uses []reportedUse `json:"uses"`
}

type reportedUse struct {
	KeyID      string     `json:"key_id"`
	Count      int64      `json:"count"`
	LastUsedAt *time.Time `json:"last_used_at"`
	IP         string     `json:"ip"`
	UserAgent  string     `json:"user_agent"`
}

// reportUsage is POST /v1/usage: uses of keys that were verified elsewhere.
func (a *api) reportUsage(x *Exchange) error {
	var in usageReport
	if err := x.Decode(&in); err != nil {
		return err
	}
	uses := make([]ledger.ReportedUse, min(len(in.Uses), ledger.MaxReport+1))
	for i := range uses {
		if err := in.Uses[i].read(&uses[i], fmt.Sprintf("uses.%d.", i)); err != nil {
			return err
		}
	}
	accepted, err := a.service.Report(x.Context(), &x.Principal, uses)
	if err != nil {
		return err
	}
	b := appendUintMember(x.Body, `{"accepted":`, uint64(accepted))
	b = appendUintMember(b, `,"ignored":`, uint64(len(uses)-accepted))
	x.Body = append(b, '}', '\n')
	return nil
}

// read turns a use into the ledger's form. A key id that is none is that of no key.
func (r *reportedUse) read(u *ledger.ReportedUse, field string) error {
	if r.Count < 1 {
		return invalid(field+"count", "it must be at least 1")
	}
	if r.LastUsedAt == nil {
		return invalid(field+"last_used_at", "it is required")
	}
	u.KeyID, _ = uuid.Parse(r.KeyID)
	u.Count, u.Last = uint64(r.Count), r.LastUsedAt.UTC()
	u.Origin = events.Origin{IP: r.IP, UserAgent: r.UserAgent}
	return nil
}
