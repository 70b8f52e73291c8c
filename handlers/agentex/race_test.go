package agentex_test

import (
	"fmt"
	"sync"
	"testing"
)

// Of many creates of one name at a time one wins: the original has several winners. Many registrations of one agent give
// it one key.
func TestRaces(t *testing.T) {
	w := newWorld(t, true)
	const many = 50
	parallel := func(do func()) {
		var all sync.WaitGroup
		for range many {
			all.Go(do)
		}
		all.Wait()
	}
	for _, name := range []string{"one", ""} {
		var mu sync.Mutex
		seen := make(map[int]int)
		parallel(func() {
			r := w.Do(t, root("POST", "/agent_api_keys", `{"agent_name":"test-agent","name":"`+name+`"}`))
			mu.Lock()
			defer mu.Unlock()
			seen[r.Status]++
			w.Hide(fmt.Sprint(r.Field("api_key")))
		})
		if seen[200] != 1 || seen[409] != many-1 {
			t.Errorf("%d creates of %q: %v", many, name, seen)
		}
	}
	var mu sync.Mutex
	tokens := make(map[any]int)
	parallel(func() {
		r := w.Do(t, root("POST", "/agents/register", `{"name":"a","description":"","acp_url":"","acp_type":"sync"}`))
		mu.Lock()
		defer mu.Unlock()
		tokens[fmt.Sprint(r.Status, r.Field("agent_api_key"))]++
		w.Hide(fmt.Sprint(r.Field("agent_api_key")))
	})
	if len(tokens) != 1 {
		t.Errorf("an agent got %v", tokens)
	}
	if keys := keysIn(t, w.do(t, root("GET", "/agent_api_keys?agent_name=a", ""), 200)); len(keys) != 1 {
		t.Errorf("it has %v", keys)
	}
}
