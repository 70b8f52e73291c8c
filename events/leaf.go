package events

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// leafVersion is the first byte of a leaf. Another layout has another one.
const leafVersion = 1

// MaxBody is how long a body is at most, in bytes, which Encode sees to: so a leaf has less than 64 KiB, which is the most
// that an entry of C2SP tlog-tiles can have.
const MaxBody = 60 << 10

// AppendLeaf appends the leaf of a stored message to dst: what the Merkle tree over the ledger is made of. The layout is
// described in the package's documentation. It never changes.
func AppendLeaf(dst []byte, m *Message) []byte {
	dst = append(dst, leafVersion)
	dst = binary.BigEndian.AppendUint64(dst, m.Sequence)
	dst = appendLeafText(dst, m.Subject)
	requestID := false
	m.Each(func(name, value string) {
		dst = appendLeafText(dst, value)
		requestID = requestID || name == HeaderRequestID
	})
	if !requestID {
		dst = appendLeafText(dst, "")
	}
	return append(dst, m.Data...)
}

// appendLeafText appends a string with its length before it, which no subject and no header makes longer than 2 bytes.
func appendLeafText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// ParseLeaf gives the message of a leaf. It accepts what AppendLeaf gives and nothing else. What is in the message it does
// not look at: Decode does. The Data of the message is a part of leaf.
func ParseLeaf(leaf []byte) (Message, error) {
	if len(leaf) < 9 || leaf[0] != leafVersion {
		return Message{}, errors.New("events: not a leaf of version 1")
	}
	m := Message{Sequence: binary.BigEndian.Uint64(leaf[1:])}
	rest := leaf[9:]
	headers := leafHeaders()
	var texts [1 + len(headers)]string
	for i := range texts {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return Message{}, fmt.Errorf("events: leaf %d is cut short", m.Sequence)
		}
		n := 2 + int(binary.BigEndian.Uint16(rest))
		texts[i], rest = string(rest[2:n]), rest[n:]
	}
	if m.Sequence == 0 || len(rest) > MaxBody {
		return Message{}, fmt.Errorf("events: leaf %d: a body of %d bytes", m.Sequence, len(rest))
	}
	if _, err := ParseSubject(texts[0]); err != nil {
		return Message{}, fmt.Errorf("events: leaf %d: %w", m.Sequence, err)
	}
	var err error
	m.Subject, m.Data = texts[0], rest
	m.Header, err = ParseHeader(func(name string) string {
		for i, header := range headers {
			if header == name {
				return texts[1+i]
			}
		}
		return ""
	})
	return m, err
}

// leafHeaders are the headers of a leaf, in their order, which is that of Each.
func leafHeaders() [6]string {
	return [...]string{HeaderID, HeaderType, HeaderVersion, HeaderTime, HeaderActor, HeaderRequestID}
}
