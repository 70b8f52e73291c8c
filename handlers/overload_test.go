package handlers_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"keyledger/handlers/handlerstest"
)

// When more creates come than may wait, those beyond are refused at once and stored nothing; the others are stored, each
// once.
func TestQueueOverflow503(t *testing.T) {
	w := handlerstest.New(t, handlerstest.Options{JetStream: true, Waiting: 2})
	before := w.Events(t)
	var made, refused atomic.Int64
	for range 20 { // until it overflows, which it does at once
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				r := w.Do(t, handlerstest.Request{Method: "POST", Target: "/v1/keys", Token: w.Root, Body: `{}`})
				switch {
				case r.Status == 201:
					made.Add(1)
					w.Hide(r.Field("token").(string))
				case r.Status == 503 && r.Header.Get("Retry-After") == "1" && r.Field("code") == "overloaded":
					refused.Add(1)
				default:
					t.Errorf("%d %v %s", r.Status, r.Header, r.Body)
				}
			})
		}
		all.Wait()
		if refused.Load() > 0 {
			break
		}
	}
	if made.Load() == 0 || refused.Load() == 0 || w.Events(t)-before != uint64(made.Load()) {
		t.Errorf("%d were made, %d refused, %d stored", made.Load(), refused.Load(), w.Events(t)-before)
	}
}
