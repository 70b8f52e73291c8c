package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"keyledger/client"
	"keyledger/events"
	"keyledger/ledger/audit"
	"keyledger/ledger/audit/replay"
)

// history is the events that a command is about: of a server, or of an exported file.
type history struct {
	connection
	file   string
	at     moment
	wanted replay.Selection
}

func (h *history) flags(flags *pflag.FlagSet) {
	h.connection.flags(flags)
	h.ownerFlags(flags)
	flags.StringVar(&h.wanted.Key, "key", "", "only of the key with this id")
	flags.Uint64Var(&h.wanted.From, "from", 0, "first sequence")
	flags.Uint64Var(&h.wanted.To, "to-seq", 0, "last sequence (default: the last there is)")
	flags.Var(&h.at, "at", "end where the ledger was then: a time (RFC 3339), or that long ago (90d)")
}

func (h *history) ownerFlags(flags *pflag.FlagSet) {
	flags.StringVar(&h.file, "file", "", "exported ledger to read, instead of a server")
	flags.StringVar(&h.wanted.Workspace, "workspace", "", "only of this workspace")
	flags.StringVar(&h.wanted.Org, "org", "", "only of this organisation")
	flags.StringVar(&h.wanted.Agent, "agent", "", "only of this agent")
}

// check refuses flags that do not go together.
func (h *history) check(flags *pflag.FlagSet) error {
	h.wanted.At = h.at.time()
	switch {
	case flags.Changed("to-seq") && flags.Changed("at"):
		return &usageError{errors.New("give --to-seq or --at, not both")}
	case flags.Changed("to-seq") && h.wanted.To == 0:
		return &usageError{errors.New("--to-seq: sequences begin at 1")}
	case flags.Changed("to-seq") && h.wanted.To < h.wanted.From:
		return &usageError{errors.New("--to-seq is before --from")}
	case flags.Changed("at") && h.wanted.At.IsZero():
		return &usageError{errors.New("--at: give a time")}
	}
	if h.wanted.Key != "" {
		id, err := uuid.Parse(h.wanted.Key)
		if err != nil {
			return &usageError{fmt.Errorf("--key: %q is no id of a key", h.wanted.Key)}
		}
		h.wanted.Key = id.String()
	}
	return nil
}

// opened is a history that is read.
type opened struct {
	events iter.Seq2[events.Event, error]
	source string                          // names the ledger, in its events
	name   func(key string) string         // of a key that no event has told of; nil: not to be had
	passed func(uint64) (done, all uint64) // how far it is, at a sequence
	close  func()
}

// open begins to read. notes is told of a lost connection.
func (h *history) open(ctx context.Context, notes io.Writer) (*opened, error) {
	if h.file != "" {
		return openHistory(h.file)
	}
	c, err := h.connection.open()
	if err != nil {
		return nil, err
	}
	o := &opened{name: keyNames(ctx, c), close: func() {}}
	all, err := ledgerSize(ctx, c)
	if err != nil {
		return nil, err
	}
	if h.wanted.To > 0 {
		all = h.wanted.To
	}
	o.passed = func(sequence uint64) (uint64, uint64) { return sequence, max(all, sequence) }
	told := c.KeyEvents(ctx, h.wanted.Key, 0)
	if h.wanted.Key == "" {
		told = c.Subscribe(ctx, client.EventFilter{
			WorkspaceID: h.wanted.Workspace, OrgID: h.wanted.Org, AgentID: h.wanted.Agent, UntilNow: true,
			Lost: func(err error) { fmt.Fprintf(notes, "the connection is lost, and made again: %v\n", err) },
		}, 0)
	}
	o.events = func(yield func(events.Event, error) bool) {
		for shown, err := range told {
			var e events.Event
			if err == nil {
				o.source = shown.Source
				e, err = exchanged(&shown)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
	return o, nil
}

// exchanged is an event that a server has told of.
func exchanged(shown *client.Event) (events.Event, error) {
	text, err := exchangeForm(shown)
	if err != nil {
		return events.Event{}, err
	}
	return events.ParseCloudEvent(text)
}

// exchangeForm is what the server has told.
func exchangeForm(shown *client.Event) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(shown)
	return text.Bytes(), err
}

// openHistory opens an exported ledger.
func openHistory(name string) (*opened, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--file: %w", err)}
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, &usageError{fmt.Errorf("--file: %w", err)}
	}
	r, err := audit.NewReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %s: %w", errFoundErrors, name, err)
	}
	return &opened{
		source: r.Header().Source,
		events: func(yield func(events.Event, error) bool) {
			for e, err := range r.Events() {
				if err != nil {
					err = fmt.Errorf("%w: %s: %w", errFoundErrors, name, err)
				}
				if !yield(e, err) {
					return
				}
			}
		},
		passed: func(uint64) (uint64, uint64) { return uint64(r.Offset()), uint64(info.Size()) },
		close:  func() { f.Close() },
	}, nil
}

// namesKept is how many names of keys are remembered.
const namesKept = 10_000

// keyNames asks a server for the names of keys.
func keyNames(ctx context.Context, c *client.Client) func(string) string {
	known := map[string]string{}
	return func(id string) string {
		name, ok := known[id]
		if !ok {
			if len(known) >= namesKept {
				clear(known)
			}
			if key, err := c.Key(ctx, id); err == nil { // else it may not be seen
				name = key.Name
			}
			known[id] = name
		}
		return name
	}
}

// ledgerSize is how many events the ledger has, by its signed head: 0 when the server does not tell, as that is only for the
// eye. It fails when there is no answer: a stream of events would wait for the server.
func ledgerSize(ctx context.Context, c *client.Client) (uint64, error) {
	head, _, err := c.Checkpoint(ctx)
	if errors.Is(err, client.ErrNoAnswer) {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(head), "\n")
	size, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		return 0, nil //nolint:nilerr // see above
	}
	return n, nil
}
