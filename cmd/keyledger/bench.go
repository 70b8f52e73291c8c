package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// benchOptions say how much is measured.
type benchOptions struct {
	only   []string
	quick  bool
	json   bool
	keys   int
	period time.Duration // of one measurement
	rounds int           // measurements of each subject and of each baseline
	races  int
}

// newBenchCommand gives the command that measures keyledger against raw baselines.
func newBenchCommand(env environment) *cobra.Command {
	var o benchOptions
	var seconds float64
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine: each figure against a raw baseline of the same run",
		Long: `Measures keyledger on this machine. Server and load generator are processes of their own, on loopback, with a data
folder that is removed at the end. Every figure is compared with a raw baseline that is measured in turn with it; the
medians are shown, those of reads after a measurement that does not count. Exits 1 when a request was answered wrongly;
a figure that misses its target is only shown as such.

The rows are ` + strings.Join(rowNames(), ", ") + ".",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.quick {
				if err := shrink(cmd.Flags()); err != nil {
					return err
				}
			}
			o.period = time.Duration(seconds * float64(time.Second))
			if err := o.check(); err != nil {
				return &usageError{err}
			}
			return runBench(cmd.Context(), &o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.only, "only", nil, "rows to measure, with commas; empty: all")
	f.IntVar(&o.keys, "keys", 1_000_000, "keys in the ledger")
	f.Float64Var(&seconds, "seconds", 5, "length of one measurement")
	f.IntVar(&o.rounds, "rounds", 3, "measurements of each figure and of each baseline")
	f.IntVar(&o.races, "races", 10_000, "races of a revoke against verify")
	f.BoolVar(&o.quick, "quick", false, "small sizes: shows that everything works, not how fast it is")
	f.BoolVar(&o.json, "json", false, "print JSON with every single measurement")
	cmd.AddCommand(newNoopCommand(), newTreelessCommand(env), newVerifierCommand())
	return cmd
}

// shrink sets what was not given to the sizes of --quick.
func shrink(f *pflag.FlagSet) error {
	for name, value := range map[string]string{"keys": "20000", "seconds": "0.3", "rounds": "1", "races": "200"} {
		if f.Changed(name) {
			continue
		}
		if err := f.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (o *benchOptions) check() error {
	var errs []error
	for _, name := range o.only {
		if !slices.Contains(rowNames(), name) {
			errs = append(errs, fmt.Errorf("--only: there is no row %q", name))
		}
	}
	return errors.Join(append(errs,
		needs(o.keys >= 1000, "--keys: at least 1000"),
		needs(o.period > 0, "--seconds: more than 0"),
		needs(o.rounds > 0, "--rounds: at least 1"),
		needs(o.races > 0, "--races: at least 1"),
	)...)
}

// runBench measures the rows and prints the report.
func runBench(ctx context.Context, o *benchOptions, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "keyledger-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{options: o, dir: dir, bars: progress{stderr: stderr, log: slog.New(slog.NewTextHandler(stderr, nil))}}
	defer func() { err = errors.Join(err, b.close()) }()
	report, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if o.json {
		err = writeJSON(stdout, report)
	} else {
		err = report.writeTable(stdout)
	}
	return errors.Join(err, report.failed())
}

// bench is one run. What a row needs is started when it is first needed.
type bench struct {
	options *benchOptions
	dir     string
	bars    progress
	row     string // that is being measured
	token   string // of the root key
	keys    []seedKey
	open    bool   // the server under test takes subscribers over NATS, from its next start on
	subject *child // the server under test; nil while it is stopped
	noop    *child
	raw     *rawStream
	cluster *benchCluster

	exported bool    // the ledger, to a file
	beyond   *beyond // what partitions would take, once measured
}

// measure seeds the ledger and runs the rows.
func (b *bench) measure(ctx context.Context) (*benchReport, error) {
	if err := b.seed(ctx); err != nil {
		return nil, err
	}
	report := &benchReport{
		Version: version(),
		CPUs:    runtime.NumCPU(),
		Keys:    b.options.keys,
		Seconds: b.options.period.Seconds(),
		Rounds:  b.options.rounds,
	}
	for _, r := range chosenRows(b.options.only) {
		b.row = r.name
		b.step(0, 1)
		f, err := r.measure(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		b.step(1, 1)
		f.Name, f.Measures = r.name, r.measures
		f.settle(r.target)
		report.Figures = append(report.Figures, f)
	}
	report.Beyond = b.beyond
	return report, nil
}

// step shows how much of the row is done.
func (b *bench) step(done, total int) { b.bars.show(b.row, uint64(done), uint64(total)) }

// seed has a server make the ledger, its secret and its root key, fills the ledger, and has the server build its views.
func (b *bench) seed(ctx context.Context) error {
	token, err := mintSecret()
	if err != nil {
		return err
	}
	b.token = token
	if _, err := b.startServer(ctx); err != nil {
		return err
	}
	if err := b.stopServer(); err != nil {
		return err
	}
	b.keys, err = seedLedger(ctx, b.dataDir(), b.options.keys, func(done int) {
		b.bars.show("seed keys", uint64(done), uint64(b.options.keys))
	})
	if err != nil {
		return err
	}
	_, err = b.startServer(ctx)
	return err
}

func (b *bench) dataDir() string { return filepath.Join(b.dir, "data") }

// startServer starts the server under test and tells how long it took to be ready.
func (b *bench) startServer(ctx context.Context) (time.Duration, error) {
	args := []string{"serve", "--http", "127.0.0.1:0", "--data", b.dataDir(), "--webhook-allow-private"}
	if b.open {
		args = append(args, "--nats-listen", "127.0.0.1:0")
	}
	c, took, err := startChild(ctx, b.dataDir(), []string{"KEYLEDGER_ROOT_TOKEN=" + b.token}, args...)
	b.subject = c
	return took, err
}

// server gives the server under test.
func (b *bench) server(ctx context.Context) (*child, error) {
	if b.subject == nil {
		if _, err := b.startServer(ctx); err != nil {
			return nil, err
		}
	}
	return b.subject, nil
}

// stopServer stops the server under test if it runs.
func (b *bench) stopServer() error {
	if b.subject == nil {
		return nil
	}
	c := b.subject
	b.subject = nil
	return c.stop()
}

// baseline gives the server of the no-op handler.
func (b *bench) baseline(ctx context.Context) (*child, error) {
	if b.noop != nil {
		return b.noop, nil
	}
	dir := filepath.Join(b.dir, "noop")
	c, _, err := startChild(ctx, dir, nil, "bench", "noop", "--data", dir)
	b.noop = c
	return c, err
}

// close ends what still runs.
func (b *bench) close() error {
	err := b.stopServer()
	if b.noop != nil {
		err = errors.Join(err, b.noop.stop())
	}
	if b.raw != nil {
		b.raw.store.close()
	}
	if b.cluster != nil {
		err = errors.Join(err, b.cluster.stop())
	}
	return err
}
