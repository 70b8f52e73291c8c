package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyledger/ledger/audit/replay"
)

// newReplayCommand gives the command that tells what happened.
func newReplayCommand(env environment) *cobra.Command {
	var h history
	var output string
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Tell every event: who did what when, with old and new values",
		Long: "Tell every event of a ledger, in order: who did it, from where, when, and what it changed from what to what. From a\n" +
			"server it needs a token with the scope ledger:events:read; from a file that audit export has written it needs no server.\n" +
			"It takes the same memory for any number of events.",
		Example: "  keyledger audit replay --workspace acme\n" +
			"  keyledger audit replay --key 0198a5c4-3f4e-7c21-9a3e-5f2f6f0e8fe2 --at 2026-01-31T12:00:00Z\n" +
			"  keyledger audit replay --file ledger.ndjson -o csv > ledger.csv",
		Args: cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := env.apply(cmd.Flags()); err != nil {
				return err
			}
			if !slices.Contains(replay.Forms(), output) {
				return &usageError{fmt.Errorf("--output: %q is none of %s", output, strings.Join(replay.Forms(), ", "))}
			}
			return h.check(cmd.Flags())
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return h.tell(cmd, cmd.OutOrStdout(), func(w *bufio.Writer, _ *opened) (replay.Writer, error) { return replay.NewWriter(w, output) })
		},
	}
	h.flags(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", replay.Table, "form: "+strings.Join(replay.Forms(), ", "))
	return cmd
}

// tell replays the history and writes what is wanted of it to stdout, by the writer that newWriter gives.
func (h *history) tell(cmd *cobra.Command, stdout io.Writer, newWriter func(*bufio.Writer, *opened) (replay.Writer, error)) (err error) {
	ctx, bar := cmd.Context(), newReplayBar(stdout, cmd.ErrOrStderr())
	from, err := h.open(ctx, bar)
	if err != nil {
		return err
	}
	defer from.close()
	out := bufio.NewWriterSize(stdout, 64<<10)
	defer func() { err = errors.Join(err, out.Flush()) }()
	w, err := newWriter(out, from)
	if err != nil {
		return err
	}
	r := replay.New(replay.Options{Name: from.name})
	defer func() { err = errors.Join(err, r.Close()) }()
	count, err := r.Run(interruptible(ctx, from.events), &h.wanted, w, func(sequence uint64) { bar.seen(from.passed(sequence)) })
	bar.end()
	switch {
	case errors.Is(err, replay.ErrOrder) && h.file != "":
		return fmt.Errorf("%w: %s: %w", errFoundErrors, h.file, err)
	case err != nil:
		return err
	case count == 0 && h.wanted.Key != "" && h.file != "":
		return fmt.Errorf("%s has no event of the key %s that is asked for", h.file, h.wanted.Key)
	case r.Unknown() > 0:
		fmt.Fprintf(bar, "%d events are of keys or webhooks whose creation is not among the events: what they were before is told as absent\n", r.Unknown())
	}
	return nil
}

// interruptible ends what source gives when ctx ends.
func interruptible[T any](ctx context.Context, source func(func(T, error) bool)) func(func(T, error) bool) {
	return func(yield func(T, error) bool) {
		for e, err := range source {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// replayBar shows how far a replay is, on a terminal that shows nothing else, when it takes long.
type replayBar struct {
	progress
	shown       bool
	count       int
	next        time.Time
	done, total uint64
}

const (
	barAfter = 2 * time.Second
	barEvery = 200 * time.Millisecond
)

func newReplayBar(stdout, stderr io.Writer) *replayBar {
	return &replayBar{progress: progress{stderr: stderr}, shown: terminal(stderr) && !terminal(stdout), next: time.Now().Add(barAfter)}
}

// seen is called for each event.
func (b *replayBar) seen(done, total uint64) {
	b.done, b.total = done, total
	if b.count++; !b.shown || b.count%256 != 0 {
		return
	}
	if now := time.Now(); now.After(b.next) {
		b.next = now.Add(barEvery)
		b.show("replay", done, total)
	}
}

// end ends the line of the bar, if there is one.
func (b *replayBar) end() {
	if b.what != "" {
		b.show("replay", b.done, b.done)
	}
}
