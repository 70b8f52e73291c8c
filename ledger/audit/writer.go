package audit

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"keyledger/events"
)

// Writer writes an export, or the rest of one.
type Writer struct {
	out    io.Writer
	source string
	next   uint64
	buf    []byte
}

// NewWriter writes the header, whose Format and Version it sets, and whose From is at least 1.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Format, h.Version = Format, Version
	if _, err := NewTree(h.From, h.Before); err != nil {
		return nil, err
	}
	x := ContinueWriter(w, &h, h.From)
	return x, x.line(&h)
}

// ContinueWriter gives a Writer of what follows in an export with that header, from sequence next on.
func ContinueWriter(w io.Writer, h *Header, next uint64) *Writer {
	return &Writer{out: w, source: h.Source, next: next}
}

// Append writes the line of the next event, with what o opens. It refuses a leaf that does not follow the one before, and
// what AppendRecord refuses.
func (w *Writer) Append(leaf []byte, o events.Opener) error {
	m, err := events.ParseLeaf(leaf)
	if err != nil {
		return err
	}
	if m.Sequence != w.next {
		return fmt.Errorf("audit: event %d comes where %d must", m.Sequence, w.next)
	}
	if w.buf, err = AppendRecord(w.buf[:0], leaf, o, w.source); err != nil {
		return err
	}
	if len(w.buf) > MaxLine {
		return fmt.Errorf("audit: the line of event %d has %d bytes, more than %d", m.Sequence, len(w.buf), MaxLine)
	}
	if _, err := w.out.Write(w.buf); err != nil {
		return err
	}
	w.next++
	return nil
}

// Secret writes the line of a secret of personal data. They come after the events.
func (w *Writer) Secret(s Secret) error { return w.line(&s) }

// Close writes the footer, whose To it sets. It does not close what it writes to.
func (w *Writer) Close(f Footer) error {
	f.To = w.next - 1
	return w.line(&f)
}

func (w *Writer) line(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.out.Write(append(line, '\n'))
	return err
}
