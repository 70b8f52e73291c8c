package handlers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"keyledger/ledger"
)

// cursors makes and reads the cursors of lists: base64url of a place and a MAC over the place and the list it is in. So
// a cursor works only for the list and the filters it came from, and cannot be made up.
type cursors struct{ key []byte }

const cursorMAC = 12 // bytes

// list names what a cursor belongs to: a route with the values that select, but for limit and cursor themselves.
func list(route, id string, p Parameters) []byte {
	b := appendField(appendField(nil, route), id)
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name != "limit" && name != "cursor" {
			b = appendField(appendField(b, name), p[name])
		}
	}
	return b
}

// appendField appends a value with its length, so that no two lists have one name.
func appendField(b []byte, v string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func (c cursors) mac(list, place []byte) []byte {
	h := hmac.New(sha256.New, c.key)
	h.Write(list)
	h.Write(place)
	return h.Sum(nil)[:cursorMAC]
}

// seal is the cursor of a place in a list.
func (c cursors) seal(list, place []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(c.mac(list, place), place...))
}

// open is the place of a cursor; nil without a cursor.
func (c cursors) open(list []byte, cursor string) ([]byte, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) <= cursorMAC || !hmac.Equal([]byte(cursor), []byte(c.seal(list, raw[cursorMAC:]))) {
		return nil, invalid("cursor", "it is not a next_cursor of this list with these filters")
	}
	return raw[cursorMAC:], nil
}

// keyPlace is the place of a ledger.Cursor: microseconds and id.
func keyPlace(at ledger.Cursor) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.CreatedAt.UnixMicro())), at.ID[:]...)
}

// keyCursor is its inverse; no place is the start.
func keyCursor(place []byte) (at ledger.Cursor, err error) {
	switch len(place) {
	case 0:
		return at, nil
	case 8 + len(at.ID):
		at.CreatedAt = time.UnixMicro(int64(binary.BigEndian.Uint64(place))).UTC()
		copy(at.ID[:], place[8:])
		return at, nil
	}
	return at, invalid("cursor", "it is not a next_cursor of this list with these filters")
}
