package ledger

import (
	"encoding/json"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"keyledger/events"
)

// Create is the input of a create. Zero means absent.
type Create struct {
	Name        string
	Owner       Owner
	Scopes      []string
	Environment string // "live" when empty
	Type        string // "external" when empty
	Metadata    json.RawMessage
	NotBefore   time.Time
	ExpiresAt   time.Time
	Token       Secret // brought by the caller; minted when zero

	// Mint makes the token in another form than the ledger's; nil: the ledger's. It excludes Token.
	Mint Mint
	// ShortToken says that Token is a secret that the owner shares with others, not one to be verified here: it may
	// have 1 to MaxToken bytes of UTF-8 without control characters.
	ShortToken bool
	// UniqueName refuses a name that another such key of the same owner and type has which is not revoked:
	// CodeConflict with Field "name". It holds for the key from then on: a later Update of the name too is refused.
	UniqueName bool
	// Confined makes a key that acts inside its owner: see VerifyRequest.
	Confined bool
	// Lapsed lets ExpiresAt lie in the past: the key is expired from the start.
	Lapsed bool
}

// Mint makes a token of the id of its key and 256 random bits. The same arguments must give the same token, or the
// repeat of a command gives one that is not the key's: the time is in the id (a UUID of version 7). A token is 16 to
// 4096 bytes of printable ASCII without spaces.
type Mint func(id uuid.UUID, random [32]byte) (string, error)

// Issued is a key with its token, which is never shown again.
type Issued struct {
	Key   Key
	Token Secret
}

// DecideCreate decides on a new key with this id and token.
func DecideCreate(in *Create, id uuid.UUID, token Secret, now time.Time) (*events.Created, error) {
	if err := CheckOwner(&in.Owner); err != nil {
		return nil, err
	}
	if err := checkName("name", in.Name); err != nil {
		return nil, err
	}
	scopes, err := NewScopes(in.Scopes)
	if err != nil {
		return nil, err
	}
	environment := orDefault(in.Environment, Live)
	if err := checkEnvironment(environment); err != nil {
		return nil, err
	}
	keyType := orDefault(in.Type, TypeExternal)
	if err := checkType(keyType); err != nil {
		return nil, err
	}
	metadata, err := compactMetadata(in.Metadata)
	if err != nil {
		return nil, err
	}
	notBefore, expiry := moment(in.NotBefore), moment(in.ExpiresAt)
	if err := checkTime("not_before", notBefore); err != nil {
		return nil, err
	}
	if in.Lapsed && !expiry.IsZero() && !expiry.After(now) {
		err = checkTime("expires_at", expiry)
	} else {
		err = checkExpiry(expiry, notBefore, now)
	}
	if err != nil {
		return nil, err
	}
	return &events.Created{
		KeyID:       id,
		Owner:       in.Owner,
		Name:        in.Name,
		Scopes:      string(scopes),
		Environment: environment,
		KeyType:     keyType,
		Metadata:    metadata,
		NotBefore:   notBefore,
		ExpiresAt:   expiry,
		Digest:      token.Digest(),
		Hint:        token.Hint(),
		UniqueName:  in.UniqueName,
		Confined:    in.Confined,
	}, nil
}

func checkEnvironment(environment string) error {
	switch environment {
	case Live, Test:
		return nil
	}
	return invalid("environment", "must be live or test")
}

func checkType(keyType string) error {
	switch keyType {
	case TypeInternal, TypeExternal, TypeGitHub, TypeSlack:
		return nil
	}
	return invalid("type", "must be internal, external, github or slack")
}

// compactMetadata is metadata without white space, nil when it is empty. It refuses what is not one JSON object of
// unique names in UTF-8, or is longer than MaxMetadata when compact.
func compactMetadata(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	v := jsontext.Value(raw).Clone()
	err := v.Compact(jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	switch {
	case err != nil:
		return nil, invalid("metadata", "must be a JSON object of unique names in UTF-8")
	case string(v) == "null" || string(v) == "{}":
		return nil, nil
	case v.Kind() != '{':
		return nil, invalid("metadata", "must be a JSON object")
	case len(v) > MaxMetadata:
		return nil, invalid("metadata", "must be at most %d bytes", MaxMetadata)
	}
	return json.RawMessage(v), nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
