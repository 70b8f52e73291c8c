package replay_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyledger/events"
	"keyledger/ledger"
	"keyledger/ledger/audit/replay"
)

var update = flag.Bool("update", false, "write the golden files anew")

// story is a history with every type of event.
func story(t testing.TB) []events.Event {
	t.Helper()
	text, err := os.ReadFile("testdata/story.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	var all []events.Event
	for line := range bytes.Lines(text) {
		e, err := events.ParseCloudEvent(line)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func source(all []events.Event) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// tell is what is told of events in a form.
func tell(t testing.TB, all []events.Event, o replay.Options, s replay.Selection, form string) string {
	t.Helper()
	if o.Temp == "" {
		o.Temp = t.TempDir()
	}
	var out bytes.Buffer
	b := bufio.NewWriter(&out)
	w, err := replay.NewWriter(b, form)
	if err != nil {
		t.Fatal(err)
	}
	r := replay.New(o)
	if _, err := r.Run(source(all), &s, w, func(uint64) {}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	b.Flush()
	left, err := os.ReadDir(o.Temp)
	if err != nil || len(left) > 0 {
		t.Fatalf("%v is left in the folder for temporary files, %v", left, err)
	}
	return out.String()
}

func TestGolden(t *testing.T) {
	all := story(t)
	for _, form := range replay.Forms() {
		got := tell(t, all, replay.Options{}, replay.Selection{}, form)
		name := filepath.Join("testdata", "story."+form)
		if form == replay.NDJSON {
			name = filepath.Join("testdata", "records.ndjson")
		}
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", form, got, want)
		}
		if spilled := tell(t, all, replay.Options{Memory: 1}, replay.Selection{}, form); spilled != got {
			t.Errorf("%s, from the folder: got\n%s\nwant\n%s", form, spilled, got)
		}
	}
}

// TestFormsAgree: JSON is one document of the lines of NDJSON, and CSV has a row for each change and fact in them.
func TestFormsAgree(t *testing.T) {
	all := story(t)
	var array []json.RawMessage
	if err := json.Unmarshal([]byte(tell(t, all, replay.Options{}, replay.Selection{}, replay.JSON)), &array); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(tell(t, all, replay.Options{}, replay.Selection{}, replay.NDJSON), "\n"), "\n")
	if len(array) != len(lines) || len(array) != len(all)-2 {
		t.Fatalf("%d items and %d lines of %d events with 2 of claims", len(array), len(lines), len(all))
	}
	rows := 1
	for i, line := range lines {
		if string(array[i]) != line {
			t.Errorf("%s is not %s", array[i], line)
		}
		var record struct {
			Changes []any
			Facts   map[string]any
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		rows += max(len(record.Changes)+len(record.Facts), 1)
	}
	got, err := csv.NewReader(strings.NewReader(tell(t, all, replay.Options{}, replay.Selection{}, replay.CSV))).ReadAll()
	if err != nil || len(got) != rows {
		t.Errorf("%d rows, %v, want %d", len(got), err, rows)
	}
	for form, want := range map[string]string{replay.JSON: "[]\n", replay.NDJSON: "", replay.CSV: "sequence,time,", replay.Table: "SEQUENCE"} {
		if got := tell(t, nil, replay.Options{}, replay.Selection{}, form); !strings.HasPrefix(got, want) || strings.Count(got, "\n") > 1 {
			t.Errorf("%s of nothing is %q", form, got)
		}
	}
}

// TestNoFormulas: no cell of a CSV is a formula for a spreadsheet.
func TestNoFormulas(t *testing.T) {
	all := story(t)
	for _, text := range []string{"=1", "+1", "-1", "@a", "\t=1", "\r=1", "\x00=1"} {
		e := all[6]
		p := *e.Payload.(*events.Updated)
		p.Name, e.Payload, e.Origin.UserAgent, e.Actor, e.RequestID = &text, &p, text, text, text
		rows, err := csv.NewReader(strings.NewReader(tell(t, append(slices.Clone(all[:6]), e), replay.Options{}, replay.Selection{}, replay.CSV))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, cell := range slices.Concat(rows...) {
			if cell != "" && strings.Contains("=+-@\t\r\x00", cell[:1]) {
				t.Errorf("%q became %q", text, cell)
			}
		}
	}
}

func TestSelection(t *testing.T) {
	all := story(t)
	const key, other = "01978d2c-8f00-7a00-8000-000000000001", "01978d2c-8f00-7a00-8000-000000000002"
	for name, c := range map[string]struct {
		s    replay.Selection
		want []uint64
	}{
		"workspace":          {replay.Selection{Workspace: "beta"}, []uint64{6}},
		"another workspace":  {replay.Selection{Workspace: "bet"}, nil},
		"org":                {replay.Selection{Org: "r&d", To: 8}, []uint64{4, 5, 7, 8}},
		"agent":              {replay.Selection{Agent: "bot7", Workspace: "acme", From: 12}, []uint64{12, 13, 14, 15, 21, 23}},
		"key":                {replay.Selection{Key: other}, []uint64{6}},
		"key and workspace":  {replay.Selection{Key: key, Workspace: "beta"}, nil},
		"webhooks are owned": {replay.Selection{Workspace: "acme", From: 16, To: 20}, []uint64{16, 17, 18, 19, 20}},
		"from":               {replay.Selection{From: 20}, []uint64{20, 21, 23}},
		"to":                 {replay.Selection{To: 3}, []uint64{2, 3}},
		"at":                 {replay.Selection{At: all[3].Time}, []uint64{2, 3, 4}},
		"just before":        {replay.Selection{At: all[3].Time.Add(-time.Microsecond)}, []uint64{2, 3}},
		"before all":         {replay.Selection{At: all[0].Time.Add(-time.Hour)}, nil},
	} {
		var got []uint64
		for line := range strings.Lines(tell(t, all, replay.Options{}, c.s, replay.NDJSON)) {
			var record struct{ Sequence uint64 }
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatal(err)
			}
			got = append(got, record.Sequence)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	// What is before the first that is told is folded all the same.
	if got := tell(t, all, replay.Options{}, replay.Selection{From: 7, To: 7}, replay.Table); !strings.Contains(got, `deploy → deploy, "prod"`) {
		t.Errorf("the old name is not in\n%s", got)
	}
}

// TestActorNames: an actor has the name of its key as of the event, or what the caller knows.
func TestActorNames(t *testing.T) {
	all := story(t)
	var asked []string
	got := tell(t, all, replay.Options{Name: func(key string) string { asked = append(asked, key); return "elsewhere" }}, replay.Selection{}, replay.NDJSON)
	for _, want := range []string{
		`"actor":{"id":"system","name":null}`,
		`"actor":{"id":"01978d2c-8f00-7a00-8000-00000000000a","name":"root"}`,
		`"actor":{"id":"01978d2c-8f00-7a00-8000-0000000000ee","name":"elsewhere"}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	if !slices.Equal(asked, []string{"01978d2c-8f00-7a00-8000-0000000000ee"}) {
		t.Errorf("it asked for %v", asked)
	}
}

// TestNothingSecret: neither digests nor what is in the URL of a webhook besides its host is told, in any form.
func TestNothingSecret(t *testing.T) {
	digest := events.Digest([]byte(strings.Repeat("SECRET-DIGEST-", 3)[:32]))
	id, hook := uuid.MustParse("01978d2c-8f00-7a00-8000-000000000001"), uuid.MustParse("01978d2c-8f00-7a00-8000-000000000002")
	var all []events.Event
	for i, p := range []events.Payload{
		&events.Claim{Kind: events.TokenClaim, Hash: strings.Repeat("c", 64), Holder: id.String()},
		&events.Created{KeyID: id, Digest: digest, Name: "a", Environment: "live", KeyType: "external"},
		&events.Rotated{KeyID: id, Digest: digest, Hint: "kl"},
		&events.Webhook{ID: hook, URL: "https://user:SECRET@hooks.example.com/SECRET?key=SECRET"},
		&events.WebhookUpdate{ID: hook, URL: new("https://other.example.com/SECRET#SECRET")},
		&events.WebhookDelete{ID: hook},
	} {
		all = append(all, events.Event{
			Header: events.Header{Type: p.Type(), ID: uuid.New(), Time: time.Unix(1e9, 0).UTC(), Actor: "system"}, Sequence: uint64(i + 1), Payload: p,
		})
	}
	for _, form := range replay.Forms() {
		got := tell(t, all, replay.Options{Memory: 1}, replay.Selection{}, form)
		for _, secret := range []string{"SECRET", fmt.Sprintf("%x", digest), strings.Repeat("c", 64)} {
			if strings.Contains(got, secret) {
				t.Errorf("%s tells %s:\n%s", form, secret, got)
			}
		}
		if !strings.Contains(got, "hooks.example.com") || !strings.Contains(got, "other.example.com") {
			t.Errorf("%s does not tell the hosts:\n%s", form, got)
		}
	}
}

func TestNextRefusesWhatDoesNotAscend(t *testing.T) {
	all := story(t)
	for _, second := range []uint64{1, 2} {
		r := replay.New(replay.Options{})
		all[1].Sequence = 2
		if _, err := r.Next(&all[1]); err != nil {
			t.Fatal(err)
		}
		all[2].Sequence = second
		if rec, err := r.Next(&all[2]); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("event %d follows event 2", second)) {
			t.Errorf("got %v, %v", rec, err)
		}
	}
}

// TestUnknown: events of what was created before the first one are counted.
func TestUnknown(t *testing.T) {
	all := story(t)
	r := replay.New(replay.Options{})
	for i := range all[6:12] {
		if _, err := r.Next(&all[6+i]); err != nil {
			t.Fatal(err)
		}
	}
	if r.Unknown() != 6 {
		t.Errorf("%d events of unknown keys, want 6", r.Unknown())
	}
}

// TestFoldIsThatOfTheLedger: for any history of some keys, wherever the states are, the old and new values are those that
// ledger.Evolve gives.
func TestFoldIsThatOfTheLedger(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		keys := make([]ledger.Key, 4)
		r := replay.New(replay.Options{Memory: rapid.SampledFrom([]int{1, 1000, 1 << 20}).Draw(rt, "memory"), Temp: t.TempDir()})
		defer r.Close()
		for n := range rapid.IntRange(1, 60).Draw(rt, "events") {
			i := rapid.IntRange(0, len(keys)-1).Draw(rt, "key")
			e := drawEvent(rt, uuid.UUID{15: byte(i + 1)}, uint64(n+1))
			want := ledger.Evolve(keys[i], &e)
			rec, err := r.Next(&e)
			if err != nil {
				rt.Fatal(err)
			}
			for _, c := range rec.Changes() {
				if before, after := field(rt, &keys[i], c.Name), field(rt, &want, c.Name); c.Old != before || c.New != after {
					rt.Fatalf("event %d, %s: %q → %q, want %q → %q", n+1, c.Name, c.Old, c.New, before, after)
				}
			}
			told := map[string]string{}
			for _, v := range rec.After() {
				told[v.Name] = v.Text
			}
			for _, name := range fields() {
				if want := field(rt, &want, name); told[name] != want {
					rt.Fatalf("event %d: %s is %q, want %q", n+1, name, told[name], want)
				}
			}
			keys[i] = want
		}
	})
}

func fields() []string {
	return []string{"name", "hint", "workspace_id", "scopes", "metadata", "expires_at", "previous_expires_at", "disabled", "revoked", "revoke_reason"}
}

func field(t *rapid.T, k *ledger.Key, name string) string {
	flag := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return "true"
	}
	when := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	switch name {
	case "name":
		return k.Name
	case "hint":
		return k.Hint
	case "workspace_id":
		return k.Owner.Workspace
	case "scopes":
		return string(k.Scopes)
	case "metadata":
		return string(k.Metadata)
	case "environment":
		return k.Environment
	case "type":
		return k.Type
	case "expires_at":
		return when(k.ExpiresAt)
	case "previous_expires_at":
		return when(k.PreviousExpiresAt)
	case "disabled":
		return flag(k.DisabledAt)
	case "revoked":
		return flag(k.RevokedAt)
	case "revoke_reason":
		return k.RevokeReason
	}
	t.Fatalf("there is no field %s", name)
	return ""
}

func drawEvent(t *rapid.T, key uuid.UUID, sequence uint64) events.Event {
	text := rapid.SampledFrom([]string{"", "a", "b", strings.Repeat("long ", 60)})
	at := func(name string) time.Time {
		if n := rapid.IntRange(0, 5).Draw(t, name); n > 0 {
			return time.Unix(int64(n)*1e8, 5000).UTC()
		}
		return time.Time{}
	}
	var p events.Payload
	switch rapid.IntRange(0, 8).Draw(t, "type") {
	case 0, 1:
		p = &events.Created{
			KeyID: key, Name: text.Draw(t, "name"), Owner: events.Owner{Workspace: text.Draw(t, "workspace")}, Scopes: text.Draw(t, "scopes"),
			Environment: "live", KeyType: "external", ExpiresAt: at("expiry"), Hint: text.Draw(t, "hint"),
		}
	case 2:
		p = &events.Updated{KeyID: key, Name: new(text.Draw(t, "name")), Scopes: new(text.Draw(t, "scopes"))}
	case 3:
		p = &events.Updated{KeyID: key, Metadata: new(json.RawMessage(`{"a":"` + text.Draw(t, "metadata") + `"}`)), ExpiresAt: new(at("expiry"))}
	case 4:
		p = &events.Rotated{KeyID: key, Hint: text.Draw(t, "hint"), PreviousExpiresAt: at("grace"), ExpiresAt: new(at("expiry"))}
	case 5:
		p = &events.Disabled{KeyID: key}
	case 6:
		p = &events.Enabled{KeyID: key}
	case 7:
		p = &events.FirstUsed{KeyID: key, At: at("use")}
	case 8:
		p = &events.Revoked{KeyID: key, Reason: text.Draw(t, "reason")}
	}
	return events.Event{
		Header:   events.Header{Type: p.Type(), ID: uuid.UUID{1, 15: byte(sequence)}, Time: time.Unix(1e9+int64(sequence), 1000).UTC(), Actor: key.String()},
		Sequence: sequence, Payload: p,
	}
}
