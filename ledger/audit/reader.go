package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/go-json-experiment/json"

	"keyledger/events"
)

// ErrInterrupted is the end of an export without a footer.
var ErrInterrupted = errors.New("audit: the export has no end: it was interrupted, or cut")

// LineError tells which line of an export is not as it must be.
type LineError struct {
	Number int
	Err    error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Number, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Reader reads an export from its beginning to its end. It looks at the form of what it reads only: what is in the events,
// and whether they are those of the signed head, tells Verify.
type Reader struct {
	in     *bufio.Reader
	header Header
	footer *Footer
	lines  int
	offset int64 // of the end of the last whole line of the header and the events
	last   int64 // of the end of the last whole line
	long   []byte

	secrets bool // there was one: no event comes any more
	secret  func(Secret) error
}

// OnSecret has take called for each secret of personal data in the file. Without it they are passed over.
func (r *Reader) OnSecret(take func(Secret) error) { r.secret = take }

// NewReader reads the header. It refuses a file of another format, or of a version that it does not know.
func NewReader(r io.Reader) (*Reader, error) {
	x := &Reader{in: bufio.NewReaderSize(r, 16<<10)}
	line, err := x.line()
	if errors.Is(err, ErrInterrupted) {
		return nil, fmt.Errorf("audit: not an export of a ledger: %w", io.ErrUnexpectedEOF)
	} else if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	x.offset = x.last
	if err := json.Unmarshal(line, &x.header); err != nil || x.header.Format != Format {
		return nil, errors.New("audit: not an export of a ledger: its first line says something else")
	}
	if x.header.Version < 1 || x.header.Version > Version {
		return nil, fmt.Errorf("audit: an export of version %d, and this program knows versions up to %d: use a newer program", x.header.Version, Version)
	}
	if _, err := NewTree(x.header.From, x.header.Before); err != nil {
		return nil, fmt.Errorf("audit: header: %w", err)
	}
	return x, nil
}

// Header is the first line.
func (r *Reader) Header() *Header { return &r.header }

// Footer is the last line, nil as long as Next has not come to it.
func (r *Reader) Footer() *Footer { return r.footer }

// Offset is where, in bytes, the whole lines of the header and of the events end that were read: an export is continued there.
func (r *Reader) Offset() int64 { return r.offset }

// Next gives the line of the next event, which is the caller's. It fails with io.EOF after the footer, and with
// ErrInterrupted where there is none; a line that is too long, and one after the footer, is a *LineError.
func (r *Reader) Next() (Record, error) {
	if r.footer != nil {
		return Record{}, io.EOF
	}
	line, err := r.line()
	if err != nil {
		return Record{}, err
	}
	for bytes.HasPrefix(line, []byte(secretStart)) {
		if err := r.takeSecret(line); err != nil {
			return Record{}, err
		}
		if line, err = r.line(); err != nil {
			return Record{}, err
		}
	}
	if !bytes.HasPrefix(line, []byte(eventStart)) {
		if f, ok := parseFooter(line); ok {
			r.footer = f
			return Record{}, r.end()
		}
	}
	if r.secrets {
		return Record{}, &LineError{r.lines, errors.New("it comes after a secret, where only the footer may")}
	}
	r.offset = r.last
	return Record{Number: r.lines, Line: bytes.Clone(line)}, nil
}

// takeSecret takes the line of a secret.
func (r *Reader) takeSecret(line []byte) error {
	var s Secret
	err := json.Unmarshal(line, &s)
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return &LineError{r.lines, err}
	}
	if r.secrets = true; r.secret == nil {
		return nil
	}
	return r.secret(s)
}

// Records iterates over the lines of the events, to the end of the file. It ends at the first error.
func (r *Reader) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			record, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// Events iterates over the events in the file, to its end. It ends at the first error. It does not look at what the lines
// say beside their leaves, nor at proofs: see Verify.
func (r *Reader) Events() iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		for record, err := range r.Records() {
			var e events.Event
			if err == nil {
				if e, err = record.Event(); err != nil {
					err = &LineError{record.Number, err}
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// line reads a line, which is valid until the next one is read.
func (r *Reader) line() ([]byte, error) {
	r.long = r.long[:0]
	for {
		line, err := r.in.ReadSlice('\n')
		if len(r.long) > 0 || errors.Is(err, bufio.ErrBufferFull) {
			r.long = append(r.long, line...)
			line = r.long
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil, ErrInterrupted
		case len(line) > MaxLine:
			return nil, &LineError{r.lines + 1, fmt.Errorf("it is longer than %d bytes", MaxLine)}
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err
		}
		r.lines++
		r.last += int64(len(line))
		return line[:len(line)-1], nil
	}
}

// end demands that the file ends here.
func (r *Reader) end() error {
	_, err := r.in.Peek(1)
	if err == nil {
		return &LineError{r.lines + 1, errors.New("there is more after the footer")}
	}
	return err
}

// parseFooter gives the footer, if the line is one.
func parseFooter(line []byte) (*Footer, bool) {
	f := new(Footer)
	if err := json.Unmarshal(line, f); err != nil || f.Checkpoint == "" {
		return nil, false
	}
	return f, true
}
