package jetstream

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	probePause = time.Second      // between two looks at how fast the disk is
	slowDisk   = time.Second      // a synced write of a byte that takes as long is slow
	yieldPause = 10 * time.Second // between two times that a peer yields, at first: each costs an election
	yieldMost  = 5 * time.Minute  // and at last: the other disks may be no faster
)

// watchDisk lets other peers lead what this one leads, when its disk is slow: who writes to a stream waits for its leader's
// disk first, and nats-server elects a peer for what it has, however long it takes to store more.
func (s *Server) watchDisk(ctx context.Context) {
	path := filepath.Join(s.options.Dir, "disk.probe")
	defer os.Remove(path)
	var p pace
	for {
		took, err := probe(path)
		if err == nil && p.yields(time.Now(), took) { // a full or broken disk is for check
			s.yield(took)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(probePause):
		}
	}
}

// probe tells how long a synced write takes.
func probe(path string) (time.Duration, error) {
	began := time.Now()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.Write([]byte{0}); err != nil {
		return 0, err
	}
	err = f.Sync()
	return time.Since(began), err
}

// pace is how fast a disk has been lately.
type pace struct {
	slow  int // probes in a row
	next  time.Time
	pause time.Duration
}

// yields tells whether a peer should yield after a probe: the second one in a row that was slow, and then after pauses that grow.
func (p *pace) yields(now time.Time, took time.Duration) bool {
	if took < slowDisk {
		*p = pace{next: p.next}
		return false
	}
	p.slow++
	if p.slow < 2 || now.Before(p.next) {
		return false
	}
	p.pause = max(yieldPause, min(2*p.pause, yieldMost))
	p.next = now.Add(p.pause)
	return true
}

// yield lets other peers lead the streams that this one leads.
func (s *Server) yield(took time.Duration) {
	ns := s.ns.Load()
	info, err := ns.Jsz(&server.JSzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Streams: true})
	if err != nil {
		return // JetStream does not run
	}
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			if !ns.JetStreamIsStreamLeader(account.Name, stream.Name) {
				continue
			}
			err := ns.JetStreamStepdownStream(account.Name, stream.Name)
			s.options.Log.Warn("the disk of this peer is slow: another one is to lead", "took", took, "stream", stream.Name, "error", err)
		}
	}
}
