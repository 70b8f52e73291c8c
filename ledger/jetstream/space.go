package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// watchInterval is how often the room and the health of the store are looked at.
const watchInterval = 250 * time.Millisecond

// restartPause lies between two starts of the nats-server at least.
const restartPause = 2 * time.Second

// errBroken: the store had an I/O error that no room on the disk can cure.
var errBroken = errors.New("jetstream: the store is broken")

// errNoRoom: the disk, or the bound of the store, is nearly full.
var errNoRoom = errors.New("jetstream: no room")

// watch keeps the answer to Writable. A stream whose write failed stops for good, so once there is room again the
// nats-server is started anew.
func (s *Server) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var started time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !s.check() {
			continue
		}
		s.dropIndex()
		if s.room() == nil && time.Since(started) > restartPause {
			s.restart()
			started = time.Now()
		}
	}
}

// Writable tells why nothing can be stored now: nil when it can.
func (s *Server) Writable() error {
	if err := s.trouble.Load(); err != nil {
		return *err
	}
	if s.left.Load() < 0 {
		return fmt.Errorf("%w: less than half of the reserve of %d bytes is left", errNoRoom, s.options.Reserve)
	}
	return nil
}

// spend takes room for n more bytes from what was left at the last look.
func (s *Server) spend(n int) { s.left.Add(-int64(n)) }

// Failed gives an error when the store is broken and this process should end: after a failed sync it is not known
// what the disk holds, so nothing is stored any more until another process has read it again.
func (s *Server) Failed() <-chan error { return s.failed }

// check looks at the room and at the health of the streams. frozen tells that a write has failed for want of room.
func (s *Server) check() (frozen bool) {
	err := s.room()
	if broken := errors.Join(s.health(), s.whole()); broken != nil {
		if frozen = errors.Is(broken, errNoRoom); !frozen {
			select {
			case s.failed <- broken:
			default:
			}
		}
		err = broken
	}
	before := s.Writable()
	if err == nil {
		s.trouble.Store(nil)
	} else {
		s.trouble.Store(&err)
	}
	switch {
	case before == nil && err != nil:
		s.options.Log.Error("the ledger takes no events", "error", err)
	case before != nil && err == nil:
		s.options.Log.Info("the ledger takes events again")
	}
	return frozen
}

// room tells whether there is room on the disk and within the bound of the store.
func (s *Server) room() error {
	free, err := freeSpace(s.options.Dir)
	if err != nil {
		return fmt.Errorf("%w: free space: %w", errNoRoom, err)
	}
	if free < s.options.Reserve {
		return fmt.Errorf("%w: %d bytes are free on the disk, %d are kept in reserve", errNoRoom, free, s.options.Reserve)
	}
	used := int64(s.ns.Load().GlobalAccount().JetStreamUsage().Store)
	left := s.options.MaxBytes - used
	if left < s.options.Reserve {
		return fmt.Errorf("%w: %d of at most %d bytes are stored, %d are kept in reserve", errNoRoom, used, s.options.MaxBytes, s.options.Reserve)
	}
	s.left.Store(min(free, left) - s.options.Reserve/2)
	return nil
}

// health tells whether JetStream runs and no write has failed.
func (s *Server) health() error {
	h := s.ns.Load().Healthz(&server.HealthzOptions{})
	if h.Error == "" {
		return nil
	}
	if s.spent.Load() { // a write to the log of a Raft group failed
		return fmt.Errorf("%w: %s", errNoRoom, h.Error)
	}
	if !strings.Contains(h.Error, "write error") && s.ns.Load().JetStreamEnabled() {
		return nil
	}
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		if strings.Contains(h.Error, errno.Error()) {
			return fmt.Errorf("%w: %s", errNoRoom, h.Error)
		}
	}
	return fmt.Errorf("%w: %s", errBroken, h.Error)
}

// whole tells whether the replica of the ledger on this peer has no gap. What a peer has lost of a damaged file is not sent
// to it by the others, and it would answer reads, of any node, without it.
func (s *Server) whole() error {
	if s.options.Peer == nil {
		return nil // the stream itself is looked at
	}
	info, err := s.ns.Load().Jsz(&server.JSzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Streams: true})
	if err != nil {
		return nil //nolint:nilerr // JetStream does not run yet, or no more: that is for health to say
	}
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			if stream.Name != LedgerStream {
				continue
			}
			if err := checkWhole(&jetstream.StreamState{
				Msgs: stream.State.Msgs, FirstSeq: stream.State.FirstSeq, LastSeq: stream.State.LastSeq, NumDeleted: stream.State.NumDeleted,
			}); err != nil {
				return fmt.Errorf("on this node: %w", err)
			}
		}
	}
	return nil
}

// dropIndex removes the index that the server writes beside the blocks of a stream: after a failed write it counts a
// message that is not in them, which would be taken for a lost one. Without it the server reads the blocks.
func (s *Server) dropIndex() {
	paths, _ := filepath.Glob(filepath.Join(storeDir(s.options.Dir), "jetstream", "*", "streams", "*", "msgs", "index.db"))
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.options.Log.Warn("remove the index of a stream", "error", err)
		}
	}
}

// restart starts the nats-server anew. Connections come back by themselves.
func (s *Server) restart() {
	s.options.Log.Warn("starting the embedded server anew: its store had no room, and has now")
	s.halt()
	if err := s.start(); err != nil {
		select {
		case s.failed <- fmt.Errorf("%w: %w", errBroken, err):
		default:
		}
		return
	}
	s.check()
}
