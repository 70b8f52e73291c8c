package imtegrate

import (
	"bytes"
	"net/http"
	"regexp"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"keyledger/handlers"
	"keyledger/handlers/fastapi"
	"keyledger/ledger"
)

// api is the API of keys.
type api struct {
	Config
	env *regexp.Regexp
}

// create is POST /v1/api-keys. As in FastAPI, a body that cannot be parsed is refused before the token is looked at,
// and what is wrong with its fields after it.
func (a *api) create(x *handlers.Exchange) error {
	text, err := x.RawInput()
	if err != nil {
		return err
	}
	body, err := fastapi.Body(x.Request.Header["Content-Type"], text)
	if err != nil {
		return err
	}
	token, err := x.Token()
	if err != nil {
		return err
	}
	if err := x.Authenticate(token); err != nil {
		return err
	}
	m := fastapi.NewModel(body)
	in := ledger.Create{
		Name:        m.Text("name", fastapi.TextRule{Required: true, Min: 2, Max: 120}),
		Scopes:      m.Texts("scopes"),
		Environment: m.Text("env", fastapi.TextRule{Default: ledger.Test, Pattern: a.env}),
		ExpiresAt:   x.Principal.ExpiresAt,
	}
	org, err := a.org(x)
	if err := fastapi.Join(err, m.Problems.Err()); err != nil {
		return err
	}
	in.Owner, in.Mint = x.Principal.Owner, mint(in.Environment)
	in.Owner.Org = org
	err = x.Once(func() error { return a.store(x, &in) }, org)
	return refused(err, body, org)
}

// store makes the key and answers with it.
func (a *api) store(x *handlers.Exchange, in *ledger.Create) error {
	issued, err := a.Service.Create(x.Context(), x.Call(), in)
	if err != nil {
		return err
	}
	x.Shows(&issued.Key)
	answer := newAPIKey(&issued.Key)
	answer.Token = issued.Token.Reveal()
	return x.WriteJSON(http.StatusCreated, &answer)
}

// mint makes tokens of an environment: ik_test_ or ik_live_, then what the ledger's own tokens have.
func mint(environment string) ledger.Mint {
	prefix := "ik" // the ledger adds _test
	if environment == ledger.Live {
		prefix = "ik_live"
	}
	return func(_ uuid.UUID, random [32]byte) (string, error) {
		token, err := ledger.MintToken(bytes.NewReader(random[:]), prefix, environment)
		return token.Reveal(), err
	}
}

// list is GET /v1/api-keys: all keys of the organization, revoked ones too, newest first.
func (a *api) list(x *handlers.Exchange) error {
	org, err := a.org(x)
	if err != nil {
		return err
	}
	x.Body = append(x.Body, '[')
	var room []ledger.Key
	q := ledger.Query{Org: org, Limit: ledger.MaxPage, Room: &room}
	for more := true; more; more = q.After != (ledger.Cursor{}) {
		page, err := a.Service.Keys(x.Context(), &x.Principal, &q)
		if err != nil {
			return err
		}
		for i := range page.Keys {
			text, err := json.Marshal(newAPIKey(&page.Keys[i]))
			if err != nil {
				return err
			}
			x.Body = append(append(x.Body, text...), ',')
		}
		q.After, room = page.Next, page.Keys
	}
	x.Body = append(bytes.TrimSuffix(x.Body, []byte(",")), ']', '\n')
	return nil
}

// revoke is POST /v1/api-keys/{id}/revoke.
func (a *api) revoke(x *handlers.Exchange) error {
	key, err := a.end(x)
	if err != nil {
		return err
	}
	return x.WriteJSON(http.StatusOK, newAPIKey(&key))
}

// remove is DELETE /v1/api-keys/{id}: a revocation too, the key stays in the list.
func (a *api) remove(x *handlers.Exchange) error {
	_, err := a.end(x)
	x.Status = http.StatusNoContent
	return err
}

// end revokes the key of the path. A key that is revoked already stays as it is; one of another organization is absent.
func (a *api) end(x *handlers.Exchange) (ledger.Key, error) {
	id, noID := fastapi.UUID(fastapi.Place("path", "id"), x.Var("id"))
	org, noOrg := a.org(x)
	if err := fastapi.Join(noID, noOrg); err != nil {
		return ledger.Key{}, err
	}
	call := x.Call()
	call.Principal.Owner.Org = org
	key, err := a.Service.Revoke(x.Context(), call, id, "")
	if err == nil {
		x.Shows(&key)
	}
	return key, err
}

// org is the organization that a request is about: the one that the caller's key belongs to, else the one that the
// caller names, else the default.
func (a *api) org(x *handlers.Exchange) (string, error) {
	bound, named := x.Principal.Owner.Org, x.Request.Header.Get(orgHeader)
	switch {
	case bound != "" && named != "" && named != bound:
		return "", &ledger.Error{Code: ledger.CodeNotFound, Detail: "no such organization"}
	case bound != "":
		return bound, nil
	case named != "":
		return named, nil
	case a.DefaultOrg != "":
		return a.DefaultOrg, nil
	}
	return "", fastapi.Problems{fastapi.Missing(orgPlace(), fastapi.Value{})}
}

const orgHeader = "X-Org-Id"

func orgPlace() []fastapi.Value { return fastapi.Place("header", "x-org-id") }
