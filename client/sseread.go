package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	sseSilence = 45 * time.Second // of three heartbeats of the server: then the connection is given up
	sseLine    = 4 << 20          // bytes of one line
)

// subscribeSSE reads events over HTTP, as Server-Sent Events (WHATWG HTML, section 9.2).
func (c *Client) subscribeSSE(ctx context.Context, filter *EventFilter, at *place, give func(Event) error) error {
	h := *c.http
	h.Timeout = 0 // a stream has no end
	r := &sseReader{client: c, http: &h, filter: filter, at: at, give: give}
	return resume(ctx, at, r.session, filter.lost)
}

// sseReader reads the events of an owner, one connection after another.
type sseReader struct {
	client *Client
	http   *http.Client
	filter *EventFilter
	at     *place
	give   func(Event) error
	again  bool // the first event is one that was read before
}

// session connects and reads until something fails.
func (r *sseReader) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(sseSilence, cancel)
	defer silence.Stop()
	req, err := r.client.newRequest(ctx, get("v1/events", r.query()), nil)
	if err != nil {
		return final(fmt.Errorf("client: %w", err))
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := r.http.Do(req)
	if err != nil {
		return settled(fmt.Errorf("%w: %w", ErrNoAnswer, err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, r.client.maxResponse)) // what is missing of it is not said
		return settled(newError(resp, body))
	}
	if name := resp.Header.Get("Content-Type"); !strings.HasPrefix(name, "text/event-stream") {
		return final(fmt.Errorf("client: the server answers with %q instead of a stream of events", name))
	}
	r.again = r.at.last > 0
	err = r.read(resp.Body, func() { silence.Reset(sseSilence) })
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case r.again:
		return final(ErrLedger)
	case r.filter.UntilNow:
		return errStop
	}
	return err
}

func (r *sseReader) query() url.Values {
	v := url.Values{}
	set(v, "workspace_id", r.filter.WorkspaceID)
	set(v, "org_id", r.filter.OrgID)
	set(v, "agent_id", r.filter.AgentID)
	set(v, "type", strings.Join(r.filter.Types, ","))
	if from := r.at.from(); from > 0 {
		v.Set("from", strconv.FormatUint(from, 10))
	}
	if r.filter.UntilNow {
		v.Set("until", "now")
	}
	return v
}

// read takes blocks until the body ends: io.EOF when it ends between two of them. alive is called for every line.
func (r *sseReader) read(body io.Reader, alive func()) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, sseLine)
	var id string
	var data []byte
	for lines.Scan() {
		alive()
		line := lines.Bytes()
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0:
			if err := r.block(id, data); err != nil {
				return err
			}
			id, data = "", nil
		case string(name) == "id":
			id = string(value)
		case string(name) == "data":
			data = append(data, value...)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return final(fmt.Errorf("client: a line of the stream is longer than %d bytes", sseLine))
	} else if err != nil {
		return err
	}
	if id != "" || data != nil {
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

// block takes an event, or the news up to which sequence there is none.
func (r *sseReader) block(id string, data []byte) error {
	if data == nil {
		return r.passed(id)
	}
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return final(fmt.Errorf("client: event %s: %w", id, err))
	}
	number, err := uuid.Parse(e.ID)
	if err != nil {
		return final(fmt.Errorf("client: event %s: its id: %w", id, err))
	}
	fresh, err := r.at.pass(e.Sequence, number, &r.again)
	if err != nil || !fresh {
		return err
	}
	return r.give(e)
}

// passed takes the news that up to a sequence there is nothing more that is wanted.
func (r *sseReader) passed(id string) error {
	if id == "" {
		return nil // a heartbeat without a place
	}
	seen, err := strconv.ParseUint(id, 10, 64)
	if err != nil || seen == Now {
		return final(fmt.Errorf("client: the server gives the place %q", id))
	}
	if r.again && seen >= r.at.last {
		return final(ErrLedger)
	}
	r.at.next = max(r.at.next, seen+1)
	return nil
}
