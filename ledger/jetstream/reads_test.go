package jetstream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger/jetstream"
)

// Where reads are not recorded there is no stream of them, and none are found. Those that were recorded stay.
func TestReadsAreRecordedOnlyWhenAskedTo(t *testing.T) {
	_, nc := openConn(t, t.TempDir(), jetstream.Options{})
	js := api(t, nc)
	for i, options := range []jetstream.Options{{}, {Reads: time.Hour}, {}} {
		l := again(t, nc, options)
		if _, err := js.Stream(t.Context(), jetstream.ReadsStream); (err == nil) != (i > 0) {
			t.Errorf("open %d: %v", i, err)
		}
		err := l.AppendReads(t.Context(), []byte{byte(i)})
		if (err == nil) != (i > 0) {
			t.Errorf("append %d: %v", i, err)
		}
		got, err := l.ReadBatches(t.Context(), 1, 10)
		if err != nil || len(got) != i {
			t.Errorf("open %d: %d batches, %v", i, len(got), err)
		}
	}
}

func TestRetentionOfReads(t *testing.T) {
	_, nc := openConn(t, t.TempDir(), jetstream.Options{})
	js := api(t, nc)
	for _, retention := range []time.Duration{time.Hour, 48 * time.Hour, 30 * time.Minute} {
		again(t, nc, jetstream.Options{Reads: retention})
		if got := readsConfig(t, js).MaxAge; got != retention {
			t.Errorf("reads are kept for %v, want %v", got, retention)
		}
	}
}

// A stream of reads that could lose some before their time is refused, naming the setting.
func TestWeakerStreamsOfReadsAreRefused(t *testing.T) {
	for name, weaken := range map[string]func(*natsjs.StreamConfig){
		"deny_delete": func(c *natsjs.StreamConfig) { c.DenyDelete = false },
		"deny_purge":  func(c *natsjs.StreamConfig) { c.DenyPurge = false },
		"max_bytes":   func(c *natsjs.StreamConfig) { c.MaxBytes = 1 << 20 },
		"max_msgs":    func(c *natsjs.StreamConfig) { c.MaxMsgs = 10 },
		"storage":     func(c *natsjs.StreamConfig) { c.Storage = natsjs.MemoryStorage },
		"discard":     func(c *natsjs.StreamConfig) { c.Discard = natsjs.DiscardOld },
		"subjects":    func(c *natsjs.StreamConfig) { c.Subjects = []string{"reads.other"} },
	} {
		t.Run(name, func(t *testing.T) {
			_, nc := openConn(t, t.TempDir(), jetstream.Options{Reads: time.Hour})
			js := api(t, nc)
			c := readsConfig(t, js)
			weaken(&c)
			if err := js.DeleteStream(t.Context(), jetstream.ReadsStream); err != nil {
				t.Fatal(err)
			}
			if _, err := js.CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			_, err := jetstream.Open(t.Context(), nc, jetstream.Options{Reads: time.Hour})
			if err == nil || !strings.Contains(err.Error(), jetstream.ReadsStream) || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
		})
	}
}

// again opens the log anew.
func again(t *testing.T, nc *nats.Conn, o jetstream.Options) *jetstream.Log {
	t.Helper()
	l, err := jetstream.Open(t.Context(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func api(t *testing.T, nc *nats.Conn) natsjs.JetStream {
	t.Helper()
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func readsConfig(t *testing.T, js natsjs.JetStream) natsjs.StreamConfig {
	t.Helper()
	s, err := js.Stream(t.Context(), jetstream.ReadsStream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}
