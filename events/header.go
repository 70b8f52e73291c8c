package events

// Names of the message headers.
const (
	HeaderID        = "Nats-Msg-Id"
	HeaderType      = "Keyledger-Type"
	HeaderVersion   = "Keyledger-Version"
	HeaderTime      = "Keyledger-Time"
	HeaderActor     = "Keyledger-Actor"
	HeaderRequestID = "Keyledger-Request-Id"
)

// Each calls set for every header that h has.
func (h *Header) Each(set func(name, value string)) { panic("not implemented") }

// ParseHeader reads a header with get, which answers "" for a name that is absent.
func ParseHeader(get func(name string) string) (Header, error) { panic("not implemented") }
