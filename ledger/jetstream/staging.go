package jetstream

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// staging lets the server keep what it stages of an atomic batch in memory. The server makes a folder for each batch,
// syncs some six files and folders in it, stores the batch in the stream, syncs that, and deletes the folder again: only
// the folder of an unfinished batch is ever read, to finish it after a crash. A file system in memory outlives a crash
// of this process, and without all those syncs a batch takes a third of the time.
//
// A power failure may leave the first messages of such a batch in the stream, without its end. So it is for batches of
// commits that are one message each: some of them are stored then, and none was acknowledged.
//
// The place of the folder is the server's business (getBatchStoreDir in its jetstream_batching.go). Should a newer one
// stage elsewhere, batches take their time again and nothing else changes.
type staging struct {
	memory string // folder in memory
	stream string // where the server makes the folders of batches
}

// newStaging gives a staging for a server's store, or nil where there is no file system in memory of our own.
func newStaging(store string) *staging {
	path, err := filepath.Abs(store)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256([]byte(path))
	memory := filepath.Join(sharedMemory, "keyledger-"+hex.EncodeToString(sum[:8]))
	if !ownMemory(memory) {
		return nil
	}
	stream := filepath.Join(store, "jetstream", server.DEFAULT_GLOBAL_ACCOUNT, "streams", LedgerStream, "batches")
	return &staging{memory: memory, stream: stream}
}

// stage makes the folder of a batch that is about to begin. It may fail: the server makes its own then.
func (s *staging) stage(batch string) {
	if s == nil {
		return
	}
	name := batchFolder(batch)
	folder := filepath.Join(s.memory, name)
	if os.Mkdir(folder, 0o700) != nil {
		return
	}
	if os.Symlink(folder, filepath.Join(s.stream, name)) == nil || os.MkdirAll(s.stream, 0o700) != nil {
		return
	}
	_ = os.Symlink(folder, filepath.Join(s.stream, name))
}

// drop deletes what the server staged of a batch that has ended.
func (s *staging) drop(batch string) {
	if s == nil {
		return
	}
	name := batchFolder(batch)
	_ = os.Remove(filepath.Join(s.stream, name)) // the server has moved it, unless it staged elsewhere
	_ = os.RemoveAll(filepath.Join(s.memory, name))
}

// close deletes everything in memory. The server must have stopped.
func (s *staging) close() {
	if s != nil {
		_ = os.RemoveAll(s.memory)
	}
}

// batchFolder is the name of the folder of a batch: getHash in the server's events.go.
func batchFolder(batch string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(batch))
	for i := range 8 {
		sum[i] = digits[int(sum[i])%len(digits)]
	}
	return string(sum[:8])
}
