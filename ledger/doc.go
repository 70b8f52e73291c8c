// Package ledger holds the rules of API keys, and nothing of how they are stored or served.
//
// A command (Create, Update, Rotate, Disable, Enable, Revoke, RegisterAgent) is decided by a pure Decide function, which
// turns the state of one key and the command into the body of an event or an *Error. The Service appends that event to
// the Log with a guard on the state it was decided on, waits until its own State shows it, and returns what Evolve makes
// of it. A key is what Evolve makes of its events in order; Evolve cannot refuse.
//
// Who may do what is decided here as well (Principal, Allow), so that no caller of the Service can forget to ask.
//
// Two ports lead out of the package: Log, an append-only log with a guard per subject, and State, the views built from
// it. Package ledgertest has both in memory, with faults, and the conformance suites that every implementation passes.
package ledger
