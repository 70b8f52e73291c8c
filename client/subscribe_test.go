package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"keyledger/client"
)

// ways are the ways to subscribe, each over a link.
func ways() map[string]func(*testing.T, client.Token) (*client.Client, *link) {
	return map[string]func(*testing.T, client.Token) (*client.Client, *link){"NATS": overNATS, "SSE": overSSE}
}

// subscriber creates a key that may read the events of a workspace.
func subscriber(t *testing.T, workspace string) client.Issued {
	t.Helper()
	key, err := open(t, "").CreateKey(t.Context(), client.CreateKey{Name: "subscriber", WorkspaceID: workspace, Scopes: verifierScopes()})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// history reads what the ledger has of a workspace.
func history(t *testing.T, workspace string) []client.Event {
	t.Helper()
	var list []client.Event
	for e, err := range open(t, "").Events(t.Context(), client.EventQuery{WorkspaceID: workspace}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// collect reads events until the one with a sequence, which comes on last.
func collect(c *client.Client, ctx context.Context, filter client.EventFilter, from uint64, last <-chan uint64) ([]client.Event, error) {
	var got []client.Event
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var until uint64
	ended := errors.New("all has come")
	seen := make(chan uint64)
	go func() {
		var at uint64
		for {
			select {
			case at = <-seen:
			case until = <-last:
				last = nil
			case <-ctx.Done():
				return
			}
			if until > 0 && at >= until {
				cancel(ended)
			}
		}
	}()
	for e, err := range c.Subscribe(ctx, filter, from) {
		if errors.Is(context.Cause(ctx), ended) {
			if err == nil {
				got = append(got, e)
			}
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, e)
		select {
		case seen <- e.Sequence:
		case <-ctx.Done():
		}
	}
	return got, nil
}

// data is what an event says; sealed: to a reader without keys.
func data(t *testing.T, e *client.Event, sealed bool) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(e.Data, &all); err != nil {
		t.Fatal(err)
	}
	seal := func(in map[string]any, names ...string) {
		for _, name := range names {
			if in[name] != nil && sealed {
				in[name] = "sealed"
			}
		}
	}
	seal(all, "name", "agent_name", "reason")
	seal(all["origin"].(map[string]any), "ip", "user_agent")
	return all
}

// TestSubscribeResumes: whatever is cut, and whenever, each event of the owner comes once, in order, as the history has it.
func TestSubscribeResumes(t *testing.T) {
	for name, connect := range ways() {
		t.Run(name, func(t *testing.T) {
			workspace := "resume-" + strings.ToLower(name)
			root := open(t, "")
			c, l := connect(t, subscriber(t, workspace).Token)
			rapid.Check(t, func(rt *rapid.T) {
				creates := rapid.IntRange(1, 8).Draw(rt, "creates")
				cuts := rapid.SliceOfN(rapid.IntRange(0, 8), 0, 2).Draw(rt, "cut before event")
				past := history(t, workspace)
				from := rapid.SampledFrom(past).Draw(rt, "from").Sequence
				l.cutAfter(int64(rapid.SampledFrom([]int{0, 0, 0, 3000, 9000}).Draw(rt, "cut after bytes")))
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				last := make(chan uint64, 1)
				var end uint64
				var added errgroup.Group
				added.Go(func() error {
					var sequence uint64
					for i := range creates {
						if slices.Contains(cuts, i) {
							l.cut()
						}
						key, err := root.CreateKey(ctx, client.CreateKey{Name: fmt.Sprint(i), WorkspaceID: workspace})
						if err != nil {
							return err
						}
						sequence = key.Sequence
					}
					l.cutAfter(0) // what takes more bytes would never come
					end = sequence
					last <- sequence
					return nil
				})
				got, err := collect(c, ctx, client.EventFilter{WorkspaceID: workspace}, from, last)
				if err := errors.Join(err, added.Wait()); err != nil {
					rt.Fatalf("after %d events: %v", len(got), err)
				}
				// The subscriber's first use is announced some time, maybe behind the end.
				outside := func(e client.Event) bool { return e.Sequence < from || e.Sequence > end }
				got, want := slices.DeleteFunc(got, outside), slices.DeleteFunc(history(t, workspace), outside)
				if len(got) != len(want) {
					rt.Fatalf("%d events came of %d", len(got), len(want))
				}
				for i := range got {
					if got[i].ID != want[i].ID || got[i].Sequence != want[i].Sequence ||
						!reflect.DeepEqual(data(t, &got[i], false), data(t, &want[i], name == "NATS")) {
						rt.Fatalf("event %d is %d, want %d", i, got[i].Sequence, want[i].Sequence)
					}
				}
			})
			if l.broken() == 0 {
				t.Error("no connection was cut")
			}
		})
	}
}

// TestSubscribeEnds: a subscription whose key is revoked ends with an error that says so, and gives nothing after it.
func TestSubscribeEnds(t *testing.T) {
	for name, connect := range ways() {
		t.Run(name, func(t *testing.T) {
			key := subscriber(t, "ends")
			c, _ := connect(t, key.Token)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var refused *client.Error
			for _, err := range c.Subscribe(ctx, client.EventFilter{}, key.Sequence) {
				if err == nil {
					if _, err := open(t, "").RevokeKey(ctx, key.ID, ""); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if !errors.As(err, &refused) || refused.Code != client.CodeUnauthenticated {
					t.Fatalf("got %v", err)
				}
			}
			if refused == nil {
				t.Fatal("it ended without an error")
			}
		})
	}
}

// TestSubscribeRefused: who may not read, or asks for what is not theirs, is told at once.
func TestSubscribeRefused(t *testing.T) {
	poor, err := open(t, "").CreateKey(t.Context(), client.CreateKey{Name: "poor", WorkspaceID: "acme", Scopes: []string{"deploy"}})
	if err != nil {
		t.Fatal(err)
	}
	own := subscriber(t, "acme")
	for name, connect := range ways() {
		for what, test := range map[string]struct {
			token  client.Token
			filter client.EventFilter
			code   client.Code
		}{
			"no scope":  {poor.Token, client.EventFilter{}, client.CodeForbidden},
			"no key":    {client.NewToken("nobody-knows-this-token-of-32-chars"), client.EventFilter{}, client.CodeUnauthenticated},
			"another's": {own.Token, client.EventFilter{WorkspaceID: "other"}, client.CodeNotFound},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				c, _ := connect(t, test.token)
				var got error
				for _, err := range c.Subscribe(t.Context(), test.filter, 1) {
					got = err
				}
				var refused *client.Error
				if !errors.As(got, &refused) || refused.Code != test.code {
					t.Fatalf("got %v, want %s", got, test.code)
				}
			})
		}
	}
}

// TestSubscribeSelects: types, an owner and an end are the same either way, and what comes from now on is not the past.
func TestSubscribeSelects(t *testing.T) {
	root := open(t, "")
	key := subscriber(t, "selects")
	k, err := root.CreateKey(t.Context(), client.CreateKey{Name: "k", WorkspaceID: "selects", OrgID: "eu"})
	if err != nil {
		t.Fatal(err)
	}
	if k.Key, err = root.RevokeKey(t.Context(), k.ID, "gone"); err != nil {
		t.Fatal(err)
	}
	for name, connect := range ways() {
		t.Run(name, func(t *testing.T) {
			reason := "gone"
			if name == "NATS" {
				reason = "sealed" // only servers have the keys
			}
			c, _ := connect(t, key.Token)
			for want, filter := range map[string]client.EventFilter{
				"[keyledger.key.created keyledger.key.created keyledger.key.revoked]": {UntilNow: true},
				"[keyledger.key.created keyledger.key.revoked]":                       {UntilNow: true, OrgID: "eu"},
				"[keyledger.key.revoked]":                                             {UntilNow: true, Types: []string{"key.revoked", "keyledger.key.enabled"}},
				"[]":                                                                  {UntilNow: true, OrgID: "us"},
			} {
				types := []string{}
				for e, err := range c.Subscribe(t.Context(), filter, 0) {
					if err != nil {
						t.Fatal(err)
					}
					if e.Type == client.TypeKeyFirstUsed {
						continue // the subscriber's, which is announced some time
					}
					types = append(types, e.Type)
					if change, err := e.Key(); err != nil || e.Type == client.TypeKeyRevoked && *change.Reason != reason {
						t.Errorf("%+v %v", change, err)
					}
				}
				if fmt.Sprint(types) != want {
					t.Errorf("%+v: got %v", filter, types)
				}
			}
		})
	}
}
