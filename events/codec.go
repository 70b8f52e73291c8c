package events

// Encode gives the message of an event. The event's Type and Version are set from its payload.
func Encode(e *Event) (Message, error) { panic("not implemented") }

// Decode gives the event of a message. It refuses a type or a version newer than this program
// knows with an *UnknownError, and a body that is not exactly an encoded payload with a *DecodeError.
func Decode(m *Message) (Event, error) { panic("not implemented") }
