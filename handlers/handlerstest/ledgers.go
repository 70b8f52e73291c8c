package handlerstest

import (
	"context"
	"testing"
	"time"

	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// inMemory gives a ledger in memory.
func (w *World) inMemory(t testing.TB) log {
	t.Helper()
	l := ledgertest.NewLog()
	w.personal = ledgertest.Personal(t, l)
	w.State = ledgertest.FollowSealed(t, l, w.Now, w.personal, &w.feed)
	w.ready = func(context.Context) error { return nil }
	return l
}

// onJetStream gives a ledger on JetStream in this process, with views on disk.
func (w *World) onJetStream(t testing.TB, waiting int) log {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	server, err := jetstream.Embed(jetstream.EmbedOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := server.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	l, err := jetstream.Open(ctx, conn, jetstream.Options{Server: server, Reads: time.Hour, Queue: waiting})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	w.personal = ledgertest.Personal(t, l)
	views, err := projections.Open(projections.Options{Dir: t.TempDir(), Now: w.Now, Applied: w.feed.Publish, Personal: w.personal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := views.Close(); err != nil {
			t.Error(err)
		}
	})
	beside(t, func(ctx context.Context) error { return views.Run(ctx, l, l) })
	beside(t, func(ctx context.Context) error { return w.personal.Run(ctx, views, nil) })
	w.State, w.ready = views, l.Healthy
	return l
}
