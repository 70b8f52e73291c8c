package jetstream_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
	"keyledger/ledger/ledgertest"
)

func TestVault(t *testing.T) {
	ledgertest.VaultConformance(t, func(t *testing.T) ledger.Vault { return open(t, t.TempDir(), jetstream.Options{}) })
}

// found counts the files below a folder that hold a text.
func found(t *testing.T, dir, text string) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			files++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What is replaced is in no file any more, also what a crash kept from being destroyed.
func TestVaultDestroysWhatIsReplaced(t *testing.T) {
	dir := t.TempDir()
	l, nc := openConn(t, dir, jetstream.Options{})
	keep := func(name, value string, after uint64) uint64 {
		t.Helper()
		revision, err := l.Keep(t.Context(), name, []byte(value), after)
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	const first, second, third = "the first secret of all", "the second secret of all", "the third secret of all"
	other := keep("other", "what is not replaced", 0)
	revision := keep("name", first, 0)
	if found(t, dir, first) == 0 {
		t.Fatal("what was kept is in no file: this test looks in the wrong place")
	}
	revision = keep("name", second, revision)
	if n := found(t, dir, first); n > 0 {
		t.Errorf("what was replaced is in %d files", n)
	}

	// A node that dies after it has stored the third value leaves the second.
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), jetstream.VaultStream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(t.Context(), revision)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), m.Subject, []byte(third)); err != nil {
		t.Fatal(err)
	}
	if found(t, dir, second) == 0 {
		t.Fatal("the second value is gone already")
	}
	if err := l.Scrub(t.Context(), "name"); err != nil {
		t.Fatal(err)
	}
	if n := found(t, dir, second); n > 0 {
		t.Errorf("what a crash left is in %d files", n)
	}
	for name, want := range map[string]string{"name": third, "other": "what is not replaced"} {
		if value, _, err := l.Secret(t.Context(), name); err != nil || string(value) != want {
			t.Errorf("%s: %q %v", name, value, err)
		}
	}
	if _, after, _ := l.Secret(t.Context(), "other"); after != other {
		t.Errorf("revision %d, was %d", after, other)
	}
}

func TestOpenRefusesAWeakerVault(t *testing.T) {
	for name, weaken := range map[string]func(*natsjs.StreamConfig){
		"max_age":              func(c *natsjs.StreamConfig) { c.MaxAge = 1e12 },
		"deny_delete":          func(c *natsjs.StreamConfig) { c.DenyDelete = true },
		"max_msgs_per_subject": func(c *natsjs.StreamConfig) { c.MaxMsgsPerSubject = 1 },
		"storage":              func(c *natsjs.StreamConfig) { c.Storage = natsjs.MemoryStorage },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := jetstream.Embed(jetstream.EmbedOptions{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Shutdown)
			nc, err := s.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			js, err := natsjs.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			weak := natsjs.StreamConfig{Name: jetstream.VaultStream, Subjects: []string{"vault.*"}}
			weaken(&weak)
			if _, err := js.CreateStream(t.Context(), weak); err != nil {
				t.Fatal(err)
			}
			l, err := jetstream.Open(t.Context(), nc, jetstream.Options{Server: s})
			if err == nil {
				l.Close()
			}
			if err == nil || !bytes.Contains([]byte(err.Error()), []byte(name)) {
				t.Errorf("%v", err)
			}
		})
	}
}
