package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// rewritten puts another history into a data folder, as who has all rights there can: with NATS itself, so that every checksum
// is right. heads also makes an end of all heads that the operator's side has kept, and of the views.
func rewritten(t *testing.T, data string, heads bool, change func([]events.Message) []events.Message) {
	t.Helper()
	server, err := jetstream.Embed(jetstream.EmbedOptions{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	nc, err := server.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), jetstream.LedgerStream)
	if err != nil {
		t.Fatal(err)
	}
	messages := change(readAll(t, server))
	for i := range messages {
		messages[i].Sequence = uint64(i + 1)
	}
	gone := []string{jetstream.LedgerStream}
	if heads {
		gone = append(gone, jetstream.HeadsStream)
		remove(t, filepath.Join(data, viewsFolder))
		if err := os.Remove(filepath.Join(data, headFile)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range gone {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.CreateStream(t.Context(), stream.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	log, err := jetstream.Open(t.Context(), nc, jetstream.Options{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := log.Restore(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
}

// readAll reads the whole ledger.
func readAll(t *testing.T, server *jetstream.Server) (all []events.Message) {
	t.Helper()
	nc, err := server.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	log, err := jetstream.Open(t.Context(), nc, jetstream.Options{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	last, err := log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = log.Tail(t.Context(), 1, func(b ledger.Batch) error {
		for _, m := range b.Messages {
			m.Data = slices.Clone(m.Data)
			all = append(all, m)
		}
		if uint64(len(all)) < last {
			return nil
		}
		return errProved
	})
	if !errors.Is(err, errProved) {
		t.Fatal(err)
	}
	return all
}

// TestRewrittenHistories: events that are removed, moved, doubled, cut off, changed or put in between are refused at the
// start, and, when every head on the operator's side was rewritten too, found with the head that an auditor has kept.
func TestRewrittenHistories(t *testing.T) {
	p := newPristine(t, 1200, 1)
	for name, change := range map[string]func([]events.Message) []events.Message{
		"removed":  func(m []events.Message) []events.Message { return slices.Delete(m, 600, 601) },
		"moved":    func(m []events.Message) []events.Message { m[600], m[601] = m[601], m[600]; return m },
		"cut":      func(m []events.Message) []events.Message { return m[:1199] },
		"inserted": func(m []events.Message) []events.Message { return slices.Insert(m, 700, later(m[700])) },
		"changed":  func(m []events.Message) []events.Message { m[600].Actor = "someone"; return m },
	} {
		t.Run(name, func(t *testing.T) {
			data := copied(t, p.data)
			rewritten(t, data, false, change)
			if o, err := p.try(t.Context(), data); err != nil || o.refused == "" {
				t.Errorf("with the heads that the server has kept: %+v, %v", o, err)
			}
			data = copied(t, p.data)
			rewritten(t, data, true, change)
			n := p.start(t, data)
			defer p.stop(t, n)
			found, err := p.verify(t.Context(), n.url)
			if err != nil || !strings.Contains(found, "earlier head") {
				t.Errorf("with the head that an auditor has kept: %q, %v", found, err)
			}
		})
	}
}

// later is an event like another, with an id of its own: NATS refuses one that it has just seen.
func later(m events.Message) events.Message {
	m.ID[0] ^= 1
	return m
}
