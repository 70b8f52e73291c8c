package client

import (
	"context"
	"iter"
)

// Secret is a secret that personal data is sealed with. It is sealed itself, with a key that follows from the secret of the
// nodes.
type Secret struct {
	Place string `json:"secret"` // where it is kept: hex
	Value []byte `json:"value"`
}

// Secrets iterates over the secrets that personal data is sealed with, for a backup. It ends at the first error. It needs the
// scope ledger:audit, and a key without an owner.
func (c *Client) Secrets(ctx context.Context, options ...CallOption) iter.Seq2[Secret, error] {
	return all(func(cursor string) (Page[Secret], error) {
		var p Page[Secret]
		err := c.do(ctx, get("v1/ledger/secrets", paging(cursor, pageSize)), &p, options)
		return p, err
	})
}
