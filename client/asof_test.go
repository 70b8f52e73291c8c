package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyledger/client"
)

func TestAsOf(t *testing.T) {
	c := open(t, "")
	workspace := uuid.NewString()
	created, err := c.CreateKey(t.Context(), client.CreateKey{Name: "first", WorkspaceID: workspace})
	if err != nil {
		t.Fatal(err)
	}
	name := "second"
	renamed, err := c.UpdateKey(t.Context(), created.ID, client.UpdateKey{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, then := range []struct {
		at   client.AsOf
		name string
	}{
		{client.AsOf{Sequence: created.Sequence}, "first"},
		{client.AsOf{Time: renamed.UpdatedAt.Add(-time.Microsecond)}, "first"},
		{client.AsOf{Time: renamed.UpdatedAt}, "second"},
		{client.AsOf{}, "second"},
	} {
		key, err := c.KeyAsOf(t.Context(), created.ID, then.at)
		if err != nil || key.Name != then.name {
			t.Errorf("%+v: %s, %v", then.at, key.Name, err)
		}
		for key, err := range c.Keys(t.Context(), client.KeyQuery{WorkspaceID: workspace, AsOf: then.at}) {
			if err != nil || key.Name != then.name || key.ID != created.ID {
				t.Errorf("listed %+v: %s, %v", then.at, key.Name, err)
			}
		}
	}
	agent, err := c.RegisterAgent(t.Context(), client.RegisterAgent{Name: "a", WorkspaceID: workspace})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[uint64]int{agent.Sequence - 1: 0, agent.Sequence: 1} {
		page, err := c.AgentPage(t.Context(), client.AgentQuery{WorkspaceID: workspace, AsOf: client.AsOf{Sequence: at}}, "", 0)
		if err != nil || len(page.Data) != want {
			t.Errorf("agents as of %d: %v, %v", at, page.Data, err)
		}
	}
	var refused *client.Error
	if _, err := c.KeyAsOf(t.Context(), created.ID, client.AsOf{Sequence: 1}); !errors.As(err, &refused) || refused.Code != client.CodeNotFound {
		t.Errorf("before it was: %v", err)
	}
}
