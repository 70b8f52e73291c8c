package agentex

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"keyledger/handlers"
	"keyledger/ledger"
)

// create is POST /agent_api_keys.
func (d *dialect) create(x *handlers.Exchange) error {
	f, err := readBody(x)
	if err != nil {
		return err
	}
	by := agentOf(f)
	name := f.limited("name", ledger.MaxName)
	keyType := f.choice("api_key_type", ledger.TypeExternal, keyTypes()...)
	token := ledger.NewSecret(f.optional("api_key"))
	if err := f.err(); err != nil {
		return err
	}
	agent, err := d.agent(x, by, "create an")
	if err != nil {
		return err
	}
	return x.Once(func() error {
		issued, err := d.issue(x, &agent, &ledger.Create{Name: name, Type: keyType, Token: token}, "api_key")
		if isTaken(err) {
			return taken(member(keyType) + " agent API key '" + name + "' already exists for agent ID " + agent.ID + ".")
		}
		if err != nil {
			return err
		}
		x.Shows(&issued.Key)
		return x.WriteJSON(http.StatusOK, createdKey{wireKey(&issued.Key), issued.Token.Reveal()})
	})
}

// list is GET /agent_api_keys.
func (d *dialect) list(x *handlers.Exchange) error {
	f := readQuery(x)
	by := agentOf(f)
	limit := f.number("limit", 50, ledger.MaxPage)
	page := f.number("page_number", 1, 0)
	if err := f.err(); err != nil {
		return err
	}
	agent, err := d.agent(x, by, "list")
	if err != nil {
		return err
	}
	keys, err := d.page(x, &agent, limit, page)
	if err != nil {
		return err
	}
	return x.WriteJSON(http.StatusOK, keys)
}

// page is one page of the keys of an agent, oldest first. Pages are numbered, so it looks at all the keys before it.
func (d *dialect) page(x *handlers.Exchange, agent *ledger.Agent, limit, page int64) ([]apiKey, error) {
	keys := []apiKey{}
	last := min(page, 1<<32) * limit // a page beyond is empty anyway
	first := last - limit
	q := ledger.Query{
		Workspace: agent.Workspace, Org: agent.Org, Agent: agent.ID,
		NotRevoked: true, OldestFirst: true, Limit: int(min(last, ledger.MaxPage)),
	}
	for at := int64(0); ; {
		found, err := d.Service.Keys(x.Context(), &x.Principal, &q)
		if err != nil {
			return nil, err
		}
		for i := range found.Keys {
			k := &found.Keys[i]
			if !isOf(agent, k) {
				continue
			}
			if at++; at > first && at <= last {
				x.Saw(k.Sequence)
				keys = append(keys, wireKey(k))
			}
		}
		if q.After = found.Next; at >= last || found.Next == (ledger.Cursor{}) {
			return keys, nil
		}
	}
}

// get is GET /agent_api_keys/{id}.
func (d *dialect) get(x *handlers.Exchange) error {
	id, err := pathText(x, "id")
	if err != nil {
		return err
	}
	var k ledger.Key
	keyID, err := x.KeyID()
	if err == nil {
		k, err = d.Service.Key(x.Context(), &x.Principal, keyID)
	}
	switch code := ledger.CodeOf(err); {
	case code == ledger.CodeForbidden:
		return absent("Agent api_key not found.")
	case code == ledger.CodeNotFound, err == nil && !reaches(&x.Principal, &k):
		return absent("Item with id '" + id + "' does not exist.")
	case err != nil:
		return err
	}
	x.Shows(&k)
	return x.WriteJSON(http.StatusOK, wireKey(&k))
}

// delete is DELETE /agent_api_keys/{id}. A key that is not there is deleted already.
func (d *dialect) delete(x *handlers.Exchange) error {
	id, err := pathText(x, "id")
	if err != nil {
		return err
	}
	if err := ledger.Allow(&x.Principal, ledger.ScopeRevoke, &x.Principal.Owner); err != nil {
		return err
	}
	return x.Once(func() error {
		var k ledger.Key
		keyID, err := x.KeyID()
		if err == nil {
			k, err = d.Service.Key(x.Context(), &x.Principal, keyID)
		}
		if err == nil && reaches(&x.Principal, &k) {
			err = d.revoke(x, &k)
		}
		if err != nil && ledger.CodeOf(err) != ledger.CodeNotFound {
			return err
		}
		return x.WriteJSON(http.StatusOK, "Agent API key with ID "+id+" deleted")
	})
}

// getNamed is GET /agent_api_keys/name/{name}.
func (d *dialect) getNamed(x *handlers.Exchange) error {
	k, _, err := d.named(x, "get an")
	if err != nil {
		return err
	}
	x.Shows(&k)
	return x.WriteJSON(http.StatusOK, wireKey(&k))
}

// deleteNamed is DELETE /agent_api_keys/name/{name}.
func (d *dialect) deleteNamed(x *handlers.Exchange) error {
	return x.Once(func() error {
		k, name, err := d.named(x, "delete an")
		if err != nil {
			return err
		}
		if err := d.revoke(x, &k); err != nil {
			return err
		}
		return x.WriteJSON(http.StatusOK, "Agent api_key '"+name+"' deleted")
	})
}

// named is the key whose name is in the path, and that name.
func (d *dialect) named(x *handlers.Exchange, doing string) (ledger.Key, string, error) {
	name, err := pathText(x, "name")
	if err != nil {
		return ledger.Key{}, "", err
	}
	f := readQuery(x)
	by := agentOf(f)
	keyType := f.choice("api_key_type", ledger.TypeExternal, keyTypes()...)
	if err := f.err(); err != nil {
		return ledger.Key{}, "", err
	}
	var k ledger.Key
	agent, err := d.agent(x, by, doing)
	if err == nil {
		k, err = d.Service.KeyByName(x.Context(), &x.Principal, ownerOf(&agent), keyType, name)
		if ledger.CodeOf(err) == ledger.CodeNotFound {
			err = absent("Agent api_key not found.")
		}
	}
	if ledger.CodeOf(err) == ledger.CodeForbidden {
		err = absent("Agent api_key not found.")
	}
	return k, name, err
}

// revoke deletes a key. One that was revoked meanwhile is deleted too.
func (d *dialect) revoke(x *handlers.Exchange, k *ledger.Key) error {
	revoked, err := d.Service.Revoke(x.Context(), x.Call(), k.ID, "deleted")
	if ledger.CodeOf(err) == ledger.CodeConflict {
		if now, again := d.Service.Key(x.Context(), &x.Principal, k.ID); again == nil && !now.RevokedAt.IsZero() {
			return nil
		}
	}
	if err != nil {
		return err
	}
	x.Shows(&revoked)
	return nil
}

// pathText is a variable of the path. One with a slash is no path of the original's.
func pathText(x *handlers.Exchange, name string) (string, error) {
	text := x.Var(name)
	if text == "" || strings.Contains(text, "/") || !utf8.ValidString(text) {
		return "", notFound()
	}
	return text, nil
}
