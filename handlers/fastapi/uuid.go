package fastapi

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// UUID reads a UUID at a place as pydantic does: with hyphens, without, in braces or after "urn:uuid:", in any case.
// Its error is Problems of type uuid_parsing.
func UUID(place []Value, text string) (uuid.UUID, error) {
	switch len(text) { // uuid.Parse takes other wrappings of these lengths too
	case 32, 36:
	case 38:
		if text[0] != '{' || text[37] != '}' {
			return uuid.UUID{}, badUUID(place, text)
		}
	case 45:
		if !strings.HasPrefix(text, urn) {
			return uuid.UUID{}, badUUID(place, text)
		}
	default:
		return uuid.UUID{}, badUUID(place, text)
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.UUID{}, badUUID(place, text)
	}
	return id, nil
}

const urn = "urn:uuid:"

func badUUID(place []Value, text string) error {
	why := uuidFlaw(strings.ToValidUTF8(text, "\ufffd"))
	return Problems{{
		Type:  "uuid_parsing",
		Loc:   place,
		Msg:   "Input should be a valid UUID, " + why,
		Input: Text(text),
		Ctx:   Record(Member{"error", Text(why)}),
	}}
}

// uuidFlaw says why a text is no UUID, in the words of the parser that pydantic uses. Places are bytes counted from 1.
func uuidFlaw(text string) string {
	body, skipped, plain := text, 0, true
	if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") && len(text) > 1 {
		body, skipped, plain = text[1:len(text)-1], 1, false
	} else if rest, ok := strings.CutPrefix(text, urn); ok {
		body, skipped, plain = rest, len(urn), false
	}
	for i, r := range body {
		if !strings.ContainsRune("0123456789abcdefABCDEF-", r) {
			return fmt.Sprintf("invalid character: found `%c` at %d", r, skipped+i+1)
		}
	}
	groups := strings.Split(body, "-")
	switch {
	case len(groups) == 1 && plain:
		return fmt.Sprintf("invalid length: expected length 32 for simple format, found %d", len(text))
	case len(groups) != 5:
		return fmt.Sprintf("invalid group count: expected 5, found %d", len(groups))
	}
	for i, want := range [...]int{8, 4, 4, 4, 12} {
		if len(groups[i]) != want {
			return fmt.Sprintf("invalid group length in group %d: expected %d, found %d", i, want, len(groups[i]))
		}
	}
	return "failed to parse a UUID" // cannot be: that is one
}
