package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// measureRaces revokes keys while they are being verified. The value is how many verifications that were asked after
// the revoke had been acknowledged still said valid.
func measureRaces(ctx context.Context, b *bench) (figure, error) {
	server, err := b.server(ctx)
	if err != nil {
		return figure{}, err
	}
	keys, err := b.createKeys(ctx, time.Hour, b.options.races)
	if err != nil {
		return figure{}, err
	}
	var next, stale atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range 32 {
		group.Go(func() error {
			r, err := b.newRacer(ctx, server.addr)
			if err != nil {
				return err
			}
			defer r.close()
			for i := next.Add(1); int(i) <= len(keys); i = next.Add(1) {
				n, err := r.race(keys[i-1])
				if err != nil {
					return err
				}
				stale.Add(int64(n))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return figure{}, err
	}
	return figure{Unit: "stale", Values: []float64{float64(stale.Load())}}, nil
}

// racer runs one race after another on two connections.
type racer struct {
	verify, revoke     template
	watcher, contender loadConn
}

func (b *bench) newRacer(ctx context.Context, addr string) (*racer, error) {
	r := &racer{verify: b.verifyTemplate(), revoke: b.revokeTemplate()}
	for _, c := range []*loadConn{&r.watcher, &r.contender} {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		c.conn, c.reader = conn, newResponseReader(conn)
	}
	return r, nil
}

func (r *racer) close() {
	r.watcher.conn.Close()
	r.contender.conn.Close()
}

// race has one connection verify a key without pause while the other revokes it, and counts the stale answers. Both
// connections ask after the acknowledgement.
func (r *racer) race(key seedKey) (stale int, err error) {
	var acknowledged atomic.Bool
	seen := make(chan struct{})
	var group errgroup.Group
	var watched int
	group.Go(func() error {
		for first := true; ; first = false {
			after := acknowledged.Load()
			valid, err := r.ask(&r.watcher, key)
			if first {
				close(seen)
			}
			switch {
			case err != nil:
				return err
			case first && !valid:
				return fmt.Errorf("key %s was refused before it was revoked", key.id)
			case after && valid:
				watched++
			}
			if after {
				return nil
			}
		}
	})
	<-seen
	status, body, err := r.contender.exchange(r.revoke.fill(nil, key.id))
	acknowledged.Store(true)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("revoke: status %d: %s", status, body)
	}
	if err == nil {
		var valid bool
		if valid, err = r.ask(&r.contender, key); valid {
			stale++
		}
	}
	if failed := group.Wait(); err == nil {
		err = failed
	}
	return stale + watched, err
}

// ask verifies a key.
func (r *racer) ask(c *loadConn, key seedKey) (valid bool, err error) {
	status, body, err := c.exchange(r.verify.fill(nil, key.token))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("verify: status %d: %s", status, body)
	}
	return bytes.Contains(body, []byte(`"valid":true`)), err
}
