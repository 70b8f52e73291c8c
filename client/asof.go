package client

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// AsOf is a moment in the past: a time, or the event with a sequence. The zero AsOf is the present. The server makes a list as
// of a moment anew, one for a token at a time, else CodeBusy: the Client asks again then.
type AsOf struct {
	Time     time.Time // after the longest beginning of the ledger in which no event bears a later time
	Sequence uint64    // after the event with this sequence; not with Time
}

func (m AsOf) set(v url.Values) {
	setTime(v, "at", m.Time)
	if m.Sequence > 0 {
		v.Set("at_seq", strconv.FormatUint(m.Sequence, 10))
	}
}

// KeyAsOf reads a key as it was at a moment, without its uses. One that was created later is CodeNotFound. The
// zero AsOf reads it as it is.
func (c *Client) KeyAsOf(ctx context.Context, id string, at AsOf, options ...CallOption) (Key, error) {
	v := make(url.Values, 1)
	at.set(v)
	var key Key
	err := c.do(ctx, get(keyPath(id), v), &key, options)
	return key, err
}
