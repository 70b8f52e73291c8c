package audit

import "fmt"

// Severity says how bad a Finding is.
type Severity int

const (
	// Warning is what may be wrong, or was not looked at: a clock that went wrong, a member that this program does not know.
	Warning Severity = iota
	// Error is what cannot be in a ledger that only keyledger has written and nobody has changed.
	Error
)

func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// Finding is something that is not as it must be.
type Finding struct {
	Severity Severity
	Sequence uint64 // of the event; 0: it is about none in particular
	Subject  string // key id, agent id, webhook id or claim; empty when it is not known
	Text     string
}

// String is one line.
func (f *Finding) String() string {
	place := "-"
	if f.Sequence > 0 {
		place = fmt.Sprint(f.Sequence)
	}
	about := "-"
	if f.Subject != "" {
		about = f.Subject
	}
	return fmt.Sprintf("%-7s  %s  %s  %s", f.Severity, place, about, f.Text)
}
