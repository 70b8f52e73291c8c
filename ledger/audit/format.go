package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
)

// What the first line of an export says that it is.
const (
	Format  = "keyledger.export"
	Version = 2
)

// MaxLine is how long a line is at most, in bytes, its line feed included: a leaf has less than 64 KiB, and each byte of a
// text takes six at most in the exchange form.
const MaxLine = 1 << 20

// Header is the first line of an export.
type Header struct {
	Format      string      `json:"format"`
	Version     int         `json:"version"`
	Origin      string      `json:"origin"`
	Source      string      `json:"source"`
	VerifierKey string      `json:"verifier_key"`
	From        uint64      `json:"from"`
	Before      []tlog.Hash `json:"before"`
}

// Footer is the last line of an export.
type Footer struct {
	Checkpoint string      `json:"checkpoint"`
	To         uint64      `json:"to"` // From-1 when there is no event in the file
	After      []tlog.Hash `json:"after"`
}

// Secret is a line of a secret that personal data is sealed with.
type Secret struct {
	Place string `json:"secret"` // in the vault
	Value []byte `json:"value"`  // sealed with a key that follows from the secret of the nodes
}

// check refuses what cannot be in a vault.
func (s *Secret) check() error {
	if place, err := hex.DecodeString(s.Place); err != nil || len(place) != 32 || len(s.Value) == 0 {
		return errors.New("not a secret of personal data")
	}
	return nil
}

// Record is the line of one event, or its leaf alone: see LeafRecord.
type Record struct {
	Number int    // of the line, from 1
	Line   []byte // without its line feed
	leaf   []byte // where there is no line
}

// LeafRecord is the record of an event of which there is no line: from the ledger itself.
func LeafRecord(leaf []byte) Record { return Record{leaf: leaf} }

// Beginnings of lines, and of the last member of an event's.
const (
	eventStart  = `{"specversion":`
	secretStart = `{"secret":`
	footerStart = `{"checkpoint":`
	leafMember  = `,"leaf":"`
	lineEnd     = `"}`
)

// AppendRecord appends the line of the event that a leaf is of, with its line feed. Personal data is opened by o; nil: it
// reads "sealed". It fails with an *events.UnknownError for an event of a newer program, and an *events.DecodeError for one
// that is damaged.
func AppendRecord(dst, leaf []byte, o events.Opener, source string) ([]byte, error) {
	m, err := events.ParseLeaf(leaf)
	if err != nil {
		return dst, err
	}
	e, err := events.Decode(&m, o)
	if err != nil {
		return dst, err
	}
	return appendRecord(dst, leaf, &e, source)
}

func appendRecord(dst, leaf []byte, e *events.Event, source string) ([]byte, error) {
	line, err := events.AppendCloudEvent(dst, e, source)
	if err != nil {
		return dst, err
	}
	line = append(line[:len(line)-1], leafMember...)
	line = base64.StdEncoding.AppendEncode(line, leaf)
	return append(append(line, lineEnd...), '\n'), nil
}

// Leaf is the leaf on the line.
func (r *Record) Leaf() ([]byte, error) {
	if r.leaf != nil {
		return r.leaf, nil
	}
	if text, ok := bytes.CutSuffix(r.Line, []byte(lineEnd)); ok {
		if start := bytes.LastIndex(text, []byte(leafMember)); start >= 0 {
			return decodeLeaf(text[start+len(leafMember):])
		}
	}
	var line struct { // who has passed it on has put the members in another order
		Leaf string `json:"leaf"`
	}
	if err := json.Unmarshal(r.Line, &line); err != nil {
		return nil, fmt.Errorf("not the line of an event: %w", err)
	}
	return decodeLeaf([]byte(line.Leaf))
}

func decodeLeaf(text []byte) ([]byte, error) {
	leaf := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(leaf, text)
	if err == nil && n == 0 {
		err = errors.New("it is absent")
	}
	if err != nil {
		return nil, fmt.Errorf("leaf: %w", err)
	}
	return leaf[:n], nil
}

// Event is the event on the line, as its leaf says; its personal data, which is sealed there, as the line says.
func (r *Record) Event() (events.Event, error) {
	leaf, err := r.Leaf()
	if err != nil {
		return events.Event{}, err
	}
	m, err := events.ParseLeaf(leaf)
	if err != nil {
		return events.Event{}, err
	}
	return events.Decode(&m, r.opener(nil))
}
