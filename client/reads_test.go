package client_test

import (
	"testing"
	"time"

	"keyledger/client"
)

// What a client reads is on record a second later, and can be selected.
func TestReads(t *testing.T) {
	c := open(t, "")
	issued, err := c.CreateKey(t.Context(), client.CreateKey{Name: "read by somebody"})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-time.Minute)
	for range 3 {
		if _, err := c.Key(t.Context(), issued.ID); err != nil {
			t.Fatal(err)
		}
	}
	reads := func(q client.ReadQuery) (list []client.Read) {
		t.Helper()
		for r, err := range c.Reads(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, r)
		}
		return list
	}
	var got []client.Read
	for deadline := time.Now().Add(patience); len(got) < 3 && time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		got = reads(client.ReadQuery{KeyID: issued.ID, From: began})
	}
	if len(got) != 3 {
		t.Fatalf("%d reads: %+v", len(got), got)
	}
	for _, r := range got {
		if r.Route != "GET /v1/keys/{id}" || r.KeyID != issued.ID || r.Status != 200 || r.Actor != issued.CreatedBy || r.IP == "" ||
			r.Time.Before(began) || time.Since(r.Time) > patience {
			t.Errorf("%+v", r)
		}
	}
	if more := reads(client.ReadQuery{KeyID: issued.ID, Until: began}); len(more) != 0 {
		t.Errorf("%+v", more)
	}
	if more := reads(client.ReadQuery{KeyID: issued.ID, Actor: issued.ID}); len(more) != 0 {
		t.Errorf("%+v", more)
	}
}
