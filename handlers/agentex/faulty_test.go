package agentex_test

import (
	"context"
	"sync"

	"keyledger/handlers"
	"keyledger/ledger"
)

// faulty is a log that fails as it is told.
type faulty struct {
	ledger.Log
	mu  sync.Mutex
	err error
}

func (f *faulty) configure(_ *handlers.Config, rules *ledger.Config) { f.Log, rules.Log = rules.Log, f }

func (f *faulty) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// Append fails, or appends.
func (f *faulty) Append(ctx context.Context, entries ...ledger.Entry) (uint64, error) {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return f.Log.Append(ctx, entries...)
}
