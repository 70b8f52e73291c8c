package handlers

import (
	"context"
	"errors"
	"io"
	"math"
	"mime"
	"strconv"
	"strings"
	"time"

	"keyledger/events"
	"keyledger/ledger"
)

// Media types of streams of events.
const (
	eventStream = "text/event-stream"    // Server-Sent Events (WHATWG HTML, section 9.2)
	ndjson      = "application/x-ndjson" // one JSON object a line
)

// streamType is the media type of the stream that Accept headers ask for, empty when they ask for a page of JSON or for
// nothing in particular. The highest quality decides, then which comes first.
func streamType(accept []string) (media string) {
	best := 0.0
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, ok := parameters["q"]; ok {
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		if quality <= best {
			continue
		}
		switch name {
		case eventStream, ndjson:
			best, media = quality, name
		case "application/json", "application/*", "*/*":
			best, media = quality, ""
		}
	}
	return media
}

// follow answers with a stream of what is selected.
func (a *api) follow(x *Exchange, media string, q *ledger.Selection) error {
	if err := x.Query.none("a stream has no pages: use from", "limit", "cursor"); err != nil {
		return err
	}
	until, err := x.Query.oneOf("until", "now")
	if err != nil {
		return err
	}
	if q.From, err = resumeAt(x.Query, x.Request.Header["Last-Event-Id"]); err != nil {
		return err
	}
	q.Types, q.UntilNow = eventTypes(x.Query), until != ""
	sub, err := a.service.Subscribe(x.Context(), &x.Principal, *q)
	if err != nil {
		return err
	}
	x.Header()["Content-Type"] = []string{media}
	x.Stream = (&follower{
		sub:       sub,
		source:    a.source,
		sse:       media == eventStream,
		bounded:   q.UntilNow,
		heartbeat: x.server.config.Stream.Heartbeat,
		count:     x.server.metrics.streamed.Inc,
	}).run
	return nil
}

// resumeAt is the first sequence that is wanted: after Last-Event-ID, which a browser adds to the address it began
// with, else the parameter from; 0 when there is neither.
func resumeAt(p Parameters, last []string) (uint64, error) {
	const field = "Last-Event-ID"
	if len(last) > 1 {
		return 0, invalid(field, "the header is there twice")
	}
	if len(last) == 1 && last[0] != "" {
		n, err := strconv.ParseUint(last[0], 10, 64)
		if err != nil || n == math.MaxUint64 {
			return 0, invalid(field, "it must be the id of an event of a stream: a whole number")
		}
		return n + 1, nil
	}
	from, err := p.sequence("from", 0)
	if _, ok := p["from"]; ok {
		from = max(from, 1)
	}
	return from, err
}

// eventTypes is the parameter type: types with commas between them, with or without what they begin with in the exchange
// form.
func eventTypes(p Parameters) (types []events.Type) {
	if v, ok := p["type"]; ok {
		for name := range strings.SplitSeq(v, ",") {
			types = append(types, events.Type(strings.TrimPrefix(name, "keyledger.")))
		}
	}
	return types
}

// follower writes the events of a subscription.
type follower struct {
	sub       *ledger.Subscription
	source    string // of the events
	sse       bool   // else NDJSON
	bounded   bool   // it has an end
	heartbeat time.Duration
	count     func()    // an event
	written   time.Time // when something was last
}

// lookEvery is how often it is looked at least whether the principal may still have what comes.
const lookEvery = time.Second

// run writes until the subscription ends, or fails with what ended it before.
func (f *follower) run(ctx context.Context, out *Outlet) error {
	out.bounded = f.bounded
	if err := f.begin(out); err != nil {
		return err
	}
	for {
		page, err := f.sub.Next(ctx, min(lookEvery, f.heartbeat))
		switch {
		case errors.Is(err, io.EOF):
			f.place(out)
			return f.flush(out)
		case err != nil:
			return err
		case len(page) > 0:
			err = f.events(out, page)
		case time.Since(f.written) >= f.heartbeat:
			err = f.beat(out)
		}
		if err != nil {
			return err
		}
	}
}

// begin lets the client know at once that the stream is open.
func (f *follower) begin(out *Outlet) error {
	if f.sse {
		out.Put([]byte("retry: 1000\n")) // milliseconds, before a browser connects again
	}
	f.place(out)
	return f.flush(out)
}

// place tells, in a block without data, up to which id all that is wanted was sent: it counts as that of an event does
// (WHATWG HTML, section 9.2.6). So who loses the connection before the first event has missed nothing, and who wants
// little is not made to look through it all again.
func (f *follower) place(out *Outlet) {
	if f.sse {
		out.Put(append(strconv.AppendUint([]byte("id: "), f.sub.Seen(), 10), "\n\n"...))
	}
}

// beat shows that the stream is alive: a comment, or an empty line.
func (f *follower) beat(out *Outlet) error {
	if f.sse {
		out.Put([]byte(": heartbeat\n"))
		f.place(out)
	} else {
		out.Put([]byte("\n"))
	}
	return f.flush(out)
}

func (f *follower) events(out *Outlet, page []*ledger.Published) error {
	for _, p := range page {
		text, err := p.CloudEvent(f.source)
		if err != nil {
			return err
		}
		f.count()
		if f.sse {
			out.Put(append(strconv.AppendUint([]byte("id: "), p.Sequence, 10), "\ndata: "...))
			out.Put(text)
			out.Put([]byte("\n\n"))
		} else {
			out.Put(text)
			out.Put([]byte("\n"))
		}
	}
	return f.flush(out)
}

func (f *follower) flush(out *Outlet) error {
	f.written = time.Now()
	return out.Flush()
}
