package handlers

import (
	"slices"

	"keyledger/ledger"
)

// listKeys is GET /v1/keys. The other lists are the same with one owner in the path.
func (a *api) listKeys(x *Exchange) error { return a.keys(x, "") }

func (a *api) listWorkspaceKeys(x *Exchange) error { return a.keys(x, "workspace_id") }
func (a *api) listOrgKeys(x *Exchange) error       { return a.keys(x, "org_id") }
func (a *api) listAgentKeys(x *Exchange) error     { return a.keys(x, "agent_id") }

// keyFilters are the parameters of a list of keys, without the one that the path of the list gives.
func keyFilters(given string) []string {
	names := []string{"workspace_id", "org_id", "agent_id", "peer_id", "session_id", "status", "environment", "type", "scope",
		"name", "used_before", "unused_since", "limit", "cursor", "at", "at_seq"}
	return slices.DeleteFunc(names, func(name string) bool { return name == given })
}

// keys answers one page of keys, of now or as of a moment. owner names the parameter that the path gives.
func (a *api) keys(x *Exchange, owner string) error {
	p := x.Query
	if owner != "" {
		if p == nil {
			p = make(Parameters, 1)
		}
		p[owner] = x.Var("id")
	}
	q, err := p.keyQuery()
	if err != nil {
		return err
	}
	here := list(x.route.Path, "", p)
	place, err := a.cursors.open(here, p["cursor"])
	if err != nil {
		return err
	}
	if q.After, err = keyCursor(place); err != nil {
		return err
	}
	return a.asOf(x, func(then *api) error { return then.list(x, &q, here) })
}

// list answers one page of keys. here names the list in cursors.
func (a *api) list(x *Exchange, q *ledger.Query, here []byte) error {
	q.Now = a.now()
	q.Room = &x.room
	page, err := a.service.Keys(x.Context(), &x.Principal, q)
	if err != nil {
		return err
	}
	x.room = page.Keys
	b := append(x.Body, `{"data":[`...)
	for i := range page.Keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendKey(b, &page.Keys[i], q.Now)
	}
	var next []byte
	if page.Next != (ledger.Cursor{}) {
		next = keyPlace(page.Next)
	}
	x.Body = a.appendNext(b, here, next)
	return nil
}

// appendNext ends a page with the cursor of the next one, null when there is none.
func (a *api) appendNext(b, list, place []byte) []byte {
	b = append(b, `],"next_cursor":`...)
	if place == nil {
		b = append(b, `null`...)
	} else {
		b = appendString(b, a.cursors.seal(list, place))
	}
	return append(b, '}', '\n')
}

// keyQuery is the query of a list of keys, but for its place.
func (p Parameters) keyQuery() (q ledger.Query, err error) {
	if p["at"] != "" || p["at_seq"] != "" {
		if err := p.none("uses of keys are not in the ledger", "used_before", "unused_since"); err != nil {
			return q, err
		}
	}
	q = ledger.Query{
		Workspace:  p["workspace_id"],
		Org:        p["org_id"],
		Agent:      p["agent_id"],
		Peer:       p["peer_id"],
		Session:    p["session_id"],
		Scope:      p["scope"],
		NamePrefix: p["name"],
	}
	if q.Limit, err = p.limit(); err != nil {
		return q, err
	}
	status, err := p.oneOf("status", string(ledger.Active), string(ledger.Scheduled), string(ledger.Disabled),
		string(ledger.Expired), string(ledger.Revoked))
	if err != nil {
		return q, err
	}
	q.Status = ledger.Status(status)
	if q.Environment, err = p.oneOf("environment", ledger.Live, ledger.Test); err != nil {
		return q, err
	}
	if q.Type, err = p.oneOf("type", ledger.TypeInternal, ledger.TypeExternal, ledger.TypeGitHub,
		ledger.TypeSlack); err != nil {
		return q, err
	}
	if q.UsedBefore, err = p.moment("used_before"); err != nil {
		return q, err
	}
	q.UnusedSince, err = p.moment("unused_since")
	return q, err
}
