package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// span is a flag that holds a duration, with days beside Go's units: 90d, 1d12h, 30m.
type span time.Duration

func (s *span) duration() time.Duration { return time.Duration(*s) }

// Set parses the flag.
func (s *span) Set(text string) error {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	} else if rest == "" {
		rest = "0"
	}
	n, err := strconv.ParseUint(days, 10, 16)
	d, err2 := time.ParseDuration(rest)
	if err != nil || err2 != nil || d < 0 {
		return fmt.Errorf("%q is no duration such as 30d or 12h", text)
	}
	*s = span(time.Duration(n)*24*time.Hour + d)
	return nil
}

func (s *span) String() string {
	if *s == 0 {
		return ""
	}
	return s.duration().String()
}

// Type names the form for the help.
func (s *span) Type() string { return "duration" }

// moment is a flag that holds a time: RFC 3339, a span from now (or, when past, before now), or never.
type moment struct {
	past bool
	text string
	at   time.Time
}

// time is the zero time for never.
func (m *moment) time() time.Time { return m.at }

// Set parses the flag.
func (m *moment) Set(text string) error {
	m.text = text
	if text == "never" {
		m.at = time.Time{}
		return nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		m.at = at
		return nil
	}
	var s span
	if s.Set(text) != nil {
		return fmt.Errorf("%q is neither a time (2026-01-02T15:04:05Z) nor a duration (12h, 30d)", text)
	}
	d := s.duration()
	if m.past {
		d = -d
	}
	m.at = time.Now().Add(d).UTC().Truncate(time.Second)
	return nil
}

func (m *moment) String() string { return m.text }

// Type names the form for the help.
func (m *moment) Type() string { return "time" }
