package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"keyledger/client"
	"keyledger/ledger"
)

// The exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitRefused  = 3
	exitNoAnswer = 4
	exitInvalid  = 5
	exitFrozen   = 6
	exitDamaged  = 7
	exitWarnings = 8
)

const exitCodes = `
Exit codes:
  0  done
  1  failed for another reason than those below
  2  wrong usage or configuration
  3  the server refused the request
  4  the server gave no answer, or cannot answer now
  5  keys verify: the token is not valid
  6  serve: the ledger no longer takes writes after an I/O error; a restart may cure it
  7  serve: the ledger has lost or changed events; restore it before it is served again
     audit: the history, or the export of it, is not as it must be
  8  audit verify: nothing but warnings`

// usageError is a wrong command line or configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Ends of a command that are no failure of keyledger itself.
var (
	errInvalidToken = errors.New("the token is not valid")
	errFrozen       = errors.New("the ledger no longer takes writes")
)

// report prints err for a human and gives the exit code.
func report(stderr io.Writer, err error) int {
	code := exitCode(err)
	if code != exitOK {
		fmt.Fprintln(stderr, "keyledger:", message(err))
	}
	return code
}

func exitCode(err error) int {
	var usage *usageError
	var refused *client.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errInvalidToken):
		return exitInvalid
	case errors.Is(err, errFrozen):
		return exitFrozen
	case errors.Is(err, errFoundWarnings):
		return exitWarnings
	case errors.Is(err, ledger.ErrGap), errors.Is(err, ledger.ErrDiverged), errors.Is(err, errFoundErrors):
		return exitDamaged
	case errors.As(err, &refused) && refused.Status < http.StatusInternalServerError:
		return exitRefused
	case errors.As(err, &refused), errors.Is(err, client.ErrNoAnswer):
		return exitNoAnswer
	}
	return exitFailed
}

// message is what a human reads of err.
func message(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	text := err.Error()
	var refused *client.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		text += "; give a token with --token-file, or in KEYLEDGER_TOKEN"
	case errors.As(err, &refused) && refused.Status >= http.StatusInternalServerError && refused.RequestID != "":
		text += "; in the server's log it is request " + refused.RequestID
	}
	return strings.TrimPrefix(strings.TrimPrefix(text, "keyledger: "), "client: ")
}
