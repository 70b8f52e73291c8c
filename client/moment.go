package client

import (
	"encoding/json"
	"time"
)

// Moment is a time in a KeyChange: Said tells whether the event says anything of it; a zero Time is then never, or none.
type Moment struct {
	Said bool
	time.Time
}

// UnmarshalJSON is called for a member that is there.
func (m *Moment) UnmarshalJSON(text []byte) error {
	m.Said = true
	return json.Unmarshal(text, &m.Time)
}
