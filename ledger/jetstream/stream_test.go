package jetstream_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// TestWeakerStream refuses each stored setting that promises less than the ledger needs, naming the field.
func TestWeakerStream(t *testing.T) {
	s, _ := external(t)
	nc, err := jetstream.Connect(t.Context(), jetstream.ConnectOptions{URL: s.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	right := func() natsjs.StreamConfig {
		return natsjs.StreamConfig{
			Name: jetstream.LedgerStream, Subjects: []string{events.KeySubjects, events.ClaimSubjects},
			Discard: natsjs.DiscardNew, Duplicates: 2 * time.Minute, DenyDelete: true, DenyPurge: true,
			AllowDirect: true, AllowAtomicPublish: true,
		}
	}
	for _, test := range []struct {
		field  string
		weaken func(*natsjs.StreamConfig)
		after  func(*natsjs.StreamConfig) // by an update
	}{
		{field: "", weaken: func(c *natsjs.StreamConfig) {}},
		{field: "subjects", weaken: func(c *natsjs.StreamConfig) { c.Subjects = []string{"ledger.>"} }},
		{field: "storage", weaken: func(c *natsjs.StreamConfig) { c.Storage = natsjs.MemoryStorage }},
		{field: "retention", weaken: func(c *natsjs.StreamConfig) { c.Retention = natsjs.InterestPolicy }},
		{field: "max_msgs", weaken: func(c *natsjs.StreamConfig) { c.MaxMsgs = 1 << 40 }},
		{field: "max_bytes", weaken: func(c *natsjs.StreamConfig) { c.MaxBytes = 1 << 30 }},
		{field: "max_age", weaken: func(c *natsjs.StreamConfig) { c.MaxAge = 100 * 365 * 24 * time.Hour }},
		{field: "max_msgs_per_subject", weaken: func(c *natsjs.StreamConfig) { c.MaxMsgsPerSubject = 1000 }},
		{field: "max_msg_size", weaken: func(c *natsjs.StreamConfig) { c.MaxMsgSize = 1000 }},
		{field: "discard", weaken: func(c *natsjs.StreamConfig) { c.Discard = natsjs.DiscardOld }},
		{field: "duplicate_window", weaken: func(c *natsjs.StreamConfig) { c.Duplicates = time.Hour }},
		{field: "deny_delete", weaken: func(c *natsjs.StreamConfig) { c.DenyDelete = false }},
		{field: "deny_purge", weaken: func(c *natsjs.StreamConfig) { c.DenyPurge = false }},
		{field: "allow_direct", weaken: func(c *natsjs.StreamConfig) { c.AllowDirect = false }},
		{field: "allow_atomic", weaken: func(c *natsjs.StreamConfig) { c.AllowAtomicPublish = false }},
		{field: "allow_rollup_hdrs", weaken: func(c *natsjs.StreamConfig) { c.AllowRollup, c.DenyPurge = true, false }},
		{field: "allow_msg_ttl", weaken: func(c *natsjs.StreamConfig) { c.AllowMsgTTL = true }},
		{field: "compression", weaken: func(c *natsjs.StreamConfig) { c.Compression = natsjs.S2Compression }},
		{field: "persist_mode", weaken: func(c *natsjs.StreamConfig) {
			c.PersistMode, c.AllowAtomicPublish = natsjs.AsyncPersistMode, false
		}},
		{field: "no_ack", weaken: func(c *natsjs.StreamConfig) { c.NoAck, c.AllowAtomicPublish = true, false }},
		{field: "sealed", after: func(c *natsjs.StreamConfig) { c.Sealed = true }},
		{field: "first_seq", weaken: func(c *natsjs.StreamConfig) { c.FirstSeq = 7 }},
		{field: "subject_transform", weaken: func(c *natsjs.StreamConfig) {
			c.SubjectTransform = &natsjs.SubjectTransformConfig{Source: "claim.*.*", Destination: "claim.{{wildcard(2)}}.{{wildcard(1)}}"}
		}},
		{field: "republish", weaken: func(c *natsjs.StreamConfig) { c.RePublish = &natsjs.RePublish{Destination: "copy.>"} }},
		{field: "consumer_limits", weaken: func(c *natsjs.StreamConfig) { c.ConsumerLimits.InactiveThreshold = time.Minute }},
	} {
		t.Run("field "+test.field, func(t *testing.T) {
			c := right()
			if test.weaken != nil {
				test.weaken(&c)
			}
			if _, err := js.CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			defer js.DeleteStream(t.Context(), c.Name)
			if test.after != nil {
				test.after(&c)
				if _, err := js.UpdateStream(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			l, err := jetstream.Open(t.Context(), nc, jetstream.Options{})
			if test.field == "" {
				if err != nil {
					t.Fatalf("the right settings are refused: %v", err)
				}
				l.Close()
				return
			}
			if err == nil {
				l.Close()
				t.Fatal("not refused")
			}
			if !strings.Contains(err.Error(), test.field+" is ") {
				t.Fatalf("refused with %q, which does not name %s", err, test.field)
			}
		})
	}
}

func TestFewerReplicas(t *testing.T) {
	s, _ := external(t)
	openURL(t, s.ClientURL(), jetstream.Options{})
	nc, err := jetstream.Connect(t.Context(), jetstream.ConnectOptions{URL: s.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := jetstream.Open(t.Context(), nc, jetstream.Options{Replicas: 3}); err == nil || !strings.Contains(err.Error(), "num_replicas is 1") {
		t.Fatalf("one replica where three are needed: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	nc, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, test := range []struct {
		fingerprint string
		refused     bool
	}{{"one", false}, {"one", false}, {"two", true}} {
		l, err := jetstream.Open(t.Context(), nc, jetstream.Options{Server: s, Fingerprint: test.fingerprint})
		if test.refused {
			if !errors.Is(err, jetstream.ErrFingerprint) {
				t.Fatalf("fingerprint %s gives %v, want ErrFingerprint", test.fingerprint, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("fingerprint %s: %v", test.fingerprint, err)
		}
		l.Close()
	}
}

// TestLostMessages refuses a stream out of which messages were taken.
func TestLostMessages(t *testing.T) {
	s, _ := external(t)
	nc, err := jetstream.Connect(t.Context(), jetstream.ConnectOptions{URL: s.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for name, lose := range map[string]func(natsjs.StreamConfig){
		"the first": func(c natsjs.StreamConfig) { // deny_delete and deny_purge do not hold an update of the limits
			c.MaxMsgs, c.Discard = 5, natsjs.DiscardOld
			if _, err := js.UpdateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			c.MaxMsgs, c.Discard = -1, natsjs.DiscardNew
			if _, err := js.UpdateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		},
		"all": func(c natsjs.StreamConfig) {
			c.MaxAge = 100 * time.Millisecond
			c.Duplicates = 100 * time.Millisecond
			if _, err := js.UpdateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			until(t, "the messages to age", func() bool {
				stream, err := js.Stream(t.Context(), c.Name)
				return err == nil && stream.CachedInfo().State.Msgs == 0
			})
			c.MaxAge = 0
			if _, err := js.UpdateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := jetstream.Open(t.Context(), nc, jetstream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			defer js.DeleteStream(t.Context(), jetstream.LedgerStream)
			for range 10 {
				if _, err := l.Append(t.Context(), entry()); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Healthy(t.Context()); err != nil {
				t.Fatalf("not healthy before: %v", err)
			}
			stream, err := js.Stream(t.Context(), jetstream.LedgerStream)
			if err != nil {
				t.Fatal(err)
			}
			lose(stream.CachedInfo().Config)
			if err := l.Healthy(t.Context()); !errors.Is(err, ledger.ErrGap) {
				t.Errorf("healthy gives %v, want ErrGap", err)
			}
			if err := l.Tail(t.Context(), 1, func(b ledger.Batch) error {
				if len(b.Messages) > 0 {
					t.Errorf("the tail gives message %d", b.Messages[0].Sequence)
				}
				return nil
			}); !errors.Is(err, ledger.ErrGap) {
				t.Errorf("a tail gives %v, want ErrGap", err)
			}
			if _, err := l.Read(t.Context(), 3); !errors.Is(err, ledger.ErrGap) {
				t.Errorf("a read gives %v, want ErrGap", err)
			}
			if l, err := jetstream.Open(t.Context(), nc, jetstream.Options{}); !errors.Is(err, ledger.ErrGap) {
				if err == nil {
					l.Close()
				}
				t.Errorf("open gives %v, want ErrGap", err)
			}
		})
	}
}

func TestUnverified(t *testing.T) {
	s, _ := external(t)
	if list := openURL(t, s.ClientURL(), jetstream.Options{}).Unverified(); len(list) != 3 || !strings.Contains(list[0], "sync_interval") {
		t.Errorf("of an external server is not verified: %q", list)
	}
	if list := open(t, t.TempDir(), jetstream.Options{}).Unverified(); len(list) != 0 {
		t.Errorf("of an embedded server is not verified: %q", list)
	}
}
