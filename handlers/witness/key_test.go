package witness_test

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	cosignatures "github.com/transparency-dev/formats/note"

	"keyledger/handlers/handlerstest"
	"keyledger/handlers/witness"
)

func logger(w *handlerstest.World) *slog.Logger { return slog.New(slog.NewTextHandler(&w.Lines, nil)) }

func readAll(t *testing.T, r *http.Request) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

func TestParse(t *testing.T) {
	key := newVerifierKey(t, "witness.example/w")
	typed, err := cosignatures.VKeyToCosignatureV1(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{
		key + "=https://witness.example/", key + "=http://127.0.0.1:1", typed + "=https://witness.example/a/b=c",
	} {
		if w, err := witness.Parse(good); err != nil || w.Name() != "witness.example/w" {
			t.Errorf("%s: %v", good, err)
		}
	}
	name, rest, _ := strings.Cut(key, "+")
	hash, public, _ := strings.Cut(rest, "+")
	for why, bad := range map[string]string{
		"nothing":         "",
		"no URL":          key,
		"another scheme":  key + "=ftp://witness.example/",
		"no host":         key + "=https:///a",
		"a user":          key + "=https://a:b@witness.example/",
		"a query":         key + "=https://witness.example/?a=b",
		"no key":          "=https://witness.example/",
		"another name":    "x" + key + "=https://witness.example/",
		"another hash":    name + "+00000000+" + public + "=https://witness.example/",
		"a short hash":    name + "+" + hash[1:] + "+" + public + "=https://witness.example/",
		"a cut key":       name + "+" + hash + "+" + public[4:] + "=https://witness.example/",
		"no base64":       name + "+" + hash + "+!" + public[1:] + "=https://witness.example/",
		"a space":         "a b+" + rest + "=https://witness.example/",
		"another type":    name + "+" + hash + "+BQ" + public[2:] + "=https://witness.example/",
		"nothing but URL": "https://witness.example/",
	} {
		if _, err := witness.Parse(bad); err == nil {
			t.Errorf("%s: %q is taken", why, bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("witness.example/w+e6e1a7a5+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=https://witness.example/")
	f.Add("a+b+c=http://d")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := witness.Parse(text)
		if (w == nil) == (err == nil) {
			t.Fatalf("%v beside %v", w, err)
		}
		if err == nil && (w.Name() == "" || !strings.HasPrefix(text, w.Name()+"+")) {
			t.Fatalf("%q is named %q", text, w.Name())
		}
	})
}

func TestAWitnessIsThereOnce(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{Idle: true})
	o := newOther(t, "witness.example/w", w)
	parsed, err := witness.Parse(o.key + "=" + o.url)
	if err != nil {
		t.Fatal(err)
	}
	config := newBench(t, w, nil).config()
	config.Registerer = nil
	config.Witnesses = []*witness.Witness{parsed, parsed}
	if _, err := witness.New(config); err == nil {
		t.Error("it is taken twice")
	}
}
