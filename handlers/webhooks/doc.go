// Package webhooks tells endpoints by HTTP what happens in the ledger: each event of an endpoint's owner, from its first
// sequence on, at least once and in no order, as a POST of the event in its exchange form, signed by Standard Webhooks
// 1.0.0 (https://www.standardwebhooks.com).
//
// It is a reactor, not a view: its positions and retries are in the ledger.Queue, so a rebuild sends nothing again, and a
// node that dies leaves its events to the others. A Dispatcher has a reader of its own for each endpoint, and a window that
// narrows while an endpoint fails: one that hangs delays no other.
//
// The routes are those of package handlers.
package webhooks
