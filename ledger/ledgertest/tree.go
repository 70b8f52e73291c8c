package ledgertest

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"keyledger/events"
)

// hashes are the hashes of the tree over the messages, as tlog stores them: all of them, one after the other.
type hashes []tlog.Hash

// grow adds the leaf of a message.
func (h *hashes) grow(m *events.Message) error {
	more, err := tlog.StoredHashes(int64(m.Sequence-1), events.AppendLeaf(nil, m), h)
	*h = append(*h, more...)
	return err
}

// ReadHashes implements tlog.HashReader.
func (h *hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index < 0 || index >= int64(len(*h)) {
			return nil, fmt.Errorf("ledgertest: the tree has no hash %d", index)
		}
		list[i] = (*h)[index]
	}
	return list, nil
}

// ReadHashes implements ledger.State.
func (s *State) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tree.ReadHashes(indexes)
}
