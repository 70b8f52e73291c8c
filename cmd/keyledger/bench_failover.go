package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// dialed gives a connection for single requests to a server.
func dialed(ctx context.Context, addr string) (*loadConn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return &loadConn{conn: conn, reader: newResponseReader(conn)}, nil
}

// measureClusterRevoke has one node revoke keys, and asks another one from the acknowledgement on until it refuses each.
// The value is a quantile of the times, in milliseconds.
func measureClusterRevoke(q float64) func(context.Context, *bench) (figure, error) {
	return func(ctx context.Context, b *bench) (figure, error) {
		c, err := b.startCluster(ctx)
		if err != nil {
			return figure{}, err
		}
		ctx, cancel := context.WithCancel(ctx) // of the connections
		defer cancel()
		on, err := dialed(ctx, c.nodes[0].addr)
		if err != nil {
			return figure{}, err
		}
		other, err := dialed(ctx, c.nodes[1].addr)
		if err != nil {
			return figure{}, err
		}
		r := clusterRevoke{create: b.createRequest(), on: on, other: other, token: b.token}
		f := figure{Unit: "ms"}
		for round := range b.options.rounds {
			b.step(round, b.options.rounds)
			var took []time.Duration
			for began := time.Now(); time.Since(began) < b.options.period; {
				one, err := r.once()
				if err != nil {
					return figure{}, err
				}
				took = append(took, one)
			}
			slices.Sort(took)
			f.Values = append(f.Values, milliseconds(quantile(took, q)))
			f.P50, f.P99 = milliseconds(quantile(took, 0.5)), milliseconds(quantile(took, 0.99))
		}
		return f, nil
	}
}

// clusterRevoke is a connection to each of two nodes.
type clusterRevoke struct {
	create    []byte
	token     string
	on, other *loadConn
}

// once makes a key, lets the other node see it, revokes it, and tells after how long the other node refuses it.
func (r *clusterRevoke) once() (time.Duration, error) {
	var issued struct{ ID, Token string }
	status, body, err := r.on.exchange(r.create)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("create: status %d: %s", status, body)
	}
	if err == nil {
		err = json.Unmarshal(body, &issued)
	}
	if err != nil {
		return 0, err
	}
	verify := httpRequest(http.MethodPost, "/v1/keys/verify", r.token, []byte(`{"token":"`+issued.Token+`"}`))
	if err := r.until(verify, `"valid":true`); err != nil {
		return 0, err
	}
	status, body, err = r.on.exchange(httpRequest(http.MethodPost, "/v1/keys/"+issued.ID+"/revoke", r.token, []byte(`{}`)))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("revoke: status %d: %s", status, body)
	}
	if err != nil {
		return 0, err
	}
	acknowledged := time.Now()
	err = r.until(verify, `"code":"REVOKED"`)
	return time.Since(acknowledged), err
}

// until asks the other node until its answer has a part.
func (r *clusterRevoke) until(request []byte, part string) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		status, body, err := r.other.exchange(request)
		if err != nil {
			return err
		}
		if status == http.StatusOK && strings.Contains(string(body), part) {
			return nil
		}
	}
	return fmt.Errorf("the other node does not say %s", part)
}

// failoverConns is how many connections to each node that is left wait for a new leader.
const failoverConns = 8

// measureLeaderKilled kills the node that leads, and creates keys on the others until one is acknowledged. The value is the
// time from the kill, in seconds.
func measureLeaderKilled(ctx context.Context, b *bench) (figure, error) {
	f := figure{Unit: "s"}
	for round := range b.options.rounds {
		b.step(round, b.options.rounds)
		c, err := b.startCluster(ctx)
		if err != nil {
			return figure{}, err
		}
		leader, err := c.leader(ctx)
		if err != nil {
			return figure{}, err
		}
		took, err := b.killNode(ctx, c, leader)
		if err != nil {
			return figure{}, err
		}
		f.Values = append(f.Values, took.Seconds())
		if err := c.start(ctx, leader); err != nil {
			return figure{}, err
		}
	}
	return f, nil
}

// killNode kills a node and tells how long the others acknowledge nothing.
func (b *bench) killNode(ctx context.Context, c *benchCluster, i int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var conns []*loadConn
	for j, n := range c.nodes {
		for range failoverConns {
			if j == i {
				break
			}
			conn, err := dialed(ctx, n.addr)
			if err != nil {
				return 0, err
			}
			conns = append(conns, conn)
		}
	}
	c.nodes[i].kill()
	c.nodes[i] = nil
	killed := time.Now()
	first := make(chan time.Duration, len(conns))
	var group errgroup.Group
	request := b.createRequest()
	for _, conn := range conns {
		group.Go(func() error {
			for {
				status, _, err := conn.exchange(request)
				if err != nil {
					return err
				}
				if status == http.StatusCreated {
					first <- time.Since(killed)
					return nil
				}
			}
		})
	}
	err := group.Wait()
	close(first)
	var took []time.Duration
	for t := range first {
		took = append(took, t)
	}
	if len(took) == 0 {
		return 0, err
	}
	return slices.Min(took), nil
}
