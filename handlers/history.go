package handlers

import (
	"encoding/binary"

	"keyledger/events"
	"keyledger/ledger"
)

// keyEvents is GET /v1/keys/{id}/events: the history of a key, oldest first.
func (a *api) keyEvents(x *Exchange) error {
	id, err := x.KeyID()
	if err != nil {
		return err
	}
	if media := streamType(x.Request.Header["Accept"]); media != "" {
		return a.follow(x, media, &ledger.Selection{Key: id})
	}
	return a.history(x, list(x.route.Path, id.String(), x.Query), func(from uint64, limit int) ([]events.Event, error) {
		return a.service.KeyEvents(x.Context(), &x.Principal, id, from, limit)
	})
}

// events is GET /v1/events: the history of an owner, oldest first.
func (a *api) events(x *Exchange) error {
	p := x.Query
	owner := ledger.Owner{Workspace: p["workspace_id"], Org: p["org_id"], AgentID: p["agent_id"]}
	if media := streamType(x.Request.Header["Accept"]); media != "" {
		return a.follow(x, media, &ledger.Selection{Owner: owner})
	}
	return a.history(x, list(x.route.Path, "", p), func(from uint64, limit int) ([]events.Event, error) {
		return a.service.Events(x.Context(), &x.Principal, owner, from, limit)
	})
}

// history answers one page of events as CloudEvents. The next page begins after the last event of a full one.
func (a *api) history(x *Exchange, here []byte, read func(from uint64, limit int) ([]events.Event, error)) error {
	if err := x.Query.none("it is for a stream: Accept: "+eventStream+", or "+ndjson, "type", "until"); err != nil {
		return err
	}
	limit, err := x.Query.limit()
	if err != nil {
		return err
	}
	from, err := a.firstSequence(x.Query, here)
	if err != nil {
		return err
	}
	page, err := read(from, limit)
	if err != nil {
		return err
	}
	b := append(x.Body, `{"data":[`...)
	for i := range page {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = events.AppendCloudEvent(b, &page[i], a.source); err != nil {
			return err
		}
	}
	var next []byte
	if len(page) == limit {
		next = binary.BigEndian.AppendUint64(nil, page[limit-1].Sequence+1)
	}
	x.Body = a.appendNext(b, here, next)
	return nil
}

// firstSequence is where a page of events begins: at the place of its cursor, else at the parameter from, else at 1.
func (a *api) firstSequence(p Parameters, here []byte) (uint64, error) {
	place, err := a.cursors.open(here, p["cursor"])
	if err != nil {
		return 0, err
	}
	if len(place) == 8 {
		return binary.BigEndian.Uint64(place), nil
	}
	return p.sequence("from", 1)
}
