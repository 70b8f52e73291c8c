package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"keyledger/client"
	"keyledger/ledger"
)

func TestExitCodes(t *testing.T) {
	p := start(t, t.TempDir())
	env := []string{"KEYLEDGER_SERVER=" + p.url, "KEYLEDGER_TOKEN=" + rootToken}
	key, err := p.client(t).CreateKey(t.Context(), client.CreateKey{Name: "valid"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		want int
		says string
	}{
		{"version", exitOK, ""},
		{"keys list", exitOK, ""},
		{"keys verify " + key.Token.Reveal(), exitOK, ""},
		{"nonsense", exitUsage, "nonsense"},
		{"keys list --nonsense", exitUsage, "nonsense"},
		{"keys show", exitUsage, "arg"},
		{"keys list -o xml", exitUsage, "xml"},
		{"keys update " + key.ID, exitUsage, "nothing to change"},
		{"keys create --metadata {", exitUsage, "JSON"},
		{"keys create --expires soon", exitUsage, "soon"},
		{"keys list --server localhost", exitUsage, "localhost"},
		{"keys list --token-file nowhere", exitUsage, "nowhere"},
		{"serve --replicas 2", exitUsage, "replicas"},
		{"keys show nonsense", exitRefused, "404"},
		{"keys list --token wrong-but-long-enough-to-be-a-token", exitRefused, "401"},
		{"keys list --server http://127.0.0.1:1", exitNoAnswer, "refused"},
		{"keys verify wrong-but-long-enough-to-be-a-token", exitInvalid, "NOT_FOUND"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stderr bytes.Buffer
			if got := run(t.Context(), strings.Fields(test.args), env, new(bytes.Buffer), &stderr); got != test.want {
				t.Errorf("exit code %d, want %d: %s", got, test.want, &stderr)
			}
			if !strings.Contains(stderr.String(), test.says) {
				t.Errorf("it says %q, which does not contain %q", &stderr, test.says)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	if code := run(ctx, []string{"keys", "list"}, env, new(bytes.Buffer), &stderr); code == exitOK || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("interrupted: exit code %d, %q", code, &stderr)
	}
}

// TestExitCodesOfTheLedger: what a supervisor must tell apart.
func TestExitCodesOfTheLedger(t *testing.T) {
	for err, want := range map[error]int{
		fmt.Errorf("a: %w", errFrozen):     exitFrozen,
		fmt.Errorf("a: %w", ledger.ErrGap): exitDamaged,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v gives %d, want %d", err, got, want)
		}
	}
}
