package openlayer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"keyledger/handlers"
	"keyledger/ledger"
)

// key is a key as the vendor shows it. Absent members are null, as its clients expect, but for secret.
type key struct {
	ID                   string     `json:"id"`
	Name                 *string    `json:"name"`
	DateCreated          time.Time  `json:"dateCreated"`
	DateUpdated          time.Time  `json:"dateUpdated"`
	DateLastUsed         *time.Time `json:"dateLastUsed"`
	SecureKey            string     `json:"secureKey"`
	Status               string     `json:"status"`
	ExpiresAt            *time.Time `json:"expiresAt"`
	LastRotatedAt        *time.Time `json:"lastRotatedAt"`
	PreviousKeyExpiresAt *time.Time `json:"previousKeyExpiresAt"`
	Secret               string     `json:"secret,omitzero"` // of create and rotate only
}

// show is a key as it is at now.
func show(k *ledger.Key, now time.Time) key {
	out := key{
		ID:            k.ID.String(),
		Name:          present(k.Name),
		DateCreated:   k.CreatedAt,
		DateUpdated:   k.UpdatedAt,
		DateLastUsed:  present(k.Use.LastAt),
		SecureKey:     strings.Replace(k.Hint, "…", "...", 1),
		Status:        "expired",
		ExpiresAt:     present(k.ExpiresAt),
		LastRotatedAt: present(k.RotatedAt),
	}
	switch {
	case k.Status(now) != ledger.Active: // the vendor's only word for a key of which no secret is good
	case k.InGrace(now):
		out.Status, out.PreviousKeyExpiresAt = "rotating", &k.PreviousExpiresAt
	default:
		out.Status = "active"
	}
	return out
}

// present is nil for a zero value.
func present[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// createRequest is the body of a create.
type createRequest struct {
	Name      member[string]  `json:"name"`
	ExpiresAt member[instant] `json:"expiresAt"`
}

// renameRequest is the body of a rename.
type renameRequest struct {
	Name member[string] `json:"name"`
}

// rotateRequest is the body of a rotation.
type rotateRequest struct {
	ExpiresAt        member[instant] `json:"expiresAt"`
	GracePeriodHours int64           `json:"gracePeriodHours"`
}

// member is a member of a body that may be absent or null.
type member[T any] struct {
	set   bool
	value *T
}

// UnmarshalJSONFrom is called only for a member that is there.
func (m *member[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	m.set = true
	return json.UnmarshalDecode(d, &m.value)
}

// or is the value, otherwise when there is none.
func (m *member[T]) or(otherwise T) T {
	if m.value == nil {
		return otherwise
	}
	return *m.value
}

// instant is a time as the vendor's clients write it: RFC 3339, or the same without a zone for UTC.
type instant time.Time

// UnmarshalText refuses the year 1, which programs send by mistake: to the ledger it would mean "never".
func (i *instant) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", string(text))
	}
	if err == nil && t.IsZero() {
		err = errors.New("the year is 1")
	}
	*i = instant(t.UTC())
	return err
}

// decode reads the body, whatever it is declared to be: the vendor's documentation has curl declare a form. An empty
// body is an empty object; unknown members are ignored.
func decode(x *handlers.Exchange, in any) error {
	body, err := x.RawInput()
	if err != nil {
		return err
	}
	return decodeBody(body, in)
}

func decodeBody(body []byte, in any) error {
	text := bytes.TrimLeft(body, " \t\r\n")
	if len(text) == 0 {
		return nil
	}
	if text[0] != '{' {
		return invalid("", "the body must be a JSON object")
	}
	err := json.Unmarshal(body, in)
	var semantic *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &semantic):
		name := strings.TrimPrefix(string(semantic.JSONPointer), "/")
		return invalid(name, "must be %s", wanted(name))
	case errors.Is(err, jsontext.ErrDuplicateName):
		return invalid("", "a member of the body is there twice")
	}
	where := ""
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		where = fmt.Sprintf(" at byte %d", syntactic.ByteOffset)
	}
	return invalid("", "the body is malformed JSON%s", where)
}

// wanted says what a member of a body takes.
func wanted(name string) string {
	switch name {
	case "expiresAt":
		return "a time in the future, such as 2030-01-31T12:00:00Z, or null"
	case "gracePeriodHours":
		return "a whole number of hours"
	default:
		return "a string or null"
	}
}
