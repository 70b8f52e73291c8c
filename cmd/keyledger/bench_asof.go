package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// asOfEvents is how many events the key has whose past is read.
const asOfEvents = 20

// measureAsOf reads a key at the time of one of its events in the middle, over one connection. The value is the 99th
// percentile.
func measureAsOf(ctx context.Context, b *bench) (figure, error) {
	server, err := b.server(ctx)
	if err != nil {
		return figure{}, err
	}
	var key struct {
		ID        string
		Sequence  uint64
		UpdatedAt time.Time `json:"updated_at"`
	}
	if err := b.call(ctx, server.addr, http.MethodPost, "/v1/keys", `{"name": "as of"}`, http.StatusCreated, &key); err != nil {
		return figure{}, err
	}
	at := key.UpdatedAt
	for i := 1; i < asOfEvents; i++ {
		body := fmt.Sprintf(`{"name": "as of %d"}`, i)
		if err := b.call(ctx, server.addr, http.MethodPatch, "/v1/keys/"+key.ID, body, http.StatusOK, &key); err != nil {
			return figure{}, err
		}
		if i == asOfEvents/2 {
			at = key.UpdatedAt
		}
	}
	path := "/v1/keys/" + key.ID + "?at=" + at.Format(time.RFC3339Nano)
	l := load{addr: server.addr, conns: 1, period: b.options.period, status: http.StatusOK,
		requests: always(httpRequest(http.MethodGet, path, b.token, nil))}
	return b.slowest(ctx, &l)
}
