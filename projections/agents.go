package projections

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"keyledger/events"
	"keyledger/ledger"
)

// Lists of agents: of an owner, or all.
const (
	allAgents       = '*'
	workspaceAgents = 'w'
	orgAgents       = 'o'
)

// agentView holds every agent by its owner and id. Entries by owner and name, and in the lists of a workspace, of an org
// and of all, lead to those.
func (v *Views) agentView() view {
	return view{
		name:     "agents",
		version:  2, // names are hashed, and may be erased
		prefixes: string([]byte{agentPrefix, agentNamePrefix, agentListPrefix}),
		apply:    v.applyAgent,
	}
}

func (v *Views) applyAgent(b *pebble.Batch, c *change) error {
	p, ok := c.event.Payload.(*events.Agent)
	if !ok {
		return nil
	}
	a := ledger.NewAgent(c.event, p)
	if v.lost(a.Workspace, c.event) {
		a.Scrub()
	}
	key := agentKey(agentPrefix, a.Workspace, a.Org, a.ID)
	errs := []error{b.Set(key, packAgent(&a), nil)}
	if !a.Erased {
		errs = append(errs, b.Set(agentNameKey(a.Workspace, a.Org, a.Name), key, nil))
	}
	for _, list := range [...]struct {
		kind  byte
		owner string
	}{{allAgents, ""}, {workspaceAgents, a.Workspace}, {orgAgents, a.Org}} {
		if list.owner != "" || list.kind == allAgents {
			// The higher the sequence, the newer.
			entry := binary.BigEndian.AppendUint64(agentListKey(list.kind, list.owner), ^a.Sequence)
			errs = append(errs, b.Set(entry, key, nil))
		}
	}
	return errors.Join(errs...)
}

func agentKey(prefix byte, workspace, org, last string) []byte {
	return appendTexts([]byte{prefix}, workspace, org, last)
}

// agentNameKey has no name in it: files tell their least and their greatest key in several places.
func agentNameKey(workspace, org, name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return agentKey(agentNamePrefix, workspace, org, string(sum[:]))
}

func agentListKey(kind byte, owner string) []byte {
	return appendTexts([]byte{agentListPrefix, kind}, owner)
}

func packAgent(a *ledger.Agent) []byte {
	b := binary.AppendVarint(nil, a.CreatedAt.UnixMicro())
	erased := uint64(0)
	if a.Erased {
		erased = 1
	}
	b = binary.AppendUvarint(b, a.Sequence<<1|erased)
	return appendTexts(b, a.ID, a.Name, a.Workspace, a.Org, a.CreatedBy)
}

func unpackAgent(value []byte) (a ledger.Agent, err error) {
	r := unpacker{src: append([]byte(nil), value...)}
	a.CreatedAt = time.UnixMicro(r.varint()).UTC()
	sequence := r.uvarint()
	a.Sequence, a.Erased = sequence>>1, sequence&1 != 0
	for _, s := range [...]*string{&a.ID, &a.Name, &a.Workspace, &a.Org, &a.CreatedBy} {
		*s = alias(r.take(r.uvarint()))
	}
	if r.bad {
		return ledger.Agent{}, errDamaged
	}
	return a, nil
}

// Agent returns the agent of this exact owner and id, or ok false.
func (v *Views) Agent(_ context.Context, workspace, org, id string) (a ledger.Agent, ok bool, err error) {
	return v.agent(agentKey(agentPrefix, workspace, org, id))
}

// AgentByName returns the agent of this exact owner and name, or ok false.
func (v *Views) AgentByName(_ context.Context, workspace, org, name string) (a ledger.Agent, ok bool, err error) {
	var key []byte
	ok, err = v.get(agentNameKey(workspace, org, name), func(value []byte) error {
		key = append(key, value...)
		return nil
	})
	if err != nil || !ok {
		return ledger.Agent{}, false, err
	}
	return v.agent(key)
}

func (v *Views) agent(key []byte) (a ledger.Agent, ok bool, err error) {
	ok, err = v.get(key, func(value []byte) error {
		a, err = unpackAgent(value)
		return err
	})
	return a, ok, err
}

// Agents returns one page of agents, newest first. Like Keys, it looks at a bounded number of them.
func (v *Views) Agents(ctx context.Context, q *ledger.AgentQuery) (page ledger.AgentPage, err error) {
	list := agentListOf(q)
	it, err := v.iterate(ctx, list)
	if err != nil {
		return page, err
	}
	defer closeIterator(it, &err)
	it.First()
	if q.Until != nil {
		it.SeekGE(binary.BigEndian.AppendUint64(slices.Clip(list), ^*q.Until))
	}
	if q.After != "" {
		place, err := hex.DecodeString(q.After)
		if err != nil || len(place) != 8 {
			return page, &ledger.Error{Code: ledger.CodeInvalid, Field: "cursor", Detail: "is not one of this list"}
		}
		it.SeekGE(append(append(list, place...), 0))
	}
	limit, last, examined := max(q.Limit, 1), "", 0
	for ; it.Valid(); it.Next() {
		if examined == maxExamined {
			page.Next = last
			break
		}
		if examined++; examined%256 == 0 && ctx.Err() != nil {
			return ledger.AgentPage{}, ctx.Err()
		}
		a, ok, err := v.agent(it.Value())
		if err != nil {
			return ledger.AgentPage{}, err
		}
		if ok && agentMatches(q, &a) {
			if len(page.Agents) == limit {
				page.Next = last
				break
			}
			page.Agents = append(page.Agents, a)
		}
		last = hex.EncodeToString(it.Key()[len(list):])
	}
	return page, nil
}

func agentListOf(q *ledger.AgentQuery) []byte {
	switch {
	case q.Org != "":
		return agentListKey(orgAgents, q.Org)
	case q.Workspace != "":
		return agentListKey(workspaceAgents, q.Workspace)
	}
	return agentListKey(allAgents, "")
}

func agentMatches(q *ledger.AgentQuery, a *ledger.Agent) bool {
	is := func(want, has string) bool { return want == "" || want == has }
	return is(q.Workspace, a.Workspace) && is(q.Org, a.Org) && is(q.Name, a.Name) &&
		(q.Name == "" || !a.Erased)
}
