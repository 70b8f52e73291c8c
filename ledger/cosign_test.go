package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"keyledger/ledger"
)

// by is a cosignature, which nobody here verifies.
func by(witness, text string) note.Signature { return note.Signature{Name: witness, Base64: text} }

func TestCosignedHeads(t *testing.T) {
	w := newHeadWorld(t, 3)
	if w.Cosigned(0) != nil || w.Cosigned(1) != nil {
		t.Error("there is a head before one is signed")
	}
	w.sign()
	first := w.Latest()
	if w.Cosigned(0) != first || w.Cosigned(1) != nil {
		t.Error("a head without cosignatures")
	}
	w.Cosign(first, by("b", "BBBB"))
	w.Cosign(first, by("a", "AAAA"))
	w.Cosign(first, by("b", "CCCC")) // takes the place of its first one
	want := string(first.Note) + "— a AAAA\n— b CCCC\n"
	for n := range 3 {
		if got := w.Cosigned(n); got.Size != first.Size || got.Witnesses != 2 || string(got.Note) != want {
			t.Errorf("%d witnesses: %d, %s", n, got.Witnesses, got.Note)
		}
	}
	if w.Cosigned(3) != nil {
		t.Error("a head that three have cosigned")
	}
	w.append(2)
	w.sign()
	second := w.Latest()
	if w.Cosigned(0) != second || w.Cosigned(2).Size != first.Size {
		t.Error("the last head, and the last that two have cosigned")
	}
	w.Cosign(second, by("a", "DDDD"))
	if w.Cosigned(0).Size != second.Size || w.Cosigned(1).Size != second.Size || w.Cosigned(2).Size != first.Size {
		t.Error("the last that one has cosigned, and the last that two have")
	}
	if strings.Count(string(first.Note), "— ") != 1 || strings.Count(string(second.Note), "— ") != 1 {
		t.Error("a signed head was changed")
	}
}

// Only so many cosigned heads are kept, whichever come.
func TestOldCosignedHeadsAreForgotten(t *testing.T) {
	w := newHeadWorld(t, 1)
	w.sign()
	oldest := w.Latest()
	w.Cosign(oldest, by("a", "AAAA"))
	w.Cosign(oldest, by("b", "BBBB"))
	for i := range 40 {
		w.append(1)
		w.sign()
		w.Cosign(w.Latest(), by("a", fmt.Sprint(i)))
		w.Cosign(oldest, by("a", "AAAA")) // comes late
	}
	if w.Cosigned(1).Size != w.Latest().Size || w.Cosigned(2) != nil {
		t.Error("the newest ones must stay, and no others")
	}
}

func TestOpenACosignedHead(t *testing.T) {
	w := newHeadWorld(t, 3)
	w.sign()
	full := w.Cosign(w.Latest(), by("a", "AAAAAAAA"))
	got, err := w.Open(full.Note)
	if err != nil || got.Head != full.Head || string(got.Note) != string(w.Latest().Note) || got.Witnesses != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	other := newHeadWorld(t, 3)
	larger := newHeadWorld(t, 4)
	larger.sign()
	for name, text := range map[string][]byte{
		"no note":        []byte("text"),
		"another ledger": full.Note,
		"a larger one":   larger.Latest().Note,
	} {
		if _, err := other.Open(text); !errors.Is(err, ledger.ErrDiverged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
