package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keyledger/client"
	"keyledger/ledger"
	"keyledger/ledger/audit"
)

// newVerifyCommand gives the command that verifies a history.
func newVerifyCommand(env environment) *cobra.Command {
	var c connection
	v := verifier{}
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Verify the history of a server, or of an exported file without a server",
		Long: "Read every event, compute the root of the ledger from them, and hold that against the signed head, an earlier head and\n" +
			"the rules of the ledger. Each line of output is one finding: severity, sequence, what it is about, text. The last line\n" +
			"is a summary.\n\n" +
			"FILE is an export; \"-\" is standard input. Without FILE the server is asked: it reads its ledger once more for that. The\n" +
			"token needs the scope ledger:audit, and a key without an owner.\n\n" +
			"Give the key that verifies heads as you noted it once: a key that comes from where the events come from shows that they\n" +
			"fit together, not whose they are.\n\n" +
			"Personal data is sealed in what is signed. Without the secret of the ledger it is taken for what FILE says, as it cannot\n" +
			"be opened; all else that FILE says is held against what is signed.\n\n" +
			"It ends with 0 when there is nothing to find, 8 with warnings only, 7 with errors.",
		Example: "  keyledger audit verify --key-file ledger.key --since head\n  keyledger audit verify ledger.ndjson --key-file ledger.key",
		Args:    cobra.MaximumNArgs(1),
		PreRunE: func(cmd *cobra.Command, _ []string) error { return env.apply(cmd.Flags()) },
		RunE: func(cmd *cobra.Command, args []string) error {
			v.out, v.progress = cmd.OutOrStdout(), &progress{stderr: cmd.ErrOrStderr()}
			err := v.prepare()
			if err == nil && v.secret != "" && (len(args) == 0 || args[0] == "-") {
				err = &usageError{errors.New("--secret is for the FILE of an export, which is read twice then")}
			}
			if err != nil {
				return err
			}
			if len(args) == 0 {
				cl, err := c.open()
				if err != nil {
					return err
				}
				return v.server(cmd.Context(), cl)
			}
			if v.secret != "" {
				if v.keys, err = openKeys(cmd.Context(), args[0], v.secret); err != nil {
					return err
				}
			}
			file, err := openExport(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer file.Close()
			return v.file(cmd.Context(), file)
		},
	}
	flags := cmd.Flags()
	c.flags(flags)
	flags.StringVar(&v.givenKey, "key", "", "key that verifies heads, as /v1/ledger/key gives it")
	flags.StringVar(&v.keyFile, "key-file", "", "file that holds this key")
	flags.BoolVar(&v.trust, "trust-key", false, "take the key from the file or the server, without a warning")
	flags.StringVar(&v.secret, "secret", "", "secret of the ledger, to hold personal data in FILE against what was sealed")
	flags.StringVar(&v.secretFile, "secret-file", "", "file that holds the secret")
	flags.StringVar(&v.sinceFile, "since", "", "file with an earlier signed head, which the history must contain")
	return cmd
}

// verifier verifies one history.
type verifier struct {
	out               io.Writer
	progress          *progress
	givenKey, keyFile string
	sinceFile         string
	trust             bool
	secretFile        string

	key      string // that was given; empty: none
	secret   string // that was given; empty: none
	keys     *ledger.Personal
	warnings int // of its own

	header audit.Header // of the file
	head   ledger.Head  // at the end of the file
	note   string       // that says it
	read   uint64       // sequence of the last event in the file
}

func (v *verifier) prepare() (err error) {
	if v.key, err = verifierKey(v.givenKey, v.keyFile); err != nil {
		return err
	}
	if v.secret, err = secretOf("secret", v.secret, v.secretFile); err != nil {
		return err
	}
	if v.key != "" && v.trust {
		return &usageError{errors.New("give --trust-key or a key, not both")}
	}
	return nil
}

// found prints a finding.
func (v *verifier) found(f audit.Finding) { fmt.Fprintln(v.out, plain(f.String())) }

// since is the earlier head, nil when none was given. It must be signed by the same key.
func (v *verifier) since(key string) (*ledger.Head, error) {
	if v.sinceFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(v.sinceFile)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--since: %w", err)}
	}
	head, err := ledger.OpenHead(text, key)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--since: %s is not a head that %s has signed: %w", v.sinceFile, key, err)}
	}
	return &head, nil
}

// borrowed warns of a key that comes from where the events come from.
func (v *verifier) borrowed(from string) {
	if v.key != "" || v.trust {
		return
	}
	v.warnings++
	v.found(audit.Finding{Severity: audit.Warning, Text: "THE KEY THAT VERIFIES THE HEAD WAS TAKEN FROM THE " + from +
		" ITSELF: that shows nothing about who has signed; give --key or --key-file"})
}

