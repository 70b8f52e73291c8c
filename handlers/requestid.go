package handlers

import (
	"encoding/hex"
	"math/rand/v2"
	"net/http"

	"keyledger/ledger"
)

// requestID is the X-Request-Id of a request, or a new one when it is absent, too long, or has characters that do not
// belong into a log line or a message header.
func requestID(h http.Header) string {
	if id := h.Get("X-Request-Id"); id != "" && len(id) <= ledger.MaxRequestID && saneID(id) {
		return id
	}
	var raw [16]byte
	for i := 0; i < len(raw); i += 8 {
		n := rand.Uint64()
		for j := range 8 {
			raw[i+j] = byte(n >> (8 * j))
		}
	}
	return hex.EncodeToString(raw[:])
}

func saneID(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=', c == '@', c == '|', c == ',', c == ';':
		default:
			return false
		}
	}
	return true
}
