package handlers

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"keyledger/ledger"
)

// appendString appends a JSON string.
func appendString(b []byte, s string) []byte {
	if !isPlain(s) {
		b, _ = jsontext.AppendQuote(b, s) // what is not UTF-8 has become U+FFFD then, as it should
		return b
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// isPlain tells whether s is known to need no escapes in JSON: ASCII without control characters, quotes and
// backslashes. It looks at eight bytes at a time: a byte's highest bit ends up set when the byte is one of those.
func isPlain(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if (w|(w-' '*ones)|((w^'"'*ones)-ones)|((w^'\\'*ones)-ones))&high != 0 {
			return false
		}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// appendStringMember appends a member whose value is a string. null is the member when the string is empty.
func appendStringMember(b []byte, null, value string) []byte {
	if value == "" {
		return append(b, null...)
	}
	return appendString(append(b, null[:len(null)-len(`null`)]...), value)
}

// appendTimeMember appends a member whose value is a time in RFC 3339, UTC. null is the member when the time is zero.
func appendTimeMember(b []byte, null string, t time.Time) []byte {
	if t.IsZero() {
		return append(b, null...)
	}
	b = append(append(b, null[:len(null)-len(`null`)]...), '"')
	return append(appendTime(b, t), '"')
}

// appendTime appends a time as time.RFC3339Nano does, in UTC and without what is below a microsecond, in a quarter of
// the time: a page of keys has some two hundred of them.
func appendTime(b []byte, t time.Time) []byte {
	const day, year10000 = 24 * 60 * 60, 253402300800
	seconds := t.Unix()
	if seconds < 0 || seconds >= year10000 {
		return t.UTC().AppendFormat(b, time.RFC3339Nano)
	}
	year, month, date := civil(uint32(seconds / day))
	clock := uint32(seconds % day)
	b = append2(b, year/100)
	b = append2(b, year%100)
	b = append2(append(b, '-'), month)
	b = append2(append(b, '-'), date)
	b = append2(append(b, 'T'), clock/3600)
	b = append2(append(b, ':'), clock/60%60)
	b = append2(append(b, ':'), clock%60)
	if micros := uint32(t.Nanosecond() / 1000); micros > 0 {
		b = append2(append(b, '.'), micros/10000)
		b = append2(b, micros/100%100)
		b = append2(b, micros%100)
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return append(b, 'Z')
}

func append2(b []byte, n uint32) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// civil is the date that is days after 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms"). Years
// begin in March, so that a leap day is the last of its year; 400 of them, an era, have 146097 days.
func civil(days uint32) (year, month, date uint32) {
	days += 719468 // from 0000-03-01
	era, day := days/146097, days%146097
	year = (day - day/1460 + day/36524 - day/146096) / 365
	day -= 365*year + year/4 - year/100
	month = (5*day + 2) / 153
	date = day - (153*month+2)/5 + 1
	year += 400 * era
	if month < 10 {
		return year, month + 3, date
	}
	return year + 1, month - 9, date
}

func appendUintMember(b []byte, name string, n uint64) []byte {
	return strconv.AppendUint(append(b, name...), n, 10)
}

func appendScopes(b []byte, scopes ledger.Scopes) []byte {
	b = append(b, '[')
	for scope := range scopes.All() {
		b = append(appendString(b, scope), ',')
	}
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, ']')
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	var text [36]byte
	hex.Encode(text[:8], id[:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:], id[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return append(b, text[:]...)
}