// server verifies the ledger of a server.
func (v *verifier) server(ctx context.Context, c *client.Client) (err error) {
	head, err := readHead(ctx, c, v.key)
	if err != nil {
		return err
	}
	v.borrowed("SERVER")
	since, err := v.since(head.key)
	if err != nil {
		return err
	}
	verification, err := v.begin(audit.Options{Source: head.source, Since: since}, head.Size)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, verification.Close()) }()
	err = verification.Read(ctx, records(c.Leaves(ctx, 1, head.Size)))
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == client.CodeInternal {
		v.missing(ctx, c, verification.Size(), head.Size, refused)
		return v.end(verification, 1)
	} else if err != nil {
		return err
	}
	verification.Hold(&head.Head, nil)
	return v.end(verification, 0)
}

// missing tells which event the server cannot give: its ledger does not hold what its tree has.
func (v *verifier) missing(ctx context.Context, c *client.Client, read, size uint64, why error) {
	for sequence := read + 1; sequence <= size; sequence++ {
		if _, err := c.Entries(ctx, (sequence-1)/client.TileWidth, int((sequence-1)%client.TileWidth)+1); err != nil {
			v.found(audit.Finding{Severity: audit.Error, Sequence: sequence, Text: "the server cannot give it: its ledger holds something else than its tree: " + err.Error()})
			return
		}
	}
	v.found(audit.Finding{Severity: audit.Error, Text: "the server cannot give its events: " + why.Error()})
}

// records are the records of leaves.
func records(leaves iter.Seq2[[]byte, error]) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for leaf, err := range leaves {
			if !yield(audit.LeafRecord(leaf), err) {
				return
			}
		}
	}
}

// file verifies an export.
func (v *verifier) file(ctx context.Context, in io.Reader) (err error) {
	reader, err := audit.NewReader(in)
	if err != nil {
		return fmt.Errorf("%w: %w", errFoundErrors, err)
	}
	v.header = *reader.Header()
	header := &v.header
	key := v.key
	if key == "" {
		key = header.VerifierKey
	}
	v.borrowed("FILE")
	since, err := v.since(key)
	if err != nil {
		return err
	}
	o := audit.Options{From: header.From, Before: header.Before, Source: header.Source, Since: since}
	if v.keys != nil {
		o.Keys = v.keys
	}
	verification, err := v.begin(o, 0)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, verification.Close()) }()
	errs := 0
	err = verification.Read(ctx, reader.Records())
	if broken, ok := errors.AsType[*audit.LineError](err); ok || errors.Is(err, audit.ErrInterrupted) {
		errs++
		f := audit.Finding{Severity: audit.Error, Text: strings.TrimPrefix(err.Error(), "audit: ")}
		if broken != nil {
			f.Sequence = verification.Size() + 1
		}
		v.found(f)
	} else if err != nil {
		return err
	}
	if footer := reader.Footer(); footer != nil {
		errs += v.hold(verification, header, footer, key)
	}
	return v.end(verification, errs)
}

// hold holds what was read against the head in the footer. It tells how many errors it found by itself.
func (v *verifier) hold(verification *audit.Verification, header *audit.Header, footer *audit.Footer, key string) int {
	head, err := ledger.OpenHead([]byte(footer.Checkpoint), key)
	if err != nil {
		v.found(audit.Finding{Severity: audit.Error, Text: fmt.Sprintf("the head in the file is not signed by %s: %v", key, err)})
		return 1
	}
	v.head, v.note, v.read = head, footer.Checkpoint, verification.Size()
	errs := 0
	if header.Origin != head.Origin {
		v.found(audit.Finding{Severity: audit.Error, Text: fmt.Sprintf("the file says that it is of %s, and its head is of %s", header.Origin, head.Origin)})
		errs++
	}
	if footer.To != verification.Size() {
		v.found(audit.Finding{Severity: audit.Error, Text: fmt.Sprintf("the file says that it ends with event %d, and it ends with %d", footer.To, verification.Size())})
		errs++
	}
	verification.Hold(&head, footer.After)
	return errs
}

func (v *verifier) begin(o audit.Options, total uint64) (*audit.Verification, error) {
	o.Found = v.found
	if total > 0 {
		o.Count = func(events uint64) { v.progress.show("verifying", events, total) }
	}
	return audit.NewVerification(o)
}

// end prints the summary and gives the error that is the exit code. errs are errors that were found beside the verification's.
func (v *verifier) end(verification *audit.Verification, errs int) error {
	errs += verification.Findings(audit.Error)
	warnings := verification.Findings(audit.Warning) + v.warnings
	verdict := "verified"
	if errs > 0 {
		verdict = "NOT VERIFIED"
	}
	fmt.Fprintf(v.out, "%s: %d events read, up to event %d; %s, %s\n", verdict, verification.Events(), verification.Size(),
		counted(errs, "error"), counted(warnings, "warning"))
	switch {
	case errs > 0:
		return errFoundErrors
	case warnings > 0:
		return errFoundWarnings
	}
	return nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
