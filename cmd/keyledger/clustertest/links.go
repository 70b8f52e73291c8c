package clustertest

import (
	"net"
	"sync"
	"testing"
)

const (
	// farSide is where the nodes reach each other through Links, and nearSide where Links come from. A node tells the others
	// under which host it sees a third one; neither is one on which that listens, so there is no way around the links.
	farSide, nearSide = "127.0.0.2", "127.0.0.3"
	// chunk is how many bytes a link reads at a time.
	chunk = 64 << 10
)

// Links carry what nodes send to each other, and hold it back when they are told to: as a network does that has lost its
// way, they close nothing, take new connections, and deliver late what was sent meanwhile. They need all of 127.0.0.0/8,
// as Linux has it.
type Links struct {
	t       testing.TB
	mu      sync.Mutex
	changed *sync.Cond
	held    map[link]bool
	ended   bool
	open    map[net.Conn]bool
	carry   sync.WaitGroup
}

// link is the way from one node to another.
type link struct{ from, to int }

// NewLinks makes links that hold back nothing, for Options.Route. They end with the test.
func NewLinks(t testing.TB) *Links {
	l := &Links{t: t, held: map[link]bool{}, open: map[net.Conn]bool{}}
	l.changed = sync.NewCond(&l.mu)
	t.Cleanup(l.end)
	return l
}

// Route opens the address under which one node reaches another one.
func (l *Links) Route(from, to int, address string) string {
	l.t.Helper()
	listener, err := new(net.ListenConfig).Listen(l.t.Context(), "tcp", farSide+":0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { listener.Close() })
	l.carry.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return // it is closed
			}
			l.connect(near, address, link{from, to})
		}
	})
	return listener.Addr().String()
}

// connect carries a connection on, in both directions.
func (l *Links) connect(near net.Conn, address string, way link) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(nearSide)}}
	far, err := dialer.DialContext(l.t.Context(), "tcp", address)
	if err != nil {
		near.Close() // the other one does not run
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		near.Close()
		far.Close()
		return
	}
	l.open[near], l.open[far] = true, true
	l.carry.Go(func() { l.pass(near, far, way) })
	l.carry.Go(func() { l.pass(far, near, link{way.to, way.from}) })
}

// pass carries bytes until one side closes.
func (l *Links) pass(src, dst net.Conn, way link) {
	b := make([]byte, chunk)
	for {
		n, err := src.Read(b)
		l.await(way)
		if _, failed := dst.Write(b[:n]); err != nil || failed != nil {
			break
		}
	}
	src.Close()
	dst.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, src)
}

// await waits until the way is not held.
func (l *Links) await(way link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.held[way] && !l.ended {
		l.changed.Wait()
	}
}

// Hold lets nothing from one node arrive at another one. The other direction stays as it is.
func (l *Links) Hold(from, to int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[link{from, to}] = true
}

// Part lets nothing pass between two nodes.
func (l *Links) Part(a, b int) {
	l.Hold(a, b)
	l.Hold(b, a)
}

// Heal lets everything pass, and delivers what was held.
func (l *Links) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.held)
	l.changed.Broadcast()
}

// end closes the connections.
func (l *Links) end() {
	l.mu.Lock()
	l.ended = true
	for c := range l.open {
		c.Close()
	}
	l.changed.Broadcast()
	l.mu.Unlock()
	l.carry.Wait()
}
