package events

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Names of the message headers.
const (
	HeaderID        = "Nats-Msg-Id"
	HeaderType      = "Keyledger-Type"
	HeaderVersion   = "Keyledger-Version"
	HeaderTime      = "Keyledger-Time"
	HeaderActor     = "Keyledger-Actor"
	HeaderRequestID = "Keyledger-Request-Id"
)

// Names of headers in what a node answers to the requests of a subscriber about its consumers: how many milliseconds ago the
// node knew the whole ledger, and a sequence after which there was none then. Both are absent when it does not know.
const (
	HeaderAge  = "Keyledger-Age"
	HeaderLast = "Keyledger-Last"
)

const (
	timeFormat    = "2006-01-02T15:04:05.000000Z" // RFC 3339, UTC, microseconds
	maxHeaderText = 128
	maxVersion    = 1<<16 - 1
)

// Each calls set for every header that h has.
func (h *Header) Each(set func(name, value string)) {
	set(HeaderID, h.ID.String())
	set(HeaderType, string(h.Type))
	set(HeaderVersion, strconv.Itoa(h.Version))
	set(HeaderTime, h.Time.UTC().Format(timeFormat))
	set(HeaderActor, h.Actor)
	if h.RequestID != "" {
		set(HeaderRequestID, h.RequestID)
	}
}

// ParseHeader reads a header with get, which answers "" for a name that is absent. It accepts what Each sets and
// nothing else. It does not know which types and versions there are: Decode does.
func ParseHeader(get func(name string) string) (Header, error) {
	h := Header{Type: Type(get(HeaderType)), Actor: get(HeaderActor), RequestID: get(HeaderRequestID)}
	var err error
	if h.ID, err = parseUUID(get(HeaderID)); err != nil {
		return Header{}, fmt.Errorf("events: header %s: %w", HeaderID, err)
	}
	if h.Version, err = parseVersion(get(HeaderVersion)); err != nil {
		return Header{}, fmt.Errorf("events: header %s: %w", HeaderVersion, err)
	}
	if h.Time, err = parseTime(get(HeaderTime)); err != nil {
		return Header{}, fmt.Errorf("events: header %s: %w", HeaderTime, err)
	}
	if err := h.check(); err != nil {
		return Header{}, fmt.Errorf("events: %w", err)
	}
	return h, nil
}

// check holds h against what every stored header keeps.
func (h *Header) check() error {
	switch micros := h.Time.UnixMicro(); {
	case h.ID == uuid.Nil:
		return fmt.Errorf("header %s: the nil UUID", HeaderID)
	case h.Version < 1 || h.Version > maxVersion:
		return fmt.Errorf("header %s: %d is not from 1 to %d", HeaderVersion, h.Version, maxVersion)
	case micros < 1 || micros > maxMicros:
		return fmt.Errorf("header %s: out of range", HeaderTime)
	case h.Type == "" || !isVisible(string(h.Type)):
		return fmt.Errorf("header %s: not 1 to %d visible ASCII characters", HeaderType, maxHeaderText)
	case h.Actor == "" || !isVisible(h.Actor):
		return fmt.Errorf("header %s: not 1 to %d visible ASCII characters", HeaderActor, maxHeaderText)
	case !isVisible(h.RequestID):
		return fmt.Errorf("header %s: not up to %d visible ASCII characters", HeaderRequestID, maxHeaderText)
	}
	return nil
}

// isVisible tells that s has nothing that a header line could not carry as it is.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxHeaderText
}

// parseUUID takes the 36 lower-case characters of RFC 9562 section 4 only, so that an id has one spelling.
func parseUUID(s string) (uuid.UUID, error) {
	if len(s) != 36 {
		return uuid.Nil, errors.New("not a lower-case UUID")
	}
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'F' {
			return uuid.Nil, errors.New("not a lower-case UUID")
		}
	}
	return uuid.Parse(s)
}

func parseVersion(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, err
	}
	if s[0] == '0' {
		return 0, errors.New("it begins with 0")
	}
	return int(n), nil
}

func parseTime(s string) (time.Time, error) {
	if len(s) != len(timeFormat) || s[19] != '.' || s[26] != 'Z' {
		return time.Time{}, errors.New("not a UTC time with microseconds (RFC 3339)")
	}
	return time.Parse(time.RFC3339Nano, s)
}
