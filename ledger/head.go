package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Head is a head of the tree over the ledger: its root when it had so many leaves.
type Head struct {
	Origin string // names the ledger
	Size   uint64
	Root   tlog.Hash
}

// SignedHead is a Head, and the signed note that says it: a checkpoint (C2SP tlog-checkpoint).
type SignedHead struct {
	Head
	Note      []byte // must not be modified
	Witnesses int    // whose cosignatures the note has
}

// OpenHead gives the head that a checkpoint says, if the key of verifier, in the form of signed notes, has signed it, for the
// ledger that the key is of.
func OpenHead(checkpoint []byte, verifier string) (Head, error) {
	key, err := note.NewVerifier(verifier)
	if err != nil {
		return Head{}, fmt.Errorf("ledger: verifier key: %w", err)
	}
	return openHead(checkpoint, note.VerifierList(key), key.Name())
}

func openHead(checkpoint []byte, known note.Verifiers, origin string) (Head, error) {
	n, err := note.Open(checkpoint, known)
	if err != nil {
		return Head{}, err
	}
	head, err := parseHead(n.Text)
	if err == nil && head.Origin != origin {
		err = fmt.Errorf("ledger: a head of %q, not of %q", head.Origin, origin)
	}
	return head, err
}

// text is the text of the head's note.
func (h *Head) text() string { return fmt.Sprintf("%s\n%d\n%s\n", h.Origin, h.Size, h.Root) }

var errNoCheckpoint = errors.New("ledger: not the text of a checkpoint")

// parseHead is the inverse of text. It takes no extension lines.
func parseHead(text string) (Head, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return Head{}, errNoCheckpoint
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return Head{}, fmt.Errorf("%w: %w", errNoCheckpoint, err)
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Head{}, fmt.Errorf("%w: its root", errNoCheckpoint)
	}
	h := Head{Origin: lines[0], Size: uint64(size), Root: tlog.Hash(root)}
	if size < 0 || h.text() != text {
		return Head{}, fmt.Errorf("%w: its size", errNoCheckpoint)
	}
	return h, nil
}
