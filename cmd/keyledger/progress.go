package main

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressLines is how often progress is logged where there is no terminal to draw a bar on.
const progressLines = 5 * time.Second

// progress shows how far something long is: as a bar on a terminal, else as lines of log, unless that is nil. What else
// goes to the terminal is written through it, so that it does not mix with the bar.
type progress struct {
	stderr io.Writer
	log    *slog.Logger

	mu   sync.Mutex
	what string // is shown; empty: nothing
	bar  *progressbar.ProgressBar
	next time.Time // of a log line
}

// show is called a few times a second while what takes long, and at its end with done = total.
func (p *progress) show(what string, done, total uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case terminal(p.stderr):
		p.draw(what, done, total)
	case p.log != nil:
		p.write(what, done, total)
	}
	p.what = what
	if done >= total {
		p.what = ""
	}
}

func (p *progress) write(what string, done, total uint64) {
	now := time.Now()
	if what == p.what && done < total && now.Before(p.next) {
		return
	}
	p.next = now.Add(progressLines)
	p.log.Info(what, "done", done, "of", total)
}

func (p *progress) draw(what string, done, total uint64) {
	if what != p.what {
		p.bar = progressbar.NewOptions64(1,
			progressbar.OptionSetWriter(p.stderr),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(),
			progressbar.OptionShowIts(),
			progressbar.OptionSetWidth(30),
		)
	}
	p.bar.ChangeMax64(int64(max(total, 1)))
	_ = p.bar.Set64(int64(min(done, total))) // the bar is only for the eye
	if done >= total {
		_, _ = io.WriteString(p.stderr, "\n")
	}
}

// Write writes to standard error what is not the bar.
func (p *progress) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.what != "" && terminal(p.stderr) {
		_ = p.bar.Clear() // it comes back when it moves
	}
	return p.stderr.Write(line)
}

// terminal tells whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
