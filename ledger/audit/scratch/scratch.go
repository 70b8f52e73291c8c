// Package scratch is a store for what does not fit into memory, in a temporary folder of its own.
package scratch

import (
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// Store is a Pebble that nobody opens again. It takes some 20 MiB of memory, whatever is in it.
type Store struct {
	*pebble.DB
	folder string
}

// Open makes a folder within parent, or where the system has temporary folders when that is empty, and a Store in it.
func Open(parent string) (*Store, error) {
	folder, err := os.MkdirTemp(parent, "keyledger-audit-")
	if err != nil {
		return nil, err
	}
	options := &pebble.Options{
		CacheSize:    16 << 20,
		MemTableSize: 4 << 20,
		DisableWAL:   true, // nothing is read again after a crash
		Logger:       quiet{},
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // most looks are for what is new
	}
	db, err := pebble.Open(folder, options)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &Store{db, folder}, nil
}

// Look is the value of a key, nil when there is none.
func (s *Store) Look(key []byte) ([]byte, error) {
	value, done, err := s.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{}, value...), done.Close()
}

// SetAll sets values of keys, some at a time. Both may be changed when they were taken.
func (s *Store) SetAll(values iter.Seq2[[]byte, []byte]) error {
	const most = 1 << 20 // bytes of one write
	b := s.NewBatch()
	defer b.Close()
	for key, value := range values {
		if err := b.Set(key, value, nil); err != nil {
			return err
		}
		if b.Len() < most {
			continue
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			return err
		}
		b.Reset()
	}
	return b.Commit(pebble.NoSync)
}

// Close closes the Store and removes the folder.
func (s *Store) Close() error { return errors.Join(s.DB.Close(), os.RemoveAll(s.folder)) }

// quiet drops what Pebble would log: its errors are returned too.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf must not return: Pebble goes on from nothing after it.
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
