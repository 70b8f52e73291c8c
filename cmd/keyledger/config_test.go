package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestSettingsPrecedence(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		env  []string
		want string // of name, or of the error
	}{
		{"default", nil, nil, "main"},
		{"variable", nil, []string{"KEYLEDGER_NAME=a"}, "a"},
		{"empty variable is none", nil, []string{"KEYLEDGER_NAME="}, "main"},
		{"flag before variable", []string{"--name=b"}, []string{"KEYLEDGER_NAME=a"}, "b"},
		{"flag of the default before variable", []string{"--name=main"}, []string{"KEYLEDGER_NAME=a"}, "main"},
		{"wrong value in a variable", nil, []string{"KEYLEDGER_REPLICAS=three"}, "KEYLEDGER_REPLICAS: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c config
			flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
			c.flags(flags)
			if err := flags.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			err := newEnvironment(test.env).apply(flags)
			got := c.name
			if err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestSecretsByFile: a secret may be given itself or as a file, on either level; the flag's level wins as a whole.
func TestSecretsByFile(t *testing.T) {
	file := t.TempDir() + "/secret"
	const inFile, given = "secret-in-a-file-of-more-than-32-bytes", "secret-that-is-given-of-more-than-32-bytes"
	if err := os.WriteFile(file, []byte(inFile+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		env  []string
		want string // empty: refused
	}{
		{"flag", []string{"--secret", given}, nil, given},
		{"file flag", []string{"--secret-file", file}, nil, inFile},
		{"variable", nil, []string{"KEYLEDGER_SECRET=" + given}, given},
		{"file variable", nil, []string{"KEYLEDGER_SECRET_FILE=" + file}, inFile},
		{"flag before file variable", []string{"--secret", given}, []string{"KEYLEDGER_SECRET_FILE=" + file}, given},
		{"file flag before variable", []string{"--secret-file", file}, []string{"KEYLEDGER_SECRET=" + given}, inFile},
		{"both flags", []string{"--secret", given, "--secret-file", file}, nil, ""},
		{"both variables", nil, []string{"KEYLEDGER_SECRET=" + given, "KEYLEDGER_SECRET_FILE=" + file}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c config
			flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
			c.flags(flags)
			if err := flags.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			if err := newEnvironment(test.env).apply(flags); err != nil {
				t.Fatal(err)
			}
			err := c.check()
			if test.want == "" {
				if err == nil || !strings.Contains(err.Error(), "not both") || strings.Contains(err.Error(), given) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || c.secret != test.want {
				t.Fatalf("got %q, %v", c.secret, err)
			}
		})
	}
}

func TestUnknownVariables(t *testing.T) {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	new(config).flags(flags)
	env := newEnvironment([]string{"KEYLEDGER_NAME=a", "KEYLEDGER_NAMES=b", "KEYLEDGER_DATUM=c", "HOME=/", "KEYLEDGER_EMPTY="})
	if got := env.unknown(flags); !slices.Equal(got, []string{"KEYLEDGER_DATUM", "KEYLEDGER_NAMES"}) {
		t.Fatalf("got %v", got)
	}
}

func TestNoticeSettings(t *testing.T) {
	const hour = time.Hour
	for _, test := range []struct {
		args []string
		want []time.Duration // nil and refused: an error
		bad  string
	}{
		{nil, []time.Duration{168 * hour, 24 * hour}, ""},
		{[]string{"--expiry-notices", "1h, 90s,2d12h"}, []time.Duration{hour, 90 * time.Second, 60 * hour}, ""},
		{[]string{"--expiry-notices", "none"}, nil, ""},
		{[]string{"--expiry-notices", ""}, nil, ""},
		{[]string{"--expiry-notices", "7d,soon"}, nil, "--expiry-notices: "},
		{[]string{"--expiry-notices", "0s"}, nil, "--expiry-notices: "},
		{[]string{"--expiry-notices", "1500ms"}, nil, "--expiry-notices: "},
		{[]string{"--expiry-notices", "1d,"}, nil, "--expiry-notices: "},
		{[]string{"--first-used-rate", "-1"}, nil, "--first-used-rate: "},
	} {
		var c config
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		c.flags(flags)
		if err := flags.Parse(test.args); err != nil {
			t.Fatal(err)
		}
		err := c.check()
		if test.bad == "" && (err != nil || !slices.Equal(c.horizons, test.want)) {
			t.Errorf("%q: got %v, %v, want %v", test.args, c.horizons, err, test.want)
		}
		if test.bad != "" && (err == nil || !strings.Contains(err.Error(), test.bad)) {
			t.Errorf("%q: got %v", test.args, err)
		}
	}
}
