package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyledger/client"
	"keyledger/events"
	"keyledger/ledger/audit"
)

// export exports the ledger of a node to a file.
func (p *pristine) export(t *testing.T, n *node) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ledger.ndjson")
	c, err := client.New(n.url, client.NewToken(rootToken))
	if err != nil {
		t.Fatal(err)
	}
	x := exporter{client: c, progress: &progress{stderr: io.Discard}, file: file, from: 1}
	if err := x.run(t.Context(), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	return file
}

// newImporter imports a file into a folder, with the secret of the ledger that it is of.
func (p *pristine) newImporter(t *testing.T, file, data string) *importer {
	t.Helper()
	x := &importer{name: file, givenKey: p.key, stderr: io.Discard, progress: &progress{stderr: io.Discard}}
	x.config.data, x.config.secretFile = data, filepath.Join(p.data, secretFile)
	if err := x.prepare(); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestInterruptedImport: what an import has left when it was interrupted is not served, not taken for another import's, and
// continued. What is whole then is the ledger that was exported.
func TestInterruptedImport(t *testing.T) {
	p := newPristine(t, 2500, 1)
	n := p.start(t, p.data)
	file := p.export(t, n)
	p.stop(t, n)
	restored := filepath.Join(memoryFolder(t), "restored")

	p.interrupted(t, p.newImporter(t, file, restored))
	refused, _, err := startNode(t.Context(), restored)
	if !errors.Is(err, errUnfinishedImport) {
		t.Fatalf("the unfinished ledger is served: %v", err)
	}
	p.stop(t, refused)
	if err := os.Rename(filepath.Join(restored, importFile), filepath.Join(restored, "aside")); err != nil {
		t.Fatal(err)
	}
	if err := p.newImporter(t, file, restored).run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "is not empty: it has 1500 events") {
		t.Errorf("an import into a ledger with events: %v", err)
	}
	if err := os.Rename(filepath.Join(restored, "aside"), filepath.Join(restored, importFile)); err != nil {
		t.Fatal(err)
	}
	if err := p.newImporter(t, file, restored).run(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	n = p.start(t, restored)
	defer p.stop(t, n)
	if err := p.lookUp(n); err != nil {
		t.Error(err)
	}
	if found, err := p.verify(t.Context(), n.url); err != nil || found != "" {
		t.Errorf("verify: %q, %v", found, err)
	}
	if key := n.heads.VerifierKey(); key != p.key {
		t.Errorf("heads are signed by %s, and were by %s", key, p.key)
	}
}

// interrupted is an import that ends after 1500 events.
func (p *pristine) interrupted(t *testing.T, x *importer) {
	t.Helper()
	f, err := os.Open(x.name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := x.verify(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	n := newNode(&x.config, io.Discard)
	defer n.undo.run(context.WithoutCancel(t.Context()))
	err = errors.Join(x.takeFolder(n), n.openLedger(t.Context()))
	if err == nil {
		err = x.mark(t.Context(), n)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := n.events.Restore(t.Context(), firstMessages(t, x.name, 1500)); err != nil {
		t.Fatal(err)
	}
}

// firstMessages are the first n messages of an export.
func firstMessages(t *testing.T, file string, n int) (list []events.Message) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := audit.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for len(list) < n {
		record, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := record.Leaf()
		if err != nil {
			t.Fatal(err)
		}
		m, err := events.ParseLeaf(leaf)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}
