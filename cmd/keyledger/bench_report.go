package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one line of the report.
type figure struct {
	Name     string  `json:"name"`
	Measures string  `json:"measures"`
	Unit     string  `json:"unit"`
	Value    float64 `json:"value"`
	Baseline float64 `json:"baseline,omitzero"` // zero: it is compared with nothing
	Ratio    float64 `json:"ratio,omitzero"`
	Must     string  `json:"must,omitzero"` // empty: it is only shown
	Met      bool    `json:"met"`
	// Of the medians above: every single measurement, in the order they were made.
	Values    []float64 `json:"values"`
	Baselines []float64 `json:"baselines,omitzero"`
	// Latency quantiles in milliseconds, medians over the measurements; zero where there are no requests.
	P50         float64 `json:"p50_ms,omitzero"`
	P99         float64 `json:"p99_ms,omitzero"`
	BaselineP50 float64 `json:"baseline_p50_ms,omitzero"`
	BaselineP99 float64 `json:"baseline_p99_ms,omitzero"`
	// Errors counts unexpected answers, of the baseline too. One is enough to miss the target.
	Errors int    `json:"errors"`
	Error  string `json:"error,omitzero"`
}

// target is what a figure must reach. The zero target is always reached.
type target struct {
	ratioAtLeast float64
	ratioAtMost  float64
	valueBelow   float64
	valueAtLeast float64
}

func (t target) String() string {
	var parts []string
	if t.valueBelow != 0 {
		parts = append(parts, fmt.Sprintf("value < %g", t.valueBelow))
	}
	if t.valueAtLeast != 0 {
		parts = append(parts, fmt.Sprintf("value ≥ %g", t.valueAtLeast))
	}
	if t.ratioAtLeast != 0 {
		parts = append(parts, fmt.Sprintf("ratio ≥ %.2f", t.ratioAtLeast))
	}
	if t.ratioAtMost != 0 {
		parts = append(parts, fmt.Sprintf("ratio ≤ %.2f", t.ratioAtMost))
	}
	return strings.Join(parts, ", ")
}

func (t target) met(f *figure) bool {
	return f.Errors == 0 && f.Error == "" &&
		(t.valueBelow == 0 || f.Value < t.valueBelow) &&
		(t.valueAtLeast == 0 || f.Value >= t.valueAtLeast) &&
		(t.ratioAtLeast == 0 || f.Ratio >= t.ratioAtLeast) &&
		(t.ratioAtMost == 0 || f.Ratio <= t.ratioAtMost)
}

// settle fills in what follows from the single measurements.
func (f *figure) settle(t target) {
	f.Value, f.Baseline = median(f.Values), median(f.Baselines)
	if f.Baseline > 0 {
		f.Ratio = f.Value / f.Baseline
	}
	f.Must, f.Met = t.String(), t.met(f)
}

// median is 0 of nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// compared is the figure of measurements that were made in turn.
func compared(unit string, subjects, baselines []sample) figure {
	f := figure{Unit: unit}
	f.Values, f.P50, f.P99 = summarise(subjects)
	f.Baselines, f.BaselineP50, f.BaselineP99 = summarise(baselines)
	for _, s := range slices.Concat(subjects, baselines) {
		f.Errors += s.errors
		if f.Error == "" && s.cause != nil {
			f.Error = s.cause.Error()
		}
	}
	return f
}

func summarise(samples []sample) (rates []float64, p50, p99 float64) {
	var halves, tails []float64
	for _, s := range samples {
		rates = append(rates, s.rate)
		halves = append(halves, milliseconds(s.p50))
		tails = append(tails, milliseconds(s.p99))
	}
	return rates, median(halves), median(tails)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// benchReport is what a run of bench prints.
type benchReport struct {
	Version string   `json:"version"`
	CPUs    int      `json:"cpus"`
	Keys    int      `json:"keys"`
	Seconds float64  `json:"seconds"`
	Rounds  int      `json:"rounds"`
	Figures []figure `json:"figures"`
	Beyond  *beyond  `json:"partitions,omitempty"`
}

// failed is an error when a request was answered wrongly.
func (r *benchReport) failed() error {
	for i := range r.Figures {
		if f := &r.Figures[i]; f.Errors > 0 {
			return fmt.Errorf("bench: %s: %d errors, the first: %s", f.Name, f.Errors, f.Error)
		}
	}
	return nil
}

func (r *benchReport) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "keyledger %s, %d CPUs, %d keys, medians of %d measurements of %g s\n\n",
		r.Version, r.CPUs, r.Keys, r.Rounds, r.Seconds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tVALUE\tP50/P99 ms\tBASELINE\tP50/P99 ms\tRATIO\tMUST REACH\tMET")
	for i := range r.Figures {
		f := &r.Figures[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name,
			quantity(f.Value, f.Unit), quantiles(f.P50, f.P99),
			optional(f.Baseline, f.Unit), quantiles(f.BaselineP50, f.BaselineP99),
			optional(f.Ratio, ""), f.Must, f.verdict())
	}
	fmt.Fprintln(table)
	for i := range r.Figures {
		fmt.Fprintf(table, "%s\t%s\n", r.Figures[i].Name, r.Figures[i].Measures)
	}
	if err := table.Flush(); err != nil || r.Beyond == nil {
		return err
	}
	return r.Beyond.writeTable(w)
}

func (f *figure) verdict() string {
	switch {
	case !f.Met:
		return "NO"
	case f.Must == "":
		return "-"
	}
	return "yes"
}

// quantity shows two decimals of what is small.
func quantity(v float64, unit string) string {
	if v >= 100 || v == 0 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.2f %s", v, unit)
}

// optional is quantity where zero stands for nothing.
func optional(v float64, unit string) string {
	if v == 0 {
		return ""
	}
	return quantity(v, unit)
}

func quantiles(p50, p99 float64) string {
	if p99 == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f/%.2f", p50, p99)
}
