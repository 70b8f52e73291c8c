package ledger_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"text/template"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/vmihailenco/msgpack/v5"

	"keyledger/ledger"
)

// What is secret, and no part of which may be seen.
const classified = "SQUEAMISHOSSIFRAGE"

// wrapped holds a Secret in all the ways that hide its methods from a printer.
type wrapped struct {
	Public  ledger.Secret
	private ledger.Secret
	Pointer *ledger.Secret
	List    []ledger.Secret
	Map     map[string]ledger.Secret
	Any     any
	deep    struct{ any }
}

func newWrapped() wrapped {
	s := ledger.NewSecret(classified)
	w := wrapped{Public: s, private: s, Pointer: &s, List: []ledger.Secret{s}, Map: map[string]ledger.Secret{"k": s}, Any: s}
	w.deep.any = ledger.Issued{Token: s}
	return w
}

// leaks tells whether any four letters of the secret stand in out, as they are or encoded.
func leaks(out string) bool {
	for i := range len(classified) - 3 {
		part := classified[i : i+4]
		for _, form := range []string{
			part,
			fmt.Sprintf("%x", part),
			fmt.Sprintf("%X", part),
			fmt.Sprintf("% x", part),
			strings.Trim(fmt.Sprint([]byte(part)), "[]"),
		} {
			if strings.Contains(out, form) {
				return true
			}
		}
	}
	return false
}

func TestLeaks(t *testing.T) {
	for _, verb := range []string{"%s", "%q", "%x", "%X", "% x"} {
		if !leaks(fmt.Sprintf(verb, classified)) {
			t.Errorf("the test does not see what %s prints", verb)
		}
	}
	if !leaks(fmt.Sprint([]byte(classified))) {
		t.Error("the test does not see a slice of bytes")
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	s := ledger.NewSecret(classified)
	for _, v := range []any{s, &s, newWrapped(), []any{s}, ledger.Create{Token: s}, ledger.Rotate{Token: s}, ledger.Issued{Token: s}} {
		for verb := rune(' ' + 1); verb < 0x7f; verb++ {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "# ", "5.3", "[1]"} {
				if out := fmt.Sprintf("%"+flags+string(verb), v); leaks(out) {
					t.Errorf("%%%s%c of a %T prints %s", flags, verb, v, out)
				}
			}
		}
		if out := fmt.Sprint(v) + fmt.Sprintln(v) + errors.Join(fmt.Errorf("%w %v", errors.ErrUnsupported, v)).Error(); leaks(out) {
			t.Errorf("a %T prints %s", v, out)
		}
	}
	for _, verb := range []string{"%v", "%s", "%q", "%x", "%d", "%#v", "%+v"} {
		if out := fmt.Sprintf(verb, s); out != "[secret]" {
			t.Errorf("%s prints %s", verb, out)
		}
	}
	if s.String() != "[secret]" || s.GoString() != "[secret]" {
		t.Errorf("it prints as %s and %s", s.String(), s.GoString())
	}
}

func TestSecretIsNotEncoded(t *testing.T) {
	w := newWrapped()
	public := struct {
		XMLName xml.Name `xml:"w"`
		Public  ledger.Secret
	}{Public: w.Public}
	binary := struct{ Public ledger.Secret }{w.Public}
	for name, encode := range map[string]func() ([]byte, error){
		"encoding/json":     func() ([]byte, error) { return json.Marshal(w) },
		"encoding/json key": func() ([]byte, error) { return json.Marshal(map[string]any{"s": &w.Public}) },
		"json v2":           func() ([]byte, error) { return jsonv2.Marshal(&public) },
		"json v2 of a map":  func() ([]byte, error) { return jsonv2.Marshal(w.Map) },
		"encoding/xml":      func() ([]byte, error) { return xml.Marshal(public) },
		"encoding/gob": func() ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(binary)
			return b.Bytes(), err
		},
		"msgpack":             func() ([]byte, error) { return msgpack.Marshal(w) },
		"msgpack of a secret": func() ([]byte, error) { return msgpack.Marshal(w.Public) },
		"text/template": func() ([]byte, error) {
			var b bytes.Buffer
			err := template.Must(template.New("").Parse(`{{.Public}} {{.Pointer}} {{.List}} {{.Map}} {{printf "%x" .Any}}`)).Execute(&b, w)
			return b.Bytes(), err
		},
		"slog text": func() ([]byte, error) {
			var b bytes.Buffer
			slog.New(slog.NewTextHandler(&b, nil)).Info("m", "s", w.Public, "p", w.Pointer, "w", w)
			return b.Bytes(), nil
		},
		"slog json": func() ([]byte, error) {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "s", w.Public, "p", w.Pointer, "w", w)
			return b.Bytes(), nil
		},
		"text":   w.Public.MarshalText,
		"binary": w.Public.MarshalBinary,
		"json":   w.Public.MarshalJSON,
	} {
		out, err := encode()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if leaks(string(out)) {
			t.Errorf("%s gives %s", name, out)
		}
		if !bytes.Contains(out, []byte("secret")) {
			t.Errorf("%s gives %s, which does not say that there is a secret", name, out)
		}
	}
}

// A printer that follows every pointer and reads every field finds no string.
func TestSecretIsNotReflected(t *testing.T) {
	var walk func(v reflect.Value, depth int)
	walk = func(v reflect.Value, depth int) {
		if depth > 10 {
			return
		}
		switch v.Kind() {
		case reflect.String:
			if leaks(v.String()) {
				t.Fatalf("reflection finds %q", v.String())
			}
		case reflect.Pointer, reflect.Interface:
			if !v.IsNil() {
				walk(v.Elem(), depth+1)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i), depth+1)
			}
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				walk(v.Index(i), depth+1)
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				walk(v.MapIndex(key), depth+1)
			}
		}
	}
	walk(reflect.ValueOf(newWrapped()), 0)
}

func TestSecret(t *testing.T) {
	s := ledger.NewSecret(classified)
	if s.Reveal() != classified || s.IsZero() {
		t.Fatalf("a secret gives %q", s.Reveal())
	}
	var none ledger.Secret
	if none.Reveal() != "" || !none.IsZero() || !ledger.NewSecret("").IsZero() {
		t.Fatal("the zero secret is not zero")
	}
	if out := fmt.Sprint(none); out != "[secret]" {
		t.Fatalf("the zero secret prints as %s", out)
	}
}
