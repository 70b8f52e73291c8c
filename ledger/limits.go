package ledger

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of the inputs.
const (
	MaxName      = 120                // code points of a name
	MaxID        = 128                // bytes of an id of an owner
	MaxReason    = 500                // code points of a reason
	MaxScope     = 128                // bytes of one scope
	MaxScopes    = 64                 // scopes of a key
	MaxMetadata  = 4 << 10            // bytes of compact metadata
	MaxGrace     = 7 * 24 * time.Hour // of a rotation
	MinToken     = 32                 // bytes of a brought token
	MaxToken     = 512                // bytes of a brought token
	MaxPage      = 1000               // entries of one page
	MaxRequestID = 128                // bytes of a request id
)

// checkID refuses an id of an owner that is not 1 to MaxID bytes of UTF-8 without control characters. Empty is absent.
func checkID(field, id string) error {
	switch {
	case len(id) > MaxID:
		return invalid(field, "must be at most %d bytes", MaxID)
	case !isText(id):
		return invalid(field, "must be UTF-8 without control characters")
	}
	return nil
}

// checkName refuses a name that is longer than MaxName code points, or not plain text. It may be empty.
func checkName(field, name string) error {
	switch {
	case utf8.RuneCountInString(name) > MaxName:
		return invalid(field, "must be at most %d characters", MaxName)
	case !isText(name):
		return invalid(field, "must be UTF-8 without control characters")
	}
	return nil
}

// CheckOwner refuses an owner of which a part is not one: ids are 1 to MaxID bytes of UTF-8 without control characters,
// the name of the agent is as that of a key.
func CheckOwner(o *Owner) error {
	for _, part := range [...]struct{ field, id string }{
		{"workspace_id", o.Workspace},
		{"org_id", o.Org},
		{"agent_id", o.AgentID},
		{"peer_id", o.Peer},
		{"session_id", o.Session},
	} {
		if err := checkID(part.field, part.id); err != nil {
			return err
		}
	}
	return checkName("agent_name", o.AgentName)
}

// checkReason refuses a reason that is longer than MaxReason code points, or has control characters other than line
// breaks and tabs.
func checkReason(reason string) error {
	plain := strings.NewReplacer("\n", "", "\t", "").Replace(reason)
	switch {
	case utf8.RuneCountInString(reason) > MaxReason:
		return invalid("reason", "must be at most %d characters", MaxReason)
	case !isText(plain):
		return invalid("reason", "must be UTF-8 without control characters")
	}
	return nil
}

// checkTime refuses a time that cannot be written as RFC 3339, or that an event cannot hold. A zero time is absent.
func checkTime(field string, t time.Time) error {
	if !t.IsZero() && (t.Unix() < 1 || t.Year() > maxYear) {
		return invalid(field, "must be a time from 1970 to %d", maxYear)
	}
	return nil
}

// maxYear is the last year that RFC 3339 can write.
const maxYear = 9999

// checkExpiry refuses an expiry that is not in the future, or not after the time from which the key is valid. A zero
// expiry is none.
func checkExpiry(expiry, notBefore, now time.Time) error {
	switch {
	case expiry.IsZero():
		return nil
	case !expiry.After(now):
		return invalid("expires_at", "must be in the future")
	case !expiry.After(notBefore):
		return invalid("expires_at", "must be after not_before")
	}
	return checkTime("expires_at", expiry)
}

// isText tells that s is UTF-8 without control characters.
func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// isVisible tells that s is ASCII without control characters and spaces.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// moment is t as an event carries it: in UTC, in microseconds.
func moment(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
