package replay

import (
	"fmt"

	"github.com/google/uuid"

	"keyledger/ledger/audit/scratch"
)

// stateID names a state: 'k' or 'w' and the id of the key or webhook.
type stateID [17]byte

func stateOf(what byte, id uuid.UUID) (s stateID) {
	s[0] = what
	copy(s[1:], id[:])
	return s
}

// states holds packed states: the most recent ones in memory, in two generations, the others in Pebble, in a temporary
// folder. When the young generation is full, the old one is written, and the young one becomes the old one. So what is
// in use stays in memory, and as long as all fits there is no folder.
type states struct {
	young, old map[stateID]string
	size       int // bytes of the young generation
	most       int // bytes of a generation

	temp string         // where to make the folder; empty: where the system has such folders
	db   *scratch.Store // nil: there is none yet
}

const entryBytes = 96 // about what a state in memory takes besides its packed bytes

func newStates(temp string, memory int) *states {
	return &states{young: map[stateID]string{}, old: map[stateID]string{}, most: memory / 2, temp: temp}
}

// get is a packed state, empty when there is none.
func (s *states) get(id stateID) (string, error) {
	if packed, ok := s.young[id]; ok {
		return packed, nil
	}
	if packed, ok := s.old[id]; ok {
		return packed, nil
	}
	if s.db == nil {
		return "", nil
	}
	value, err := s.db.Look(id[:])
	if err != nil {
		return "", fmt.Errorf("replay: %w", err)
	}
	return string(value), nil
}

// set replaces a state.
func (s *states) set(id stateID, packed string) error {
	before, replaced := s.young[id]
	s.young[id] = packed
	if s.size += len(packed) - len(before); !replaced {
		s.size += entryBytes
	}
	if s.size <= s.most {
		return nil
	}
	if err := s.spill(); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}

// spill writes the old generation. The young one becomes the old one.
func (s *states) spill() error {
	if len(s.old) > 0 {
		if err := s.open(); err != nil {
			return err
		}
		err := s.db.SetAll(func(yield func([]byte, []byte) bool) {
			for id, packed := range s.old {
				if !yield(id[:], []byte(packed)) {
					return
				}
			}
		})
		if err != nil {
			return err
		}
	}
	clear(s.old)
	s.young, s.old, s.size = s.old, s.young, 0
	return nil
}

// open makes the folder, the first time.
func (s *states) open() (err error) {
	if s.db == nil {
		s.db, err = scratch.Open(s.temp)
	}
	return err
}

// close removes the folder.
func (s *states) close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}
