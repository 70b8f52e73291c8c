package fastapi

import (
	"net/url"
	"strings"
)

// Query reads a query as Python's parse_qsl does, into an object of strings: nothing is refused, a parameter without "="
// is empty, the last of equal names counts, what is no escape stands for itself, and bytes that are not UTF-8 become
// U+FFFD. Go's own parser drops what it cannot read: an expiry, for example.
func Query(raw string) Value {
	v, places := Value{kind: Object}, make(map[string]int)
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		v.set(places, Member{unescape(name), Text(unescape(value))})
	}
	return v
}

// unescape decodes a part of a query.
func unescape(s string) string {
	var b strings.Builder
	s = strings.ReplaceAll(s, "+", " ")
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return string([]rune(b.String()))
}
