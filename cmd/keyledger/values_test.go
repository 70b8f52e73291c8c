package main

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "0d": 0, "90s": 90 * time.Second, "12h": 12 * time.Hour, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour,
	} {
		var s span
		if err := s.Set(text); err != nil || s.duration() != want {
			t.Errorf("%s is %v, %v; want %v", text, s.duration(), err, want)
		}
	}
	for _, text := range []string{"", "d", "12", "-1h", "-1d", "1.5d", "99999999d", "1d-1h", "tomorrow"} {
		var s span
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken as %v", text, s.duration())
		}
	}
}

func TestMoment(t *testing.T) {
	var m moment
	if err := m.Set("2030-01-31T12:00:00+01:00"); err != nil || m.time().UTC().Format(time.RFC3339) != "2030-01-31T11:00:00Z" {
		t.Errorf("got %v, %v", m.time(), err)
	}
	if err := m.Set("never"); err != nil || !m.time().IsZero() {
		t.Errorf("never is %v, %v", m.time(), err)
	}
	for _, past := range []bool{false, true} {
		m := moment{past: past}
		if err := m.Set("1d"); err != nil || m.time().Before(time.Now()) != past {
			t.Errorf("1d, past %v, is %v, %v", past, m.time(), err)
		}
	}
	if err := m.Set("soon"); err == nil {
		t.Errorf("soon is taken as %v", m.time())
	}
}
