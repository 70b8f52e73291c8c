package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyledger/client"
)

// An open stream gets what is appended and does not hold up the stop of the server.
func TestStopWithOpenStreams(t *testing.T) {
	data := t.TempDir()
	s := serveHere(t, data)
	url, err := waitReady(data)
	if err != nil {
		t.Fatal(err)
	}
	var streams []*bufio.Reader
	for _, media := range []string{"text/event-stream", "application/x-ndjson"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+rootToken)
		r.Header.Set("Accept", media)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		streams = append(streams, bufio.NewReader(answer.Body))
	}
	c, err := client.New(url, client.NewToken(rootToken))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateKey(t.Context(), client.CreateKey{Name: "while they listen"}); err != nil {
		t.Fatal(err)
	}
	for _, stream := range streams {
		for line := ""; !strings.Contains(line, "while they listen"); {
			if line, err = stream.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now()
	s.end(t, data, exitOK)
	if took := time.Since(began); took > 10*time.Second { // requests have 30
		t.Errorf("the stop took %v", took)
	}
	for _, stream := range streams {
		if _, err := io.Copy(io.Discard, stream); err != nil {
			t.Errorf("a stream that has no end was cut: %v", err)
		}
	}
}
