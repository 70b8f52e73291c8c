package jetstream_test

import (
	"encoding/json"
	"strings"
	"testing"

	"keyledger/ledger/jetstream"
)

// FuzzVetCreate: whatever a subscriber sends, what is passed on makes a consumer that is pulled from, with one filter, and
// nothing in it that the door does not know.
func FuzzVetCreate(f *testing.F) {
	for _, seed := range []string{
		`{"stream_name":"LEDGER","config":{"name":"n","filter_subject":"ledger.acme.>","deliver_policy":"all","ack_policy":"none"}}`,
		`{"stream_name":"LEDGER","config":{"filter_subject":"a","deliver_subject":"usage.batch"}}`,
		`{"stream_name":"LEDGER","config":{"filter_subject":"a","Deliver_Subject":"usage.batch"}}`,
		`{"stream_name":"LEDGER","config":{"filter_subject":"a","filter_subjects":["b"]}}`,
		`{"stream_name":"LEDGER","config":{"filter_subject":"a","direct":true,"sourcing":true}}`,
		`{"stream_name":"LEDGER","config":{"filter_subject":"a"},"config":{"filter_subject":"a","deliver_group":"g"}}`,
		`[]`, ``, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		passed, err := jetstream.VetCreate(data)
		if err != nil {
			return
		}
		var r struct {
			Config map[string]any `json:"config"`
		}
		if err := json.Unmarshal(passed, &r); err != nil {
			t.Fatal(err)
		}
		for name := range r.Config {
			for _, never := range []string{"deliver_subject", "deliver_group", "filter_subjects", "flow_control", "idle_heartbeat", "direct", "sourcing", "sample_freq"} {
				if strings.EqualFold(name, never) {
					t.Errorf("%s was passed on: %s", name, passed)
				}
			}
		}
		if r.Config["filter_subject"] == nil {
			t.Errorf("a consumer without a filter was passed on: %s", passed)
		}
	})
}

// FuzzDoor: a request that passes is about a consumer of the key that it is taken for, and of no other.
func FuzzDoor(f *testing.F) {
	const key = "01a21458-9932-7b10-8955-4a5a414d1e2e"
	for _, seed := range []string{
		"$JS.API.CONSUMER.INFO.LEDGER." + key, "$JS.API.CONSUMER.MSG.NEXT.LEDGER." + key + "_7", "$JS.ACK.LEDGER." + key + ".1.1.1.1.0.0",
		"$JS.API.CONSUMER.CREATE.LEDGER." + key + ".ledger.acme.>", "$JS.API.CONSUMER.INFO.LEDGER." + strings.ToUpper(key),
		"$JS.API.CONSUMER.INFO.LEDGER." + key + "_8", "$JS.API.CONSUMER.INFO.LEDGER.{" + key + "}", "$JS.API.STREAM.DELETE.LEDGER",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		key, ok := jetstream.DoorKey(subject)
		if !ok {
			return
		}
		tokens := strings.Split(subject, ".")
		at := 5 // of the name
		switch {
		case tokens[1] == "ACK":
			at = 3
		case tokens[3] == "MSG":
			at = 6
		}
		if name := tokens[at]; name != key && (len(name) != len(key)+2 || name[:len(key)+1] != key+"_" || name[len(name)-1] < '1' || name[len(name)-1] > '7') {
			t.Errorf("%q was taken for a request of %s", subject, key)
		}
	})
}
