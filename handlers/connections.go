package handlers

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Connections bounds how many connections an http.Server has. When there are too many, an idle one is closed for the
// new one, as if its idle time had passed; when none is idle, the new one is refused.
type Connections struct {
	most    int
	mu      sync.Mutex
	open    map[*connection]struct{}
	closed  prometheus.Counter
	refused prometheus.Counter
}

// NewConnections gives Connections of which there are most at once, for one server.
func NewConnections(most int, registerer prometheus.Registerer) (*Connections, error) {
	c := &Connections{
		most: most,
		open: make(map[*connection]struct{}),
		closed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_http_connections_closed_total",
			Help: "Idle connections closed because there were too many.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyledger_http_connections_refused_total",
			Help: "Connections refused because there were too many and none was idle.",
		}),
	}
	number := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "keyledger_http_connections",
		Help: "HTTP connections, idle ones too.",
	}, c.number)
	for _, collector := range []prometheus.Collector{number, c.closed, c.refused} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Connections) number() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(len(c.open))
}

// Bound makes server, which serves on the listener that it returns, keep to the bound.
func (c *Connections) Bound(server *http.Server, l net.Listener) net.Listener {
	server.ConnState = watch
	return &boundListener{Listener: l, connections: c, encrypted: server.TLSConfig != nil}
}

// watch notes whether a connection is idle.
func watch(conn net.Conn, state http.ConnState) {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	if c, ok := conn.(*connection); ok {
		c.idle.Store(state == http.StateIdle)
	}
}

// connection is one that is counted until it is closed.
type connection struct {
	net.Conn
	of   *Connections
	idle atomic.Bool
}

// Close closes it and makes its place free.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets net/http end its side first, so that the client can still read the last answer.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// add counts a connection: nil when there is no place for it. Which idle one it takes the place of is left to chance, so
// it is mostly one of whoever has most.
func (c *Connections) add(conn net.Conn) *connection {
	added := &connection{Conn: conn, of: c}
	c.mu.Lock()
	var victim *connection
	if len(c.open) >= c.most {
		if victim = c.anyIdle(); victim == nil {
			c.mu.Unlock()
			return nil
		}
		delete(c.open, victim)
	}
	c.open[added] = struct{}{}
	c.mu.Unlock()
	if victim != nil {
		c.closed.Inc()
		_ = victim.Conn.Close()
	}
	return added
}

func (c *Connections) anyIdle() *connection {
	for conn := range c.open {
		if conn.idle.Load() {
			return conn
		}
	}
	return nil
}

// boundListener accepts what there is a place for.
type boundListener struct {
	net.Listener
	connections *Connections
	encrypted   bool
}

func (l *boundListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.connections.add(conn); c != nil {
			return c, nil
		}
		l.connections.refused.Inc()
		if !l.encrypted {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = conn.Write([]byte(tooManyConnections)) // it fits into the empty buffer of the socket
		}
		_ = conn.Close()
	}
}

// tooManyConnections is the answer on a connection that is refused.
const tooManyConnections = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
