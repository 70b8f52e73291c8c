// Package audit is the exported form of a ledger, and how a ledger is verified from its events alone.
//
// # The file
//
// An export is text: one JSON object a line (NDJSON), UTF-8, each line ended by a line feed and at most MaxLine bytes long.
// The first line is a Header, then comes a line for each message of the ledger in the order of their sequences, without a
// gap, then, in a whole export, the secrets of personal data, and the last line is a Footer. A file without a Footer is one
// whose export was interrupted.
//
// The header says what the file is:
//
//	format        keyledger.export
//	version       2
//	origin        names the ledger, in its signed heads
//	source        names the ledger, in its events
//	verifier_key  what the heads of the ledger are verified with, as the exporting server said
//	from          sequence of the first event in the file
//	before        hashes that stand for the events before it, see below
//
// The line of an event is its exchange form (see package events), a CloudEvents 1.0 object, with the extension attribute leaf
// as the last member: the leaf of the message in the Merkle tree, in base64 (RFC 4648 section 4, padded). All else on the
// line follows from the leaf and source, but for personal data: so the message can be restored and its leaf be hashed byte
// for byte; and a reader who is only interested in what happened needs nothing else than the line. Every message of the
// ledger is a leaf, so claims have lines too, which GET /v1/events does not show.
//
// # Personal data
//
// The leaf has it sealed (see package events). The line tells what the server has opened when it was exported: names,
// metadata, reasons and origins; or "erased". Which of them there are follows from the leaf; what they are, only with the
// keys. Who has the secret of the nodes has them, with the lines of the secrets, and can hold the one against the other
// (Options.Keys); who has not takes the line for it. Of an event of version 1, which is not sealed, the line says what the
// leaf says, or "erased" for all of it.
//
// A line of a secret has these members, in this order:
//
//	secret  where the vault keeps it: the SHA-256 of its name in lower-case hex
//	value   the secret in base64, sealed with a key that follows from the secret of the nodes
//
// They are those of the vault when the export ended, without what was erased before. No head covers them: one that is
// missing or another opens nothing, and says nothing else.
//
// The footer ties the file to a signed head of the ledger:
//
//	checkpoint  the head (C2SP tlog-checkpoint), a signed note
//	to          sequence of the last event in the file
//	after       hashes that stand for the events after it, up to the size of the head
//
// # The hashes before and after
//
// The tree is that of RFC 6962 section 2.1. Whatever part of the ledger is in the file, the root of the head can be computed
// from it: before and after are the roots of the fewest perfect subtrees that cover the leaves with the indexes 0 to from-2,
// and to to size-1, in the order of their leaves (a "compact range"), each in base64. Of a whole export both are empty.
//
// # Versions
//
// Version 1 has no secrets, as nothing was sealed then.
//
// A member may be added to a header or a footer within a version, if who does not know it may ignore it. Everything else is
// a new version. A reader refuses one that it does not know.
package audit
