package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"

	"keyledger/ledger"
)

// Bounds of an answer.
const (
	maxAnswerHeader = 16 << 10
	maxAnswer       = 16 << 10
)

// sizeType is the media type of the size of a tree.
const sizeType = "text/x.tlog.size"

// outcome is what became of a request.
type outcome string

const (
	cosigned     outcome = "cosigned"
	ahead        outcome = "ahead"        // the witness has a larger head than this node
	inconsistent outcome = "inconsistent" // the witness has a head that this one does not follow from
	unknown      outcome = "unknown"      // the witness does not know the ledger
	untrusted    outcome = "untrusted"    // the witness knows another key of the ledger
	unverified   outcome = "unverified"   // the answer has no cosignature by the key of the witness
	refused      outcome = "refused"      // any other answer
	timeout      outcome = "timeout"      // no answer in time
	unreachable  outcome = "unreachable"  // no answer for another reason
	failed       outcome = "failed"       // nothing was asked: something is wrong here
)

// outcomes are all of them.
func outcomes() []outcome {
	return []outcome{cosigned, ahead, inconsistent, unknown, untrusted, unverified, refused, timeout, unreachable, failed}
}

// newClient gives the client that asks witnesses. They are the operator's choice: any address will do, and a proxy.
func newClient(c *Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: c.Timeout}).DialContext,
			TLSClientConfig:        c.TLS,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxAnswerHeader,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// submit asks for the cosignature of a head, first after the size that the witness is thought to hold, then after that
// which it says.
func (w *worker) submit(ctx context.Context, head *ledger.SignedHead) (note.Signature, outcome, error) {
	for range 3 { // another node may be asking the same witness
		if w.held > head.Size {
			w.held = 0 // it is found out anew
		}
		status, media, body, err := w.post(ctx, head)
		if err != nil {
			return note.Signature{}, failure(err), err
		}
		if status == http.StatusConflict && media == sizeType {
			held, err := strconv.ParseUint(string(bytes.TrimSuffix(body, []byte("\n"))), 10, 63)
			switch {
			case err != nil:
				return note.Signature{}, refused, fmt.Errorf("its size: %w", err)
			case held > head.Size:
				return note.Signature{}, ahead, fmt.Errorf("it has cosigned %d events", held)
			}
			w.held = held
			continue
		}
		return w.judge(head, status, body)
	}
	return note.Signature{}, refused, fmt.Errorf("it has %d events now, and says so again and again", w.held)
}

// judge reads an answer that is final.
func (w *worker) judge(head *ledger.SignedHead, status int, body []byte) (by note.Signature, out outcome, err error) {
	switch status {
	case http.StatusOK:
		n, err := note.Open(append(bytes.Clone(head.Note), body...), note.VerifierList(w.witness.key))
		if err != nil {
			return by, unverified, err
		}
		if !bytes.HasPrefix(head.Note, []byte(n.Text+"\n— ")) { // the answer makes another note of it
			return by, unverified, errors.New("its cosignature is of another text")
		}
		w.held = head.Size
		return n.Sigs[0], cosigned, nil
	case http.StatusConflict, http.StatusUnprocessableEntity:
		out = inconsistent
	case http.StatusNotFound:
		out = unknown
	case http.StatusForbidden:
		out = untrusted
	default:
		out = refused
	}
	return by, out, fmt.Errorf("its answer is %d %s", status, http.StatusText(status))
}

// errHere is about what was not asked.
var errHere = errors.New("witness: no proof")

// post sends a head, with the proof that it follows from the one that the witness holds.
func (w *worker) post(ctx context.Context, head *ledger.SignedHead) (status int, media string, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	text, err := w.request(head)
	if err != nil {
		return 0, "", nil, fmt.Errorf("%w: %w", errHere, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.witness.url, bytes.NewReader(text))
	if err != nil {
		return 0, "", nil, err
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	r.Header.Set("User-Agent", "keyledger/"+w.Version)
	answer, err := w.client.Do(r)
	if err != nil {
		return 0, "", nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	media, _, _ = mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return answer.StatusCode, media, body, err
}

// request is the body of add-checkpoint.
func (w *worker) request(head *ledger.SignedHead) ([]byte, error) {
	text := fmt.Appendf(nil, "old %d\n", w.held)
	if w.held > 0 {
		proof, err := w.Service.Consistency(w.held, head.Size)
		if err != nil {
			return nil, err
		}
		for _, hash := range proof.Hashes {
			text = append(append(text, hash.String()...), '\n')
		}
	}
	return append(append(text, '\n'), head.Note...), nil
}

// failure is the outcome of a request without an answer.
func failure(err error) outcome {
	switch {
	case errors.Is(err, errHere):
		return failed
	case errors.Is(err, context.DeadlineExceeded):
		return timeout
	}
	return unreachable
}
