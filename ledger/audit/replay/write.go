package replay

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// The forms that NewWriter knows.
const (
	Table  = "table"
	JSON   = "json"
	NDJSON = "ndjson"
	CSV    = "csv"
)

// Forms are the forms that NewWriter knows.
func Forms() []string { return []string{Table, JSON, NDJSON, CSV} }

// NewWriter gives a Writer of a form. The caller flushes b, also after an error, so that what was told is seen.
func NewWriter(b *bufio.Writer, form string) (Writer, error) {
	switch form {
	case Table:
		return &tableWriter{w: b}, nil
	case JSON:
		return &jsonWriter{w: b, array: true}, nil
	case NDJSON:
		return &jsonWriter{w: b}, nil
	case CSV:
		c := csv.NewWriter(b)
		c.UseCRLF = true
		return &csvWriter{w: c, row: columns()}, nil
	}
	return nil, fmt.Errorf("%q is none of %s", form, strings.Join(Forms(), ", "))
}

// jsonWriter writes NDJSON, or one JSON array.
type jsonWriter struct {
	w     *bufio.Writer
	array bool
	any   bool // there was a record
	line  []byte
}

func (j *jsonWriter) Write(r *Record) error {
	j.line = j.line[:0]
	switch {
	case j.array && j.any:
		j.line = append(j.line, ",\n  "...)
	case j.array:
		j.line = append(j.line, "[\n  "...)
	}
	j.any = true
	j.line = r.appendJSON(j.line)
	if !j.array {
		j.line = append(j.line, '\n')
	}
	_, err := j.w.Write(j.line)
	return err
}

func (j *jsonWriter) Close() error {
	end := ""
	switch {
	case j.array && j.any:
		end = "\n]\n"
	case j.array:
		end = "[]\n"
	}
	_, err := j.w.WriteString(end)
	return err
}

func (r *Record) appendJSON(b []byte) []byte {
	e := r.Event
	b = strconv.AppendUint(append(b, `{"sequence":`...), e.Sequence, 10)
	b = append(e.Time.UTC().AppendFormat(append(b, `,"time":"`...), timeFormat), '"')
	member := func(name, value string) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		b = appendText(b, value)
	}
	member("type", string(e.Type))
	member("event_id", e.ID.String())
	member("subject", r.Subject)
	member("name", r.Name)
	member("workspace_id", r.Owner.Workspace)
	member("org_id", r.Owner.Org)
	member("agent_id", r.Owner.AgentID)
	b = appendText(append(b, `,"actor":{"id":`...), e.Actor)
	member("name", r.ActorName)
	b = appendText(append(b, `},"origin":{"ip":`...), e.Origin.IP)
	member("user_agent", e.Origin.UserAgent)
	b = append(b, '}')
	member("request_id", e.RequestID)
	b = append(b, `,"changes":[`...)
	for i, c := range r.Changes() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"field":`...), c.Name)
		b = c.appendJSON(append(b, `,"old":`...), c.Old)
		b = append(c.appendJSON(append(b, `,"new":`...), c.New), '}')
	}
	b = AppendValues(append(b, `],"facts":`...), r.Facts())
	return append(b, '}')
}

// AppendValues appends values as a JSON object.
func AppendValues(b []byte, values []Value) []byte {
	b = append(b, '{')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = v.AppendJSON(append(appendText(b, v.Name), ':'))
	}
	return append(b, '}')
}

// csvWriter writes RFC 4180.
type csvWriter struct {
	w     *csv.Writer
	row   []string
	begun bool
}

func columns() []string {
	return []string{
		"sequence", "time", "type", "event_id", "subject", "name", "workspace_id", "org_id", "agent_id",
		"actor_id", "actor_name", "ip", "user_agent", "request_id", "field", "old", "new",
	}
}

func (c *csvWriter) header() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.w.Write(columns())
}

func (c *csvWriter) Write(r *Record) error {
	if err := c.header(); err != nil {
		return err
	}
	e := r.Event
	copy(c.row, []string{
		strconv.FormatUint(e.Sequence, 10), FormatTime(e.Time), string(e.Type), e.ID.String(), cell(r.Subject), cell(r.Name),
		cell(r.Owner.Workspace), cell(r.Owner.Org), cell(r.Owner.AgentID), cell(e.Actor), cell(r.ActorName),
		cell(e.Origin.IP), cell(e.Origin.UserAgent), cell(e.RequestID), "", "", "",
	})
	write := func(field, before, after string) error {
		last := c.row[len(c.row)-3:]
		last[0], last[1], last[2] = field, cell(before), cell(after)
		return c.w.Write(c.row)
	}
	rows := 0
	for _, change := range r.Changes() {
		rows++
		if err := write(change.Name, change.cellText(change.Old), change.cellText(change.New)); err != nil {
			return err
		}
	}
	for _, fact := range r.Facts() {
		rows++
		if err := write(fact.Name, "", fact.cellText(fact.Text)); err != nil {
			return err
		}
	}
	if rows == 0 {
		return write("", "", "")
	}
	return nil
}

func (c *csvWriter) Close() error {
	if err := c.header(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// cellText is a value in CSV.
func (f *Field) cellText(text string) string {
	if f.kind == flagKind && text == "" {
		return "false"
	}
	return text
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(s string) string {
	if s != "" && (strings.ContainsRune("=+-@", rune(s[0])) || unicode.IsControl(rune(s[0]))) {
		return "'" + s
	}
	return s
}
