package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestDialects(t *testing.T) {
	all := strings.Split(dialectNames(), ",")
	for value, want := range map[string][]string{
		dialectNames(): all, all[0]: all[:1], " " + all[0] + " ": all[:1], "none": nil, "": nil,
	} {
		if got, err := parseDialects(value); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q gives %q, %v", value, got, err)
		}
	}
	for _, value := range []string{"esperanto", all[0] + ",none", all[0] + ",", "," + all[0]} {
		if got, err := parseDialects(value); err == nil {
			t.Errorf("%q gives %q", value, got)
		}
	}
}

// A server has the dialects that it is told to have: each serves its document.
func TestDialectsAreMounted(t *testing.T) {
	for value, want := range map[string]int{dialectNames(): http.StatusOK, noDialects: http.StatusNotFound} {
		data := t.TempDir()
		s := serveHere(t, data, "--dialects", value)
		url, err := waitReady(data)
		if err != nil {
			t.Fatalf("%v\n%s", err, s.stderr)
		}
		for _, d := range dialects() {
			response, err := http.Get(url + "/openapi/" + d.name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			if response.Body.Close(); response.StatusCode != want {
				t.Errorf("--dialects %s: the document of %s is %d, want %d", value, d.name, response.StatusCode, want)
			}
		}
		s.end(t, data, exitOK)
	}
}
