package client_test

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"keyledger/client"
)

// link is a connection to the server that can be cut: a TCP proxy.
type link struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[net.Conn]bool
	held  chan struct{} // not nil: nothing passes until it is closed
	cuts  int           // connections that were cut
	after int64         // bytes after which a new connection is cut by itself; 0: never
}

// newLink puts a link before an address of the server.
func newLink(t *testing.T, target string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, target: target, conns: make(map[net.Conn]bool)}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { l.carry(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.resume()
		l.cut()
		open.Wait()
	})
	return l
}

func (l *link) addr() string { return l.listener.Addr().String() }

// carry copies both ways until one end is closed.
func (l *link) carry(conn net.Conn) {
	defer conn.Close()
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer server.Close()
	l.mu.Lock()
	l.conns[conn] = true
	after := l.after
	l.mu.Unlock()
	go func() {
		_, _ = io.Copy(server, conn)
		server.Close()
	}()
	l.answers(conn, server, after)
	l.mu.Lock()
	delete(l.conns, conn)
	l.mu.Unlock()
}

// answers copies what the server sends.
func (l *link) answers(conn, server net.Conn, after int64) {
	b := make([]byte, 4096)
	for sent := int64(0); ; {
		n, err := server.Read(b)
		l.mu.Lock()
		held := l.held
		l.mu.Unlock()
		if held != nil {
			<-held
		}
		if after > 0 && sent+int64(n) > after {
			n, err = int(after-sent), io.EOF
			l.mu.Lock()
			l.cuts++
			l.mu.Unlock()
		}
		sent += int64(n)
		if _, failed := conn.Write(b[:n]); failed != nil || err != nil {
			return
		}
	}
}

// cut closes all connections.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		conn.Close()
		l.cuts++
	}
}

// cutAfter lets connections that are made from now on be cut when the server has sent so many bytes.
func (l *link) cutAfter(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after = bytes
}

func (l *link) broken() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cuts
}

// hold lets nothing pass to the client until resume.
func (l *link) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = make(chan struct{})
	}
}

func (l *link) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		close(l.held)
		l.held = nil
	}
}

// overNATS gives a client of a token whose NATS connections pass a link.
func overNATS(t *testing.T, token client.Token) (*client.Client, *link) {
	t.Helper()
	l := newLink(t, strings.TrimPrefix(os.Getenv("KEYLEDGER_NATS"), "nats://"))
	return connected(t, os.Getenv("KEYLEDGER_SERVER"), token, client.WithNATS("nats://"+l.addr())), l
}

// overSSE gives a client of a token whose HTTP connections pass a link.
func overSSE(t *testing.T, token client.Token) (*client.Client, *link) {
	t.Helper()
	l := newLink(t, strings.TrimPrefix(os.Getenv("KEYLEDGER_SERVER"), "http://"))
	return connected(t, "http://"+l.addr(), token), l
}

func connected(t *testing.T, address string, token client.Token, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(address, token, options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
