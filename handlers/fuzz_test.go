package handlers

import (
	"context"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"keyledger/ledger"
)

// What a decoder takes is JSON that encoding/json takes too, and what it refuses is refused with a code for the caller.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{``, `{}`, `{"token":"x","scopes":["a"]}`, `{"name":null,"metadata":{"a":[1,{}]}}`, `{"expires_at":"2030-01-01T00:00:00Z"}`,
		`{"grace_seconds":1e3}`, `{"a":1,"a":2}`, "{\"name\":\"\xff\"}", `{"name":"\ud800"}`, `[`, `{} {}`, `{"metadata":{"metadata":{"metadata":1}}}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, in := range []any{new(createRequest), new(updateRequest), new(rotateRequest), new(verifyRequest), new(usageReport), new(struct{})} {
			err := decodeObject(body, in)
			if err != nil && ledger.CodeOf(err) != ledger.CodeInvalid {
				t.Fatalf("%T: %v", in, err)
			}
			var members map[string]json.RawMessage
			if err == nil && json.Unmarshal(body, &members) != nil {
				t.Fatalf("%T takes what is no JSON object", in)
			}
			if err != nil {
				continue
			}
			switch in := in.(type) {
			case *createRequest:
				_, err = in.command()
			case *updateRequest:
				_, err = in.command()
			case *rotateRequest:
				_, err = in.command()
			}
			if err != nil && ledger.CodeOf(err) != ledger.CodeInvalid {
				t.Fatalf("%T: %v", in, err)
			}
		}
	})
}

func FuzzQueries(f *testing.F) {
	names := []string{"limit", "name", "status", "used_before", "cursor", "from"}
	for _, raw := range []string{"", "limit=1", "limit=1&limit=2", "name=%ff", "name=a+b&status=active", "&&", "=", "used_before=2030-01-01T00:00:00Z", "%zz=1", "a;b"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := parseQuery(raw, names)
		if err != nil {
			if ledger.CodeOf(err) != ledger.CodeInvalid {
				t.Fatal(err)
			}
			return
		}
		for name, value := range p {
			if !slices.Contains(names, name) || value == "" {
				t.Fatalf("%q is %q", name, value)
			}
		}
		if q, err := p.keyQuery(); err == nil && (q.Limit < 1 || q.Limit > ledger.MaxPage) {
			t.Fatalf("limit %d", q.Limit)
		}
	})
}

// What a stream is asked for is a sequence to begin at, known forms and types, or a refusal that names where.
func FuzzStreamRequests(f *testing.F) {
	f.Add("from=1&type=key.created,key.revoked&until=now", "7", "text/event-stream")
	f.Add("from=0", "", "application/x-ndjson;q=0.5, */*;q=0.1")
	f.Add("from=18446744073709551615", "18446744073709551615", "a/b;q=,text/event-stream;q=9e999")
	f.Add("type=,", "-1", ";;,")
	f.Fuzz(func(t *testing.T, raw, last, accept string) {
		if media := streamType([]string{accept}); media != "" && !strings.Contains(strings.ToLower(accept), media) {
			t.Fatalf("%q gives %q", accept, media)
		}
		p, err := parseQuery(raw, []string{"from", "type", "until"})
		if err != nil {
			return
		}
		at, err := resumeAt(p, []string{last})
		switch n, notANumber := strconv.ParseUint(last, 10, 64); {
		case err != nil && ledger.CodeOf(err) != ledger.CodeInvalid:
			t.Fatal(err)
		case last != "" && notANumber != nil && err == nil:
			t.Fatalf("%q is %d", last, at)
		case last != "" && err == nil && at != n+1, at == 0 && err == nil && p["from"] != "":
			t.Fatalf("after %q from %q it begins at %d", last, p["from"], at)
		}
		if types := eventTypes(p); len(types) != 0 && len(types) != strings.Count(p["type"], ",")+1 {
			t.Fatalf("%q is %q", p["type"], types)
		}
	})
}

// No text opens as a cursor unless it was sealed for that list, and opening gives the place back.
func FuzzCursors(f *testing.F) {
	c := cursors{key: make([]byte, 32)}
	here := list("/v1/keys", "", Parameters{"name": "a"})
	f.Add("", []byte{1})
	f.Add(c.seal(here, []byte("place")), []byte("place"))
	f.Add("\n"+c.seal(here, []byte("place")), []byte("place")) // which base64 passes over
	f.Fuzz(func(t *testing.T, cursor string, place []byte) {
		if got, err := c.open(here, cursor); err == nil && got != nil && c.seal(here, got) != cursor {
			t.Fatalf("%q opens as %x", cursor, got)
		}
		if len(place) == 0 {
			return
		}
		if got, err := c.open(here, c.seal(here, place)); err != nil || !slices.Equal(got, place) {
			t.Fatalf("%x became %x, %v", place, got, err)
		}
		if at, err := keyCursor(place); err == nil && !slices.Equal(keyPlace(at), place) {
			t.Fatalf("%x became %x", place, keyPlace(at))
		}
	})
}

// Two different lists never have the same name, so a cursor cannot cross from one to the other.
func TestListNamesDiffer(t *testing.T) {
	type named struct {
		route, id string
		p         Parameters
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab/]{0,3}`)
		draw := func(label string) named {
			p := rapid.MapOfN(rapid.SampledFrom([]string{"name", "scope", "org_id"}), rapid.StringMatching(`[ab]{1,2}`), 0, 3).Draw(t, label)
			return named{text.Draw(t, label+" route"), text.Draw(t, label+" id"), p}
		}
		a, b := draw("a"), draw("b")
		same := a.route == b.route && a.id == b.id && maps.Equal(a.p, b.p)
		if got := string(list(a.route, a.id, a.p)) == string(list(b.route, b.id, b.p)); got != same {
			t.Fatalf("%v and %v: same name is %v", a, b, got)
		}
	})
}

