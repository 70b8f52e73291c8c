package projections_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"

	"keyledger/projections"
)

// TestShow brings the views what this process appended, in any order and from many goroutines, while the log hands over
// what others appended, and all of it again, at its own pace.
func TestShow(t *testing.T) {
	const n, steps = 3000, 30
	modes(t, func(t *testing.T, diskIndex bool) {
		log := newBulk(t, n)
		v := open(t, projections.Options{FS: vfs.NewMem(), DiskIndex: diskIndex})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		gate := &gated{bulk: log, open: make(chan int)}
		go func() { ended <- v.Run(ctx, gate, nil) }()
		rng := rand.New(rand.NewPCG(3, 4))
		var own errgroup.Group
		for _, i := range rng.Perm(n) {
			if log.messages[i].Sequence%7 == 0 {
				continue // of another process: it comes from the log alone
			}
			own.Go(func() error { return v.Show(ctx, log.messages[i]) })
		}
		for step := range steps {
			gate.open <- n / steps * (step + 1)
		}
		if err := own.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := v.WaitFor(ctx, n-n%7); err != nil {
			t.Fatal(err)
		}
		log.check(t, v, true)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestShowDoesNotWaitForTheLog shows what follows what is shown, while the log sends nothing.
func TestShowDoesNotWaitForTheLog(t *testing.T) {
	log := newBulk(t, 10)
	v := open(t, projections.Options{FS: vfs.NewMem()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := v.Show(ctx, log.messages[:3]...); err != nil || v.Position() != 3 {
		t.Errorf("at %d: %v", v.Position(), err)
	}
	late := make(chan error, 1)
	go func() { late <- v.Show(ctx, log.messages[4]) }()
	if err := v.Show(ctx, log.messages[3]); err != nil || v.Position() < 4 {
		t.Errorf("at %d: %v", v.Position(), err)
	}
	if err := <-late; err != nil || v.Position() != 5 {
		t.Errorf("at %d: %v", v.Position(), err)
	}
	log.check(t, v, true)

	gone, leave := context.WithTimeout(ctx, time.Millisecond)
	defer leave()
	if err := v.Show(gone, log.messages[6]); err == nil || v.Position() != 5 {
		t.Errorf("shown without the message before it: at %d, %v", v.Position(), err)
	}
}

// growing is a log that is asked for its end while this process appends to it.
type growing struct {
	*bulk
	meanwhile func()
}

func (l *growing) Last(context.Context) (uint64, error) {
	l.meanwhile()
	return 0, nil
}

// TestShowWhileTheViewsBegin shows what is appended just after the log told that it was empty.
func TestShowWhileTheViewsBegin(t *testing.T) {
	log := newBulk(t, 10)
	v := open(t, projections.Options{FS: vfs.NewMem()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	slow := &growing{bulk: log, meanwhile: func() {
		if err := v.Show(ctx, log.messages[:3]...); err != nil {
			t.Error(err)
		}
	}}
	go func() { ended <- v.Run(ctx, slow, nil) }()
	if err := v.WaitFor(ctx, 10); err != nil {
		t.Fatal(err)
	}
	log.check(t, v, true)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
