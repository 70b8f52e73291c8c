package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"keyledger/client"
)

const (
	// memorySamples is how many samples of the memory are taken at least.
	memorySamples = 40
	// memoryPerKey bounds what a key takes that was created, rotated and revoked, in bytes: three events, a record and two
	// tokens in the views, a subject in nats-server.
	memoryPerKey = 1500
)

// TestMemoryUnderLoad creates, verifies, lists, rotates and revokes keys over many connections for a while. What the process
// has more of at the end is explained by the keys that there are, and not by the time: each key stays, since the ledger
// forgets nothing.
func TestMemoryUnderLoad(t *testing.T) {
	p := start(t, t.TempDir(), "--metrics-public", "--max-staleness", "1h") // what else the machine does may hold it up
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := p.client(t, client.WithRetries(0), client.WithHTTPClient(&http.Client{
		Transport: &http.Transport{MaxConnsPerHost: memoryConns, MaxIdleConnsPerHost: memoryConns},
	}))
	var keys, refused atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for i := range memoryConns {
		group.Go(func() error {
			for ctx.Err() == nil {
				// A life that has begun is ended: what was answered then is checked, too.
				err := live(t.Context(), c, fmt.Sprint("workspace-", i))
				var answer *client.Error
				switch {
				case err == nil:
					keys.Add(1)
				case errors.As(err, &answer) && answer.Status == http.StatusServiceUnavailable:
					refused.Add(1) // the machine is busy
				default:
					return err
				}
			}
			return nil
		})
	}
	var samples []memorySample
	every := time.NewTicker(memoryTime / memorySamples)
	defer every.Stop()
	for ctx.Err() == nil && len(samples) < memorySamples { // none when a life has failed
		<-every.C
		samples = append(samples, p.memory(t, keys.Load()))
	}
	cancel()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d keys lived, %d were refused something for the moment", keys.Load(), refused.Load())
	if refused.Load() > keys.Load()/10 {
		t.Error("that is more than every tenth")
	}
	explained(t, samples)
	p.stop(t)
}

// live is the life of a key.
func live(ctx context.Context, c *client.Client, workspace string) error {
	issued, err := c.CreateKey(ctx, client.CreateKey{Name: "short-lived", WorkspaceID: workspace, Scopes: []string{"deploy"}})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	verify := func(token client.Token, want client.Decision) error {
		v, err := c.Verify(ctx, client.Verify{Token: token, Scopes: []string{"deploy"}})
		if err == nil && v.Code != want {
			err = fmt.Errorf("it says %s, not %s", v.Code, want)
		}
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		return nil
	}
	if err := verify(issued.Token, client.Valid); err != nil {
		return err
	}
	page, err := c.KeyPage(ctx, client.KeyQuery{WorkspaceID: workspace}, "", 20)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(page.Data) == 0 || page.Data[0].ID != issued.ID {
		return fmt.Errorf("list: of %d keys the first is not %s, the last one that was created", len(page.Data), issued.ID)
	}
	rotated, err := c.RotateKey(ctx, issued.ID, client.RotateKey{})
	if err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	if err := verify(rotated.Token, client.Valid); err != nil {
		return err
	}
	if _, err := c.RevokeKey(ctx, issued.ID, "its time is over"); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return verify(rotated.Token, client.KeyRevoked)
}

// memorySample is what a process took when so many keys had lived, in MiB.
type memorySample struct {
	keys           int64
	resident, heap float64
}

// memory takes a sample.
func (p *process) memory(t *testing.T, keys int64) memorySample {
	t.Helper()
	resident, err := residentMemory(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(p.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_memstats_heap_inuse_bytes "); ok {
			heap, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return memorySample{keys, resident, heap / (1 << 20)}
		}
	}
	t.Fatal("/metrics does not tell of the heap")
	return memorySample{}
}

// explained checks that the growth since the first quarter, by when connections and caches are there, is that of keys.
// A collection may come at any time, so the median of some samples counts.
func explained(t *testing.T, samples []memorySample) {
	t.Helper()
	for i, s := range samples {
		if i%(len(samples)/10+1) == 0 || i == len(samples)-1 {
			t.Logf("%6d keys: %.0f MiB resident, %.0f MiB of it heap in use", s.keys, s.resident, s.heap)
		}
	}
	n := len(samples) / 4
	first, last := samples[n-5:n], samples[len(samples)-5:]
	more := float64(last[2].keys - first[2].keys)
	for what, of := range map[string]func(memorySample) float64{
		"resident memory": func(s memorySample) float64 { return s.resident },
		"heap":            func(s memorySample) float64 { return s.heap },
	} {
		values := func(list []memorySample) (all []float64) {
			for _, s := range list {
				all = append(all, of(s))
			}
			return all
		}
		grown, bound := median(values(last))-median(values(first)), memorySlack+more*memoryPerKey/(1<<20)
		t.Logf("%s: %+.0f MiB with %.0f keys more, at most %.0f: %.0f bytes a key", what, grown, more, bound, grown*(1<<20)/more)
		if more <= 0 || grown > bound {
			t.Errorf("%s grew by %.0f MiB with %.0f keys, at most %.0f are explained", what, grown, more, bound)
		}
	}
}
