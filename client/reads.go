package client

import (
	"context"
	"iter"
	"time"
)

// Read is a request that read something from the API, where the server audits reads.
type Read struct {
	Time      time.Time `json:"time"`
	Actor     string    `json:"actor"` // key id of who asked, or the name of who acted without a key
	IP        string    `json:"ip"`
	UserAgent string    `json:"user_agent"`
	RequestID string    `json:"request_id"`
	Route     string    `json:"route"`  // method and template of the path
	Query     string    `json:"query"`  // variables of the path and parameters of the query, as a query string
	KeyID     string    `json:"key_id"` // that was read by itself, empty when it was no single key
	Status    int       `json:"status"` // of the answer
}

// ReadQuery selects reads. Zero fields select all.
type ReadQuery struct {
	Actor string
	KeyID string
	From  time.Time // the first time
	Until time.Time // the first time that is too late
}

// Reads iterates over recorded reads, in the order in which they were recorded. It ends at the first error. It needs the scope
// ledger:audit, and a key without an owner.
func (c *Client) Reads(ctx context.Context, q ReadQuery, options ...CallOption) iter.Seq2[Read, error] {
	return all(func(cursor string) (Page[Read], error) {
		v := paging(cursor, pageSize)
		set(v, "actor", q.Actor)
		set(v, "key_id", q.KeyID)
		setTime(v, "from", q.From)
		setTime(v, "until", q.Until)
		var p Page[Read]
		err := c.do(ctx, get("v1/ledger/reads", v), &p, options)
		return p, err
	})
}
