package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const idLength = 36 // of a UUID as text

// template makes whole requests that differ in one part, of always the same length, without formatting.
type template struct{ head, tail []byte }

// newTemplate cuts out what stands for the part in path or body.
func newTemplate(method, path, token, body, part string) template {
	head, tail, _ := bytes.Cut(httpRequest(method, path, token, []byte(body)), []byte(part))
	return template{head, tail}
}

func (t *template) fill(buf []byte, part string) []byte {
	buf = append(buf, t.head...)
	buf = append(buf, part...)
	return append(buf, t.tail...)
}

// verifyTemplate is filled with a token.
func (b *bench) verifyTemplate() template {
	part := strings.Repeat("?", len(b.keys[0].token))
	return newTemplate(http.MethodPost, "/v1/keys/verify", b.token, `{"token":"`+part+`"}`, part)
}

// revokeTemplate is filled with a key id.
func (b *bench) revokeTemplate() template {
	part := strings.Repeat("-", idLength)
	return newTemplate(http.MethodPost, "/v1/keys/"+part+"/revoke", b.token, `{"reason":"bench"}`, part)
}

func (b *bench) createRequest() []byte {
	body := `{"name":"Key of the bench","workspace_id":"` + seedWorkspace + `","org_id":"created","scopes":["files:read","files:write"]}`
	return httpRequest(http.MethodPost, "/v1/keys", b.token, []byte(body))
}

// createsLoad creates keys on the server under test.
func (b *bench) createsLoad(ctx context.Context, conns int) (*load, error) {
	server, err := b.server(ctx)
	if err != nil {
		return nil, err
	}
	return &load{
		addr:     server.addr,
		conns:    conns,
		period:   b.options.period,
		status:   http.StatusCreated,
		requests: always(b.createRequest()),
	}, nil
}

// createKeys creates up to most keys, for at most period.
func (b *bench) createKeys(ctx context.Context, period time.Duration, most int) ([]seedKey, error) {
	l, err := b.createsLoad(ctx, 256)
	if err != nil {
		return nil, err
	}
	var asked atomic.Int64
	request := b.createRequest()
	l.period = period
	l.requests = func(int) func([]byte) ([]byte, bool) {
		return func([]byte) ([]byte, bool) { return request, asked.Add(1) <= int64(most) }
	}
	found := make([][]seedKey, l.conns)
	l.inspect = func(conn int, body []byte) error {
		var issued struct{ ID, Token string }
		if err := json.Unmarshal(body, &issued); err != nil {
			return err
		}
		found[conn] = append(found[conn], seedKey{issued.ID, issued.Token})
		return nil
	}
	s, err := l.run(ctx)
	return slices.Concat(found...), errors.Join(err, s.cause)
}

// readsAgainstNoop is againstNoop for a subject that only reads. A server that rested has given its memory back to the
// system, and is some seconds slower until it has it again: one measurement comes before those that count.
func (b *bench) readsAgainstNoop(ctx context.Context, subject, raw *load) (figure, error) {
	if _, err := subject.run(ctx); err != nil {
		return figure{}, err
	}
	return b.againstNoop(ctx, subject, raw, nil)
}

// againstNoop measures a load on the server under test and on the no-op handler. prepare, when not nil, is called
// before each measurement of the subject.
func (b *bench) againstNoop(ctx context.Context, subject, raw *load, prepare func() error) (figure, error) {
	noop, err := b.baseline(ctx)
	if err != nil {
		return figure{}, err
	}
	raw.addr, raw.status = noop.addr, http.StatusOK
	return b.inTurn(func() (sample, error) {
		if prepare != nil {
			if err := prepare(); err != nil {
				return sample{}, err
			}
		}
		return subject.run(ctx)
	}, func() (sample, error) { return raw.run(ctx) })
}

// measureCreates compares with plain publishes.
func measureCreates(conns int) func(context.Context, *bench) (figure, error) {
	return func(ctx context.Context, b *bench) (figure, error) {
		l, err := b.createsLoad(ctx, conns)
		if err != nil {
			return figure{}, err
		}
		raw, err := b.rawStream(ctx)
		if err != nil {
			return figure{}, err
		}
		return b.inTurn(
			func() (sample, error) { return l.run(ctx) },
			func() (sample, error) { return raw.publish(ctx, conns, b.options.period), ctx.Err() },
		)
	}
}

