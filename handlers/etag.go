package handlers

import (
	"math"
	"strconv"
	"strings"

	"keyledger/ledger"
)

// setETag sets the entity tag of a key: W/"<sequence of its last change>". It is weak (RFC 9110 section 8.8.1) because
// it stands for what changes made of the key, not for what its use (last_used_at, use_count) and the clock (status) add.
// Notices of the ledger (key.expiring, key.expired, key.first_used) leave it as it is: a caller would lose its If-Match
// to them, though nothing that it saw has changed.
func (x *Exchange) setETag(k *ledger.Key) {
	x.setTag(k.Revision)
}

// setTag is setETag for what has its last event at a sequence.
func (x *Exchange) setTag(sequence uint64) {
	x.Header()["Etag"] = []string{`W/"` + strconv.FormatUint(sequence, 10) + `"`}
}

// notModified tells whether If-None-Match names the state that the caller would get (RFC 9110 section 13.1.2).
func (x *Exchange) notModified(k *ledger.Key) bool {
	for _, value := range x.Request.Header["If-None-Match"] {
		for tag := range strings.SplitSeq(value, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || tagSequence(tag) == k.Revision {
				return true
			}
		}
	}
	return false
}

// readIfMatch makes the command conditional on the If-Match header: one entity tag, or "*" for any. The tag of a key
// may be sent strong or weak: it is compared by its sequence, which is exact.
func (x *Exchange) readIfMatch() error {
	values := x.Request.Header["If-Match"]
	if len(values) == 0 || values[0] == "*" && len(values) == 1 {
		return nil
	}
	if len(values) > 1 || strings.Contains(values[0], ",") {
		return &ledger.Error{Code: ledger.CodeInvalid, Field: "If-Match", Detail: "the header takes one entity tag"}
	}
	x.ifSequence = tagSequence(strings.TrimSpace(values[0]))
	return nil
}

// tagSequence is the sequence in an entity tag: of one that is not ours, a sequence that no key has.
func tagSequence(tag string) uint64 {
	tag = strings.TrimPrefix(tag, "W/")
	if len(tag) > 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
		if n, err := strconv.ParseUint(tag[1:len(tag)-1], 10, 64); err == nil && n > 0 {
			return n
		}
	}
	return math.MaxUint64
}
