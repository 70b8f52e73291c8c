package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"keyledger/client"
)

// revokeRaces is how many keys measureVerifierRevoke revokes in a round at most.
const revokeRaces = 1000

// verifier starts a Verifier of all seeded keys in this process.
func (b *bench) verifier(ctx context.Context) (*client.Verifier, error) {
	_, subscriber, _, err := b.subscribed(ctx, seedWorkspace, true)
	if err != nil {
		return nil, err
	}
	v, err := client.NewVerifier(subscriber, client.VerifierOptions{MaxStaleness: time.Minute})
	if err != nil {
		return nil, err
	}
	if err := v.Ready(ctx); err != nil {
		_ = v.Close() // it has failed already
		return nil, err
	}
	return v, nil
}

// measureVerifier compares Verify with what nobody can do without: the SHA-256 of the token, and a look-up.
func measureVerifier(ctx context.Context, b *bench) (f figure, err error) {
	v, err := b.verifier(ctx)
	if err != nil {
		return figure{}, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	plain := make(map[[sha256.Size]byte][48]byte, len(b.keys)) // to the rest of what a Verifier keeps of a key
	for _, k := range b.keys {
		plain[sha256.Sum256([]byte(k.token))] = [48]byte{1}
	}
	tokens := make([]string, len(b.keys))
	for i, n := range rand.New(rand.NewPCG(5, 0)).Perm(len(tokens)) {
		tokens[i] = b.keys[n].token
	}
	return b.inTurn(
		func() (sample, error) {
			return rateOf(b.options.period, tokens, true, func(token string) bool {
				d, err := v.Verify(token)
				return err == nil && d.KeyID != [16]byte{}
			})
		},
		func() (sample, error) {
			return rateOf(b.options.period, tokens, false, func(token string) bool {
				e, ok := plain[sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token)))] // copies nothing
				return ok && e[0] == 1
			})
		},
	)
}

// rateOf is how many tokens a second are found. It is an error when one is not, or, with lean, when it allocates.
func rateOf(period time.Duration, tokens []string, lean bool, find func(token string) bool) (s sample, err error) {
	n := 0
	burst := func() {
		for range 1000 {
			if !find(tokens[n%len(tokens)]) {
				s.errors++
				s.cause = fmt.Errorf("token %d was not found", n%len(tokens))
			}
			n++
		}
	}
	if least := leastAllocations(burst); lean && least > 0 {
		return s, fmt.Errorf("%d allocations in 1000 calls", least)
	}
	n = 0
	began := time.Now()
	for time.Since(began) < period {
		burst()
	}
	s.rate = float64(n) / time.Since(began).Seconds()
	return s, nil
}

// leastAllocations is how often f allocates, as far as that can be told from what goes on beside it.
func leastAllocations(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 20 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	return least
}

// measureVerifierMemory is what a Verifier adds to the heap, in bytes a key.
func measureVerifierMemory(ctx context.Context, b *bench) (figure, error) {
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	if _, _, _, err := b.subscribed(ctx, seedWorkspace, true); err != nil {
		return figure{}, err
	}
	before := heap()
	v, err := b.verifier(ctx)
	if err != nil {
		return figure{}, err
	}
	after, keys := heap(), v.Keys()
	if err := v.Close(); err != nil {
		return figure{}, err
	}
	return figure{Unit: "bytes", Values: []float64{(after - before) / float64(keys)}}, nil
}

// measureVerifierRevoke measures how long after the answer to a revoke a Verifier in another process refuses the token,
// with the way of its answer to here. The value is the 99th percentile in milliseconds.
func measureVerifierRevoke(ctx context.Context, b *bench) (figure, error) {
	root, _, token, err := b.subscribed(ctx, "bench-revokes", true)
	if err != nil {
		return figure{}, err
	}
	nats, err := b.natsURL()
	if err != nil {
		return figure{}, err
	}
	dir := filepath.Join(b.dir, "verifier")
	c, _, err := startChild(ctx, dir, []string{benchTokenVar + "=" + token.Reveal()},
		"bench", "verifier", "--data", dir, "--server", "http://"+b.subject.addr, "--nats", nats)
	if err != nil {
		return figure{}, err
	}
	var late []time.Duration
	for i := range min(b.options.races, revokeRaces) {
		b.step(i, min(b.options.races, revokeRaces))
		took, err := refusedAfter(ctx, root, c.addr)
		if err != nil {
			c.kill()
			return figure{}, err
		}
		late = append(late, took)
	}
	slices.Sort(late)
	p99 := milliseconds(late[len(late)*99/100])
	return figure{Unit: "ms", Values: []float64{p99}, P50: milliseconds(late[len(late)/2]), P99: p99}, c.stop()
}

// refusedAfter revokes a new key that the process at addr watches.
func refusedAfter(ctx context.Context, root *client.Client, addr string) (time.Duration, error) {
	key, err := root.CreateKey(ctx, client.CreateKey{Name: "revoked", WorkspaceID: "bench-revokes"})
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/watch", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("X-API-Key", key.Token.Reveal())
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	if !lines.Scan() || lines.Text() != string(client.Valid) {
		return 0, fmt.Errorf("the verifier says %q of a new key", lines.Text())
	}
	if _, err := root.RevokeKey(ctx, key.ID, ""); err != nil {
		return 0, err
	}
	acknowledged := time.Now()
	if !lines.Scan() || lines.Text() != string(client.KeyRevoked) {
		return 0, fmt.Errorf("the verifier says %q of a revoked key", lines.Text())
	}
	return time.Since(acknowledged), nil
}