// A value in a header decodes to what it was and holds nothing but printable ASCII.
func FuzzHeaderValues(f *testing.F) {
	for _, v := range []string{"", " ", "a b", "100%", "%41", "a\r\nSet-Cookie: x", "€", "\x00\xff", " a "} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		got := headerValue(v)
		for i := range len(got) {
			if got[i] < ' ' || got[i] > '~' || got[i] == ' ' && (i == 0 || i == len(got)-1) {
				t.Fatalf("%q became %q", v, got)
			}
		}
		if back, err := url.PathUnescape(got); err != nil || back != v {
			t.Fatalf("%q became %q and back %q, %v", v, got, back, err)
		}
	})
}

func FuzzEntityTags(f *testing.F) {
	for _, tag := range []string{`"1"`, `W/"42"`, `*`, `""`, `"`, `W/`, `"18446744073709551615"`, `"-1"`, `"+1"`, `"01"`} {
		f.Add(tag)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		if n := tagSequence(tag); n == 0 {
			t.Fatalf("%q is sequence 0: no condition", tag)
		}
	})
}

// Whatever is stored under an idempotency key, the request is refused or run, and never answered with what is not
// sealed under its key.
func FuzzClaims(f *testing.F) {
	keys, err := deriveKeys(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	whole, err := msgpack.Marshal(&claim{Since: 1, Salt: make([]byte, 32), Request: []byte("same"), Answer: make([]byte, 40)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{})
	f.Add([]byte{0x84})
	f.Add([]byte("\x81\xa8since_us\xc0"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		memo := storedMemo{value: stored}
		x := &Exchange{Request: httptest.NewRequest("POST", "/", nil), writer: httptest.NewRecorder(),
			route: &endpoint{Route: Route{Handle: func(x *Exchange) error { return nil }}}}
		one := attempt{idempotency: &idempotency{memo: memo, keys: keys, now: time.Now}, x: x, handle: func() error { return nil },
			mine: claim{Request: []byte("same"), Since: time.Now().UnixMicro()}}
		if err := one.start(); err == nil && len(x.Body) > 0 {
			t.Fatalf("it is answered with %q", x.Body)
		}
	})
}

// storedMemo has one value under every name.
type storedMemo struct{ value []byte }

func (m storedMemo) Claim(context.Context, string, []byte) ([]byte, uint64, error) {
	return m.value, 1, nil
}
func (m storedMemo) Replace(context.Context, string, []byte, uint64) (uint64, error) { return 2, nil }
func (m storedMemo) Remove(context.Context, string, uint64) error                    { return nil }

// The path of a tile has one spelling, and what is not it is absent.
func FuzzTilePaths(f *testing.F) {
	for _, path := range [][2]string{{"0", "000"}, {"1", "x001/234"}, {"7", "x999/x999/x999/x999/x999/999"}, {"0", "000.p/255"}, {"0", "000.p/256"},
		{"0", "000.p/0"}, {"00", "000"}, {"-1", "000"}, {"data", "000"}, {"0", "x001"}, {"0", "1"}, {"0/000", "x"}, {"64", "000"}, {"0", "../000"}} {
		f.Add(path[0], path[1])
	}
	f.Fuzz(func(t *testing.T, level, index string) {
		tile, err := parseTile(level, index)
		if err != nil {
			if ledger.CodeOf(err) != ledger.CodeNotFound {
				t.Fatal(err)
			}
			return
		}
		if path := tile.Path(); path != "tile/8/"+level+"/"+index {
			t.Errorf("%s/%s is %s", level, index, path)
		}
		if tile.N < 0 || tile.L < 0 || tile.W < 1 || tile.W > ledger.TileWidth {
			t.Errorf("%s/%s is %+v", level, index, tile)
		}
	})
}
