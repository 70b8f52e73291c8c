package handlers

import (
	"encoding/base64"
	"encoding/binary"
)

// secrets is GET /v1/ledger/secrets: what personal data is sealed with, itself sealed, for a backup.
func (a *api) secrets(x *Exchange) error {
	limit, err := x.Query.limit()
	if err != nil {
		return err
	}
	here := list(x.route.Path, "", x.Query)
	place, err := a.cursors.open(here, x.Query["cursor"])
	if err != nil {
		return err
	}
	var after uint64
	if len(place) == 8 {
		after = binary.BigEndian.Uint64(place)
	}
	page, err := a.service.Secrets(x.Context(), &x.Principal, after, limit)
	if err != nil {
		return err
	}
	b := append(x.Body, `{"data":[`...)
	for i, s := range page.Secrets {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"secret":"`...), s.Place...)
		b = base64.StdEncoding.AppendEncode(append(b, `","value":"`...), s.Value)
		b = append(b, `"}`...)
	}
	var next []byte
	if page.More {
		next = binary.BigEndian.AppendUint64(nil, page.Next)
	}
	x.Body = a.appendNext(b, here, next)
	return nil
}