// measureCreates64 compares with the no-op handler.
func measureCreates64(ctx context.Context, b *bench) (figure, error) {
	subject, err := b.createsLoad(ctx, 64)
	if err != nil {
		return figure{}, err
	}
	raw := *subject
	return b.againstNoop(ctx, subject, &raw, nil)
}

func measureVerify(ctx context.Context, b *bench) (figure, error) {
	server, err := b.server(ctx)
	if err != nil {
		return figure{}, err
	}
	raw := b.verifyLoad(server.addr)
	subject := raw
	subject.inspect = func(_ int, body []byte) error {
		if !bytes.Contains(body, []byte(`"valid":true`)) {
			return fmt.Errorf("a valid token was refused: %s", body)
		}
		return nil
	}
	return b.readsAgainstNoop(ctx, &subject, &raw)
}

// verifyLoad verifies random seeded keys.
func (b *bench) verifyLoad(addr string) load {
	t := b.verifyTemplate()
	return load{addr: addr, conns: 64, period: b.options.period, status: http.StatusOK,
		requests: func(conn int) func([]byte) ([]byte, bool) {
			random := rand.New(rand.NewPCG(1, uint64(conn)))
			return func(buf []byte) ([]byte, bool) {
				return t.fill(buf, b.keys[random.IntN(len(b.keys))].token), true
			}
		}}
}

// measureList asks for pages at many places of a long list.
func measureList(ctx context.Context, b *bench) (figure, error) {
	server, err := b.server(ctx)
	if err != nil {
		return figure{}, err
	}
	pages, err := b.listPages(ctx, server.addr)
	if err != nil {
		return figure{}, err
	}
	subject := load{addr: server.addr, conns: 64, period: b.options.period, status: http.StatusOK,
		requests: func(conn int) func([]byte) ([]byte, bool) {
			random := rand.New(rand.NewPCG(2, uint64(conn)))
			return func([]byte) ([]byte, bool) { return pages[random.IntN(len(pages))], true }
		}}
	raw := subject
	return b.readsAgainstNoop(ctx, &subject, &raw)
}

// listPages walks the list of the large owner and gives the requests of its first pages.
func (b *bench) listPages(ctx context.Context, addr string) ([][]byte, error) {
	const limit, most = 50, 200
	path := fmt.Sprintf("/v1/orgs/%s/keys?limit=%d", seedLargeOrg, limit)
	var pages [][]byte
	for next := path; next != "" && len(pages) < most; {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+next, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+b.token)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		var page struct {
			Data       []json.RawMessage `json:"data"`
			NextCursor string            `json:"next_cursor"`
		}
		err = json.NewDecoder(answer.Body).Decode(&page)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return nil, err
		}
		if len(page.Data) != limit {
			return nil, fmt.Errorf("a page of %d keys instead of %d, status %s", len(page.Data), limit, answer.Status)
		}
		pages = append(pages, httpRequest(http.MethodGet, next, b.token, nil))
		next = ""
		if page.NextCursor != "" {
			next = path + "&cursor=" + page.NextCursor
		}
	}
	return pages, nil
}

func measureRevokes(ctx context.Context, b *bench) (figure, error) {
	var keys []seedKey
	return b.measureRevokesOf(ctx, &keys, func() error {
		var err error
		keys, err = b.createKeys(ctx, 2*b.options.period, 1<<20)
		return err
	})
}

func measureColdRevokes(ctx context.Context, b *bench) (figure, error) {
	keys := slices.Clone(b.keys)
	rand.New(rand.NewPCG(3, 0)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return b.measureRevokesOf(ctx, &keys, nil)
}

// measureRevokesOf revokes each of keys once.
func (b *bench) measureRevokesOf(ctx context.Context, keys *[]seedKey, prepare func() error) (figure, error) {
	server, err := b.server(ctx)
	if err != nil {
		return figure{}, err
	}
	t := b.revokeTemplate()
	var taken atomic.Int64
	subject := &load{addr: server.addr, conns: 64, period: b.options.period, status: http.StatusOK,
		requests: func(int) func([]byte) ([]byte, bool) {
			return func(buf []byte) ([]byte, bool) {
				i := int(taken.Add(1)) - 1
				if i >= len(*keys) {
					return nil, false
				}
				return t.fill(buf, (*keys)[i].id), true
			}
		}}
	raw := *subject
	raw.requests = always(t.fill(nil, b.keys[0].id))
	return b.againstNoop(ctx, subject, &raw, func() error {
		if prepare == nil {
			return nil
		}
		taken.Store(0)
		return prepare()
	})
}
