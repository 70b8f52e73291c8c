package handlers

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"keyledger/events"
	"keyledger/ledger"
)

// record records the exchange, if it read something for a principal, before its answer is sent. What cannot be recorded is
// refused.
func (s *Server) record(x *Exchange) {
	if x.route == nil || x.route.Method != http.MethodGet || x.route.Unaudited || x.Principal.Name() == "" {
		return
	}
	read := x.read(s.config.Now())
	if err := s.config.Reads.Record(&read); err != nil {
		x.err = err
		x.refuse()
	}
}

// read is what is recorded of the exchange.
func (x *Exchange) read(now time.Time) events.Read {
	status := x.Status
	if status == 0 {
		status = http.StatusOK
	}
	return events.Read{
		Time:      now.UTC().Truncate(time.Microsecond),
		Actor:     x.Principal.Name(),
		Origin:    x.origin,
		RequestID: x.RequestID,
		Route:     x.route.Method + " " + x.route.Path,
		Asked:     x.asked(),
		KeyID:     x.keyID,
		Status:    status,
	}
}

// asked is what was asked for: the variables of the path, but for the id of the key, and the parameters of the query, but for
// the cursor. A token is not shown: people put tokens into addresses by mistake.
func (x *Exchange) asked() string {
	asked, err := url.ParseQuery(x.Request.URL.RawQuery)
	if err != nil {
		asked = make(url.Values) // it was refused
	}
	asked.Del("cursor")
	for name := range x.vars {
		if value := x.Var(name); name != "id" || value != x.keyID.String() {
			asked.Add(name, value)
		}
	}
	safe := make(url.Values, len(asked))
	for name, values := range asked {
		for _, value := range values {
			safe.Add(x.shown(name), x.shown(value))
		}
	}
	return safe.Encode()
}

// shown is a text of the request without a token.
func (x *Exchange) shown(text string) string {
	if text != "" && x.server.config.Service.IsToken(text) {
		return "[token]"
	}
	return text
}

// reads is GET /v1/ledger/reads: what was read, in the order in which it was recorded; a page, or a stream of all of it.
func (a *api) reads(x *Exchange) error {
	q, err := x.Query.readQuery()
	if err != nil {
		return err
	}
	if streamType(x.Request.Header["Accept"]) == ndjson {
		return a.streamReads(x, q)
	}
	here := list(x.route.Path, "", x.Query)
	place, err := a.cursors.open(here, x.Query["cursor"])
	if err != nil {
		return err
	}
	if len(place) == 16 {
		q.After = ledger.ReadPlace{Batch: binary.BigEndian.Uint64(place), Index: int(binary.BigEndian.Uint64(place[8:]))}
	}
	page, err := a.service.Reads(x.Context(), &x.Principal, &q)
	if err != nil {
		return err
	}
	b := append(x.Body, `{"data":[`...)
	for i := range page.Reads {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRead(b, &page.Reads[i])
	}
	var next []byte
	if page.More {
		next = binary.BigEndian.AppendUint64(nil, page.Next.Batch)
		next = binary.BigEndian.AppendUint64(next, uint64(page.Next.Index))
	}
	x.Body = a.appendNext(b, here, next)
	return nil
}

// streamReads answers with all of them, a line each.
func (a *api) streamReads(x *Exchange, q ledger.ReadQuery) error {
	if err := x.Query.none("a stream has no pages", "limit", "cursor"); err != nil {
		return err
	}
	q.Limit = ledger.MaxPage
	principal := x.Principal
	page, err := a.service.Reads(x.Context(), &principal, &q)
	if err != nil {
		return err
	}
	x.Header()["Content-Type"] = []string{ndjson}
	x.Stream = func(ctx context.Context, out *Outlet) error {
		out.bounded = true
		for {
			var b []byte
			for i := range page.Reads {
				b = append(appendRead(b, &page.Reads[i]), '\n')
			}
			out.Put(b)
			if err := out.Flush(); err != nil || !page.More {
				return err
			}
			q.After = page.Next
			var err error
			if page, err = a.service.Reads(ctx, &principal, &q); err != nil {
				return err
			}
		}
	}
	return nil
}

// readQuery is the query of recorded reads, but for its place.
func (p Parameters) readQuery() (q ledger.ReadQuery, err error) {
	q.Actor = p["actor"]
	if v, ok := p["key_id"]; ok {
		if q.Key, err = uuid.Parse(v); err != nil || len(v) != 36 || q.Key == uuid.Nil {
			return q, invalid("key_id", "it must be the id of a key")
		}
	}
	if q.From, err = p.moment("from"); err != nil {
		return q, err
	}
	if q.Until, err = p.moment("until"); err != nil {
		return q, err
	}
	q.Limit, err = p.limit()
	return q, err
}

func appendRead(b []byte, r *events.Read) []byte {
	b = appendTimeMember(b, `{"time":null`, r.Time)
	b = append(b, `,"actor":`...)
	b = appendString(b, r.Actor)
	b = appendStringMember(b, `,"ip":null`, r.IP)
	b = appendStringMember(b, `,"user_agent":null`, r.UserAgent)
	b = appendStringMember(b, `,"request_id":null`, r.RequestID)
	b = append(b, `,"route":`...)
	b = appendString(b, r.Route)
	b = append(b, `,"query":`...)
	b = appendString(b, r.Asked)
	if r.KeyID == uuid.Nil {
		b = append(b, `,"key_id":null`...)
	} else {
		b = append(b, `,"key_id":"`...)
		b = append(appendUUID(b, r.KeyID), '"')
	}
	b = append(b, `,"status":`...)
	return append(strconv.AppendInt(b, int64(r.Status), 10), '}')
}
