package jetstream

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// snapshot is where the server keeps what it knows of the messages of the ledger (its index.db), beside the files with the
// messages themselves. It is written at a clean stop and every two minutes.
const snapshot = "index.db"

// dropStaleSnapshot deletes the snapshot if messages were stored after it: the server was killed. The server would read it
// whole before it finds that out, and then read all the messages in any case. At a million keys that is two of six seconds.
//
// The server also takes from a stale snapshot how many messages there were at the least. That is no loss: the last
// signed head and the views are newer than the snapshot, and a ledger that is shorter than they say is refused.
func dropStaleSnapshot(store string) error {
	folder := filepath.Join(store, "jetstream", server.DEFAULT_GLOBAL_ACCOUNT, "streams", LedgerStream, "msgs")
	path := filepath.Join(folder, snapshot)
	written, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	stored, err := lastStored(folder)
	if err != nil || !stored.After(written.ModTime()) {
		return err
	}
	return os.Remove(path)
}

// lastStored is when the last file of messages was last written.
func lastStored(folder string) (last time.Time, err error) {
	blocks, err := filepath.Glob(filepath.Join(folder, "*.blk"))
	if err != nil {
		return last, err
	}
	for _, block := range blocks {
		info, err := os.Stat(block)
		if err != nil {
			return last, err
		}
		if info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last, nil
}
