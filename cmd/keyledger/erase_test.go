package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyledger/client"
	"keyledger/ledger/jetstream"
)

// filesWith are the files below a folder that hold a text.
func filesWith(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil // a server at work removes files
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			files = append(files, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What was erased is in no file of the data folder any more. In the streams it never was.
func TestErasedIsInNoFile(t *testing.T) {
	data := t.TempDir()
	start := func() (*serving, *client.Client) {
		t.Helper()
		s := serveHere(t, data)
		url, err := waitReady(data)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(url, client.NewToken(rootToken), client.WithUserAgent("Analytical-Engine/1.0"))
		if err != nil {
			t.Fatal(err)
		}
		return s, c
	}
	s, c := start()
	// The values have no four letters in common: blocks of the views are compressed, and a repetition would be found nowhere.
	one, err := c.CreateKey(t.Context(), client.CreateKey{
		Name: "Ada Lovelace", WorkspaceID: "acme", AgentID: "bot", AgentName: "Charles Babbage", Metadata: []byte(`{"mail":"ada@example.com"}`),
	})
	if err == nil {
		_, err = c.RevokeKey(t.Context(), one.ID, "resigned in May")
	}
	if err == nil {
		_, err = c.CreateKey(t.Context(), client.CreateKey{Name: "Grace Hopper", WorkspaceID: "acme", OrgID: "navy"})
	}
	if err == nil {
		_, err = c.RegisterAgent(t.Context(), client.RegisterAgent{Name: "Alan Turing", WorkspaceID: "acme"})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.end(t, data, exitOK) // and so the views are on disk
	ofKey := []string{"Ada Lovelace", "Charles Babbage", "ada@example.com", "resigned in May"}
	all := append([]string{"Grace Hopper", "Alan Turing"}, ofKey...)
	for _, text := range all {
		if len(filesWith(t, filepath.Join(data, viewsFolder), text)) == 0 {
			t.Errorf("%q is in no file of the views: this test looks in the wrong place", text)
		}
	}
	for _, text := range append(all, "Analytical-Engine") {
		for _, file := range filesWith(t, filepath.Join(data, "nats"), text) {
			if !strings.Contains(file, jetstream.UsageStream) { // where uses came from is there in the clear, until it is full
				t.Errorf("%q is in %s", text, file)
			}
		}
	}
	gone := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			deadline := time.Now().Add(patience)
			for len(filesWith(t, data, text)) > 0 {
				if time.Now().After(deadline) {
					t.Fatalf("%q is still there", text)
				}
				pause()
			}
		}
	}
	s, c = start()
	if _, err := c.EraseKey(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	gone(ofKey...)
	if _, err := c.EraseWorkspace(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	gone(all...)
	s.end(t, data, exitOK)
	for range 2 {
		for _, text := range all {
			if files := filesWith(t, data, text); len(files) > 0 {
				t.Errorf("%q is in %v after the stop", text, files)
			}
		}
		s, _ = start()
		s.end(t, data, exitOK)
	}
}
