package projections

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
)

// waiters are the goroutines that wait for a position, the lowest first: a new position wakes those it releases and
// touches no others.
type waiters struct {
	mu    sync.Mutex
	queue waiterQueue
	ended error // nobody moves the position any more
}

type waiter struct {
	sequence uint64
	index    int        // in the queue, -1 when not in it
	done     chan error // takes one value: the result of the wait
}

// wait returns when position has reached sequence, when ctx ends or with what was given to stop.
func (w *waiters) wait(ctx context.Context, sequence uint64, position *atomic.Uint64) error {
	me := &waiter{sequence: sequence, done: make(chan error, 1)}
	w.mu.Lock()
	switch {
	case position.Load() >= sequence: // reached before we were in the queue
		w.mu.Unlock()
		return nil
	case w.ended != nil:
		defer w.mu.Unlock()
		return w.ended
	}
	heap.Push(&w.queue, me)
	w.mu.Unlock()
	select {
	case err := <-me.done:
		return err
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		if me.index >= 0 {
			heap.Remove(&w.queue, me.index)
		}
		return ctx.Err()
	}
}

// release wakes those who wait for position or less. It is called after position was stored.
func (w *waiters) release(position uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 && w.queue[0].sequence <= position {
		heap.Pop(&w.queue).(*waiter).done <- nil
	}
}

// start lets waits wait again after stop.
func (w *waiters) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = nil
}

// stop ends all waits with err, now and until start.
func (w *waiters) stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = err
	for len(w.queue) > 0 {
		heap.Pop(&w.queue).(*waiter).done <- err
	}
}

// waiterQueue is a heap.Interface.
type waiterQueue []*waiter

func (q waiterQueue) Len() int           { return len(q) }
func (q waiterQueue) Less(i, j int) bool { return q[i].sequence < q[j].sequence }

func (q waiterQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *waiterQueue) Push(x any) {
	w := x.(*waiter)
	w.index = len(*q)
	*q = append(*q, w)
}

func (q *waiterQueue) Pop() any {
	old := *q
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	w.index = -1
	return w
}
