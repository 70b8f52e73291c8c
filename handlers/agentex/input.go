package agentex

import (
	"errors"

	"keyledger/handlers"
	"keyledger/handlers/fastapi"
	"keyledger/ledger"
)

// readBody reads the body: one JSON object, declared as JSON.
func readBody(x *handlers.Exchange) (*fastapi.Model, error) {
	text, err := x.RawInput()
	if err != nil {
		return nil, err
	}
	body, err := fastapi.StrictBody(x.Request.Header["Content-Type"], text)
	var problems fastapi.Problems
	switch {
	case errors.As(err, &problems):
		return nil, wrong(problems...)
	case err != nil:
		return nil, framework(ledger.CodeInvalid, fastapi.BodyDetail)
	}
	return fastapi.NewModel("body", body), nil
}

// readQuery reads the query.
func readQuery(x *handlers.Exchange) *fastapi.Model {
	return fastapi.NewModel("query", fastapi.Query(x.Request.URL.RawQuery))
}

// required is a string that must be there.
func required(m *fastapi.Model, name string) string {
	return m.Text(name, fastapi.TextRule{Required: true})
}

// optional is a string that may be absent or null: then it is empty.
func optional(m *fastapi.Model, name string) string {
	return m.Text(name, fastapi.TextRule{Nullable: true})
}

// keyName is the name of a key that is to be made.
func keyName(m *fastapi.Model) string {
	return m.Text("name", fastapi.TextRule{Required: true, Max: ledger.MaxName})
}
