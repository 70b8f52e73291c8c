package honcho

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// parseMoment reads a moment as pydantic 2 reads one from a string, in UTC, without its fraction of a second:
//
//   - 2027-01-31T12:00:00Z: T, t, _ or a space between; seconds and their fraction (after . or ,) may be absent; Z, z,
//     +01:00, +0100 or nothing, which is UTC
//   - 2027-01-31: the start of the day
//   - any number: seconds since 1970, or milliseconds when it is beyond 20000000000
//
// The error is the problem of the parameter expires_at.
func parseMoment(s string) (time.Time, error) {
	local, offset, ok := parseCalendar(s)
	if !ok {
		local, ok = parseNumber(s)
	}
	if !ok {
		return time.Time{}, invalid("datetime_from_date_parsing", "expires_at", s,
			"Input should be a valid datetime or date", flaw(s))
	}
	at := local.Add(-offset)
	for _, t := range []time.Time{local, at} {
		if t.Year() < 1 || t.Year() > 9999 {
			return time.Time{}, invalid("datetime_parsing", "expires_at", s,
				"Input should be a valid datetime", fmt.Sprintf("year %d is out of range", t.Year()))
		}
	}
	return at.Truncate(time.Second), nil
}

// calendar is a date, alone or with a time and an offset from UTC. The last minus is U+2212, as ISO 8601 has it.
func calendar() *regexp.Regexp {
	return regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)` +
		`(?:[Tt _]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:[.,]\d+)?)?(?:[Zz]|([-+−])([01]\d|2[0-3]):?([0-5]\d))?)?$`)
}

// parseCalendar reads a date with or without a time: as the clock there shows it, and how far that is ahead of UTC.
func parseCalendar(s string) (local time.Time, offset time.Duration, ok bool) {
	m := calendar().FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, 0, false
	}
	n := func(i int) int {
		v, _ := strconv.Atoi(m[i]) // digits, or nothing: 0
		return v
	}
	local = time.Date(n(1), time.Month(n(2)), n(3), n(4), n(5), n(6), 0, time.UTC)
	if int(local.Month()) != n(2) || local.Day() != n(3) {
		return time.Time{}, 0, false
	}
	offset = time.Duration(n(8))*time.Hour + time.Duration(n(9))*time.Minute
	if m[7] != "+" {
		offset = -offset
	}
	return local, offset, true
}

// watershed is the number beyond which a number is one of milliseconds, not of seconds.
const watershed = 20_000_000_000

// parseNumber reads a number of seconds or milliseconds since 1970, not beyond year 9999, nor before year 0.
func parseNumber(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return fromNumber(n, 0)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !strings.Contains(s, ".") || strings.Trim(s, "+-.0123456789eE") != "" {
		return time.Time{}, false
	}
	if math.Abs(f) > watershed {
		f /= 1000
	}
	if math.Abs(f) > math.MaxInt64/2 {
		return time.Time{}, false
	}
	whole := math.Floor(f)
	return fromNumber(int64(whole), time.Duration(math.Round((f-whole)*1e6))*time.Microsecond)
}

// fromNumber is the moment of a number and a fraction of a second.
func fromNumber(n int64, fraction time.Duration) (time.Time, bool) {
	t := time.Unix(n, 0)
	if n > watershed || n < -watershed {
		t = time.UnixMilli(n)
	}
	t = t.Add(fraction).UTC()
	return t, t.Year() >= 0 && t.Year() <= 9999
}

// flaw says what is wrong with what is no moment: what keeps it from being a date, as pydantic tries that last.
func flaw(s string) string {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 {
			return "dates before 0000 are not supported as unix timestamps"
		}
		return "dates after 9999 are not supported as unix timestamps"
	}
	if len(s) < 10 {
		return "input is too short"
	}
	for i, c := range []byte("yyyy-mm-dd") {
		switch isDigit := s[i] >= '0' && s[i] <= '9'; {
		case c == '-' && s[i] != '-':
			return "invalid date separator, expected `-`"
		case c == 'y' && !isDigit:
			return "invalid character in year"
		case c == 'm' && !isDigit:
			return "invalid character in month"
		case c == 'd' && !isDigit:
			return "invalid character in day"
		}
	}
	if month := s[5:7]; month < "01" || month > "12" {
		return "month value is outside expected range of 1-12"
	}
	if _, err := time.Parse(time.DateOnly, s[:10]); err != nil {
		return "day value is outside expected range"
	}
	return "unexpected extra characters at the end of the input"
}
