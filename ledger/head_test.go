package ledger

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// FuzzParseHead holds that the text of a checkpoint has one spelling.
func FuzzParseHead(f *testing.F) {
	f.Add((&Head{Origin: "keyledger/main", Size: 3, Root: tlog.Hash{1}}).text())
	f.Add("a\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	f.Add("a\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	f.Add("a\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n")
	f.Add("\n1\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHead(text)
		if err == nil && h.text() != text {
			t.Errorf("%q is %q", text, h.text())
		}
	})
}
