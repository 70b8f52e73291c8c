package fastapi

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// string reads a string, from its opening quote on.
func (s *scanner) string(open int) (string, int, error) {
	var b []byte
	from := open + 1 // what stands from there on is not in b yet
	for at := from; at < len(s.text); {
		switch c := s.text[at]; {
		case c == '"':
			return string(append(b, s.text[from:at]...)), at + 1, nil
		case c < ' ':
			return "", 0, &flaw{"Invalid control character at", at}
		case c != '\\':
			at++
		default:
			r, next, err := s.escape(open, at)
			if err != nil {
				return "", 0, err
			}
			b = utf8.AppendRune(append(b, s.text[from:at]...), r)
			at, from = next, next
		}
	}
	return "", 0, &flaw{"Unterminated string starting at", open}
}

// escape reads an escape, from its backslash on, in the string that begins at open. It notes half of a surrogate pair.
func (s *scanner) escape(open, at int) (rune, int, error) {
	if at+1 == len(s.text) {
		return 0, 0, &flaw{"Unterminated string starting at", open}
	}
	if c := s.text[at+1]; c != 'u' {
		i := strings.IndexByte(`"\/bfnrt`, c)
		if i < 0 {
			return 0, 0, &flaw{`Invalid \escape`, at}
		}
		return rune("\"\\/\b\f\n\r\t"[i]), at + 2, nil
	}
	r, next, err := s.unit(at)
	if err != nil || !utf16.IsSurrogate(r) {
		return r, next, err
	}
	if strings.HasPrefix(s.text[next:], `\u`) {
		low, end, err := s.unit(next)
		if err != nil {
			return 0, 0, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, end, nil
		}
	}
	s.half = true
	return utf8.RuneError, next, nil
}

// unit reads \uXXXX, a unit of UTF-16, from its backslash on. Something must come behind it.
func (s *scanner) unit(at int) (rune, int, error) {
	end := at + 6
	if end < len(s.text) {
		if n, err := strconv.ParseUint(s.text[at+2:end], 16, 16); err == nil {
			return rune(n), end, nil
		}
	}
	return 0, 0, &flaw{`Invalid \uXXXX escape`, at + 1}
}
