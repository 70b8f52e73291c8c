package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"keyledger/client"
)

// formerKey is what an earlier version answered about a key, and what it decided about its token.
type formerKey struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Status   client.Status   `json:"status"`
	Scopes   []string        `json:"scopes"`
	Metadata json.RawMessage `json:"metadata"`
	UseCount uint64          `json:"use_count"`
	Sequence uint64          `json:"sequence"`

	Token string          `json:"token"`
	Code  client.Decision `json:"code"`
}

// TestUpgrade starts on the data folders of earlier versions, each made by that version's own program: all keys are what they
// were, tokens too, the history is the one whose head was signed then, and it goes on. A release adds a folder to
// testdata/upgrade: the data folder of a stopped server, the head and the verifier key that it gave, and its keys.
func TestUpgrade(t *testing.T) {
	folders, err := filepath.Glob("testdata/upgrade/*")
	if err != nil || len(folders) == 0 {
		t.Fatal("no data folders of earlier versions", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) { upgrade(t, folder) })
	}
}

func upgrade(t *testing.T, folder string) {
	data := filepath.Join(unpacked(t, filepath.Join(folder, "data.tgz")), "data")
	var former []formerKey
	if err := json.Unmarshal(content(t, filepath.Join(folder, "keys.json")), &former); err != nil {
		t.Fatal(err)
	}
	args := []string{"--secret", "an-old-secret-of-the-upgrade-test", "--honcho-jwt-secret", "old-honcho-secret", "--first-used-rate", "0"}
	p := start(t, data, args...)
	sameKeys(t, p, former)
	c := p.client(t)
	verifyUpgraded(t, c, folder)
	issued, err := c.CreateKey(t.Context(), client.CreateKey{Name: "new", WorkspaceID: "other"})
	if err != nil {
		t.Fatal(err)
	}
	p.kill(t)
	p = start(t, data, args...)
	sameKeys(t, p, former)
	decided(t, p.client(t), issued.Token, client.Valid)
	for _, k := range former {
		if k.Token != "" {
			decided(t, p.client(t), client.NewToken(k.Token), k.Code)
		}
	}
	p.stop(t)
}

// sameKeys fails unless the keys of the workspace are what they were, in the same order.
func sameKeys(t *testing.T, p *process, former []formerKey) {
	t.Helper()
	i := 0
	for k, err := range p.client(t).Keys(t.Context(), client.KeyQuery{WorkspaceID: "acme"}) {
		if err != nil {
			t.Fatal(err)
		}
		if i == len(former) {
			t.Fatalf("there was no %+v", k)
		}
		want := former[i]
		want.Token, want.Code = "", ""
		now := formerKey{k.ID, k.Name, k.Status, k.Scopes, k.Metadata, k.UseCount, k.Sequence, "", ""}
		if !reflect.DeepEqual(now, want) {
			t.Errorf("it was %+v, and is %+v", want, now)
		}
		i++
	}
	if i != len(former) {
		t.Errorf("there are %d keys, and were %d", i, len(former))
	}
}

// verifyUpgraded runs audit verify with the head and the key that were kept then.
func verifyUpgraded(t *testing.T, c *client.Client, folder string) {
	t.Helper()
	out := new(syncBuffer)
	key := strings.TrimSpace(string(content(t, filepath.Join(folder, "ledger.key"))))
	v := verifier{out: out, progress: &progress{stderr: new(syncBuffer)}, key: key, sinceFile: filepath.Join(folder, "head")}
	if err := v.server(t.Context(), c); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func decided(t *testing.T, c *client.Client, token client.Token, want client.Decision) {
	t.Helper()
	v, err := c.Verify(t.Context(), client.Verify{Token: token})
	if err != nil || v.Code != want {
		t.Errorf("%v, %v, want %s", v.Code, err, want)
	}
}

func content(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unpacked gives a folder with the files of an archive.
func unpacked(t *testing.T, archive string) string {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for files := tar.NewReader(zipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return root.Name()
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := unpack(root, h, files); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
	}
}

func unpack(root *os.Root, h *tar.Header, from io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(h.Name, 0o700)
	case tar.TypeReg:
		f, err := root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, from)
		return errors.Join(err, f.Close(), root.Chtimes(h.Name, h.ModTime, h.ModTime))
	}
	return fmt.Errorf("it is of type %c", h.Typeflag)
}
