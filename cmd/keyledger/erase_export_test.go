package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keyledger/client"
	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/audit"
)

// An export that is made after an erasure has no key of what was erased, whatever else one has: so not even an older file of
// leaves can be opened with it.
func TestExportsHaveNoKeyOfWhatWasErased(t *testing.T) {
	data := t.TempDir()
	start := func() (*serving, *client.Client) {
		t.Helper()
		s := serveHere(t, data)
		url, err := waitReady(data)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(url, client.NewToken(rootToken))
		if err != nil {
			t.Fatal(err)
		}
		return s, c
	}
	s, c := start()
	erased, err := c.CreateKey(t.Context(), client.CreateKey{Name: "Ada Lovelace", WorkspaceID: "beta"})
	for workspace, name := range map[string]string{"acme": "Grace Hopper", "beta": "Alan Turing"} {
		if err == nil {
			_, err = c.CreateKey(t.Context(), client.CreateKey{Name: name, WorkspaceID: workspace})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	s.end(t, data, exitOK)
	s, c = start() // the head at the start has all that was there
	before := exported(t, c)
	if _, err := c.EraseKey(t.Context(), erased.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.EraseWorkspace(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	s.end(t, data, exitOK)
	s, c = start()
	after := exported(t, c)
	s.end(t, data, exitOK)
	secret := strings.TrimSpace(string(content(t, filepath.Join(data, secretFile))))
	if got := namesIn(t, before, before, secret); !slices.Equal(got, []string{"Ada Lovelace", "Alan Turing", "Grace Hopper"}) {
		t.Errorf("with the keys of before: %q", got)
	}
	if got := namesIn(t, before, after, secret); !slices.Equal(got, []string{"Alan Turing", events.ErasedText, events.ErasedText}) {
		t.Errorf("with the keys of after: %q", got)
	}
}

// exported is a whole export.
func exported(t *testing.T, c *client.Client) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ledger.ndjson")
	x := exporter{client: c, progress: &progress{stderr: io.Discard}, file: file, from: 1}
	if err := x.run(t.Context(), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	return file
}

// namesIn are the names of keys in workspaces that the leaves of a file have, in order, as the keys in another one open them.
func namesIn(t *testing.T, file, from, secret string) (names []string) {
	t.Helper()
	keys, err := openKeys(t.Context(), from, secret)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := audit.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for record, err := range r.Records() {
		var e events.Event
		if err == nil {
			e, err = openedBy(&record, keys)
		}
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := e.Payload.(*events.Created); ok && p.Owner.Workspace != "" {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

func openedBy(record *audit.Record, keys *ledger.Personal) (events.Event, error) {
	leaf, err := record.Leaf()
	if err != nil {
		return events.Event{}, err
	}
	m, err := events.ParseLeaf(leaf)
	if err != nil {
		return events.Event{}, err
	}
	return events.Decode(&m, keys)
}
