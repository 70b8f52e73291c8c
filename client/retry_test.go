package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"keyledger/client"
)

// fault is what goes wrong with one request on its way.
type fault int

const (
	none     fault = iota
	refused        // 503 before the server sees it
	limited        // 429 with Retry-After
	lost           // the connection breaks before the server sees it
	unheard        // the server does it, and the connection breaks before the answer
	unheard5       // the server does it, and a proxy answers 502
)

// faulty is a proxy before the test server: request number i meets faults[i], later ones meet none.
func faulty(t *testing.T, faults ...fault) (address string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := none
		if n := int(requests.Add(1)); n <= len(faults) {
			f = faults[n-1]
		}
		switch f {
		case refused:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case limited:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		case lost:
			panic(http.ErrAbortHandler)
		case unheard:
			forward(t, httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case unheard5:
			forward(t, httptest.NewRecorder(), r)
			http.Error(w, "bad gateway", http.StatusBadGateway)
		default:
			forward(t, w, r)
		}
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL, requests
}

func forward(t *testing.T, w http.ResponseWriter, r *http.Request) {
	out := r.Clone(context.WithoutCancel(r.Context()))
	out.RequestURI = ""
	target, err := http.NewRequest(r.Method, os.Getenv("KEYLEDGER_SERVER")+r.URL.RequestURI(), r.Body)
	if err != nil {
		t.Error(err)
		return
	}
	target.Header = out.Header
	resp, err := http.DefaultClient.Do(target)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// TestCreateOnce: whatever happens on the way, a create gives one key, and the token that the caller gets is its token.
func TestCreateOnce(t *testing.T) {
	for name, faults := range map[string][]fault{
		"refused":           {refused},
		"lost":              {lost},
		"done-unheard":      {unheard},
		"done-bad-gateway":  {unheard5},
		"again-and-again":   {refused, unheard, unheard5, lost},
		"limited":           {limited},
		"done-then-refused": {unheard, refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, requests := faulty(t, faults...)
			c := open(t, address)
			issued, err := c.CreateKey(t.Context(), client.CreateKey{Name: "once-" + name})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := int(requests.Load()), len(faults)+1; got != want {
				t.Errorf("%d requests, want %d", got, want)
			}
			if keys := keysNamed(t, "once-"+name); len(keys) != 1 || keys[0].ID != issued.ID {
				t.Fatalf("there are %d keys", len(keys))
			}
			v, err := c.Verify(t.Context(), client.Verify{Token: issued.Token})
			if err != nil || !v.Valid {
				t.Fatalf("verify: %v %v", v.Code, err)
			}
		})
	}
}

func TestReadsAndVerifiesAreRepeated(t *testing.T) {
	key, err := open(t, "").CreateKey(t.Context(), client.CreateKey{Name: "read"})
	if err != nil {
		t.Fatal(err)
	}
	address, _ := faulty(t, refused, lost, none, unheard)
	c := open(t, address)
	if got, err := c.Key(t.Context(), key.ID); err != nil || got.ID != key.ID {
		t.Fatalf("read: %v", err)
	}
	if v, err := c.Verify(t.Context(), client.Verify{Token: key.Token}); err != nil || !v.Valid {
		t.Fatalf("verify: %v", err)
	}
}

func TestRetriesEnd(t *testing.T) {
	address, requests := faulty(t, refused, refused, refused, refused)
	c := open(t, address, client.WithRetries(2))
	_, err := c.CreateKey(t.Context(), client.CreateKey{Name: "never"})
	var e *client.Error
	if !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable || e.Title != "Service Unavailable" {
		t.Fatalf("got %v", err)
	}
	if requests.Load() != 3 {
		t.Fatalf("%d requests, want 3", requests.Load())
	}
	if keys := keysNamed(t, "never"); len(keys) != 0 {
		t.Fatalf("there are %d keys", len(keys))
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	address, requests := faulty(t)
	if _, err := open(t, address).Key(t.Context(), "nonsense"); err == nil {
		t.Fatal("there is a key called nonsense")
	}
	if requests.Load() != 1 {
		t.Fatalf("%d requests, want 1", requests.Load())
	}
}

// TestNoRetriesNoIdempotencyKey: without retries an answer that is lost is an error that says so, and nothing is asked
// twice.
func TestNoRetriesNoIdempotencyKey(t *testing.T) {
	address, requests := faulty(t, unheard)
	c := open(t, address, client.WithRetries(0))
	_, err := c.CreateKey(t.Context(), client.CreateKey{Name: "unheard"})
	if !errors.Is(err, client.ErrNoAnswer) {
		t.Fatalf("got %v, want client.ErrNoAnswer", err)
	}
	if requests.Load() != 1 || len(keysNamed(t, "unheard")) != 1 {
		t.Fatalf("%d requests made %d keys", requests.Load(), len(keysNamed(t, "unheard")))
	}
}

func TestContextEndsTheWait(t *testing.T) {
	address, _ := faulty(t, limited, limited, limited)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := open(t, address).Key(ctx, "any")
	var e *client.Error
	if !errors.As(err, &e) || e.RetryAfter != time.Second {
		t.Fatalf("got %v, want the refusal that was waited on", err)
	}
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Fatalf("it waited %v beyond its context", took)
	}
}
