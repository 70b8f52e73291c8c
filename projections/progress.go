package projections

import (
	"log/slog"
	"time"
)

const (
	patience    = 2 * time.Second        // what takes longer is reported
	reportEvery = 250 * time.Millisecond // to Options.Progress
	logEvery    = 10 * time.Second       // to the log
)

// progress reports how far something is, once it has taken longer than patience.
type progress struct {
	options                 *Options
	what                    string
	total                   uint64
	began, reported, logged time.Time
}

func (v *Views) progress(what string, total uint64) *progress {
	now := time.Now()
	return &progress{options: &v.options, what: what, total: total, began: now, logged: now}
}

// at reports that done of total are done.
func (p *progress) at(done uint64) {
	now := time.Now()
	if now.Sub(p.began) < patience || now.Sub(p.reported) < reportEvery {
		return
	}
	p.reported = now
	p.options.Progress(p.what, done, max(done, p.total))
	if now.Sub(p.logged) >= logEvery {
		p.logged = now
		p.options.Logger.Info(p.what, slog.Uint64("done", done), slog.Uint64("total", p.total))
	}
}

// end reports that all is done, if anything was reported before.
func (p *progress) end() {
	if p.reported.IsZero() {
		return
	}
	p.options.Progress(p.what, p.total, p.total)
	p.options.Logger.Info(p.what, slog.Uint64("done", p.total), slog.Duration("took", time.Since(p.began)))
}
