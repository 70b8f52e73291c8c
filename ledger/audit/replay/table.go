package replay

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// tableWriter writes a line for each event, and under it one for who did it and one for each change.
type tableWriter struct {
	w     *bufio.Writer
	begun bool
}

func (t *tableWriter) Write(r *Record) error {
	t.header()
	e := r.Event
	line := fmt.Sprintf("%-8d  %s  %-16s  %-36s  %s", e.Sequence, e.Time.UTC().Format(time.RFC3339), e.Type, plain(r.Subject), plain(r.Name))
	fmt.Fprintln(t.w, strings.TrimRight(line, " "))
	t.line("by", who(r))
	created := r.Created()
	for _, c := range r.Changes() {
		t.line(c.Label, c.told(created))
	}
	for _, f := range r.Facts() {
		t.line(f.Label, f.human(f.Text))
	}
	_, err := t.w.Write(nil) // the first error of all writes
	return err
}

func (t *tableWriter) Close() error {
	t.header()
	_, err := t.w.Write(nil)
	return err
}

func (t *tableWriter) header() {
	if !t.begun {
		t.begun = true
		fmt.Fprintf(t.w, "%-8s  %-20s  %-16s  %-36s  %s\n", "SEQUENCE", "TIME", "EVENT", "SUBJECT", "NAME")
	}
}

func (t *tableWriter) line(label, text string) { fmt.Fprintf(t.w, "%10s%-16s  %s\n", "", label, text) }

// who is the actor and where the request came from, as far as they are known.
func who(r *Record) string {
	e := r.Event
	parts := []string{e.Actor, r.ActorName, e.Origin.IP, e.Origin.UserAgent}
	if e.RequestID != "" {
		parts = append(parts, "request "+e.RequestID)
	}
	var b strings.Builder
	for _, part := range parts {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("  ")
		}
		b.WriteString(plain(part))
	}
	return b.String()
}

// told is a change for people: old → new, or the new value alone of what is created.
func (c *Change) told(created bool) string {
	if created {
		return c.human(c.New)
	}
	return c.human(c.Old) + " → " + c.human(c.New)
}

func (f *Field) human(text string) string {
	switch {
	case f.kind == flagKind && text == "":
		return "no"
	case f.kind == flagKind:
		return "yes"
	case text == "" && f.Name == "expires_at":
		return "never"
	case text == "" && f.Name == "types":
		return "all"
	case text == "":
		return "none"
	case f.kind == timeKind:
		return strings.Replace(text, ".000000Z", "Z", 1)
	case f.Name == "horizon_seconds":
		return span(text)
	}
	return plain(text)
}

// span is a number of seconds for people.
func span(seconds string) string {
	n, err := strconv.Atoi(seconds)
	if err != nil {
		return seconds
	}
	const day = 24 * 60 * 60
	if n > 0 && n%day == 0 {
		return strconv.Itoa(n/day) + "d"
	}
	return (time.Duration(n) * time.Second).String()
}

// plain keeps what others wrote from steering the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
