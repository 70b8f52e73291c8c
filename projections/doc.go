// Package projections holds the views of the ledger: everything that can be asked of it, derived from its events.
//
// Run follows the log with one tail. A goroutine decodes, another applies: it evolves the key that an event is about,
// has every view add its changes to a Pebble batch, and commits them together with the position. So the views are as of
// one position always, apply every event exactly once, and go on where they were after a restart or a crash. Pebble has
// no write-ahead log here, the ledger is one: a crash takes at most the last half minute of the views, or a few
// memtables of changes, and these are read from the ledger again. A folder of views may be deleted at any time.
//
// Keys are held in Pebble and in a compact table in memory, which answers by id and by digest without a lock. It is
// changed before those are released who wait for the position (WaitFor): after a revocation was acknowledged nobody on
// this node finds the key valid. With DiskIndex there is no table, and Pebble answers.
//
// Uses of keys come from a log of their own, at a position of their own.
//
// A view is a file with the layout of its entries, what a change makes of them, and the methods of ledger.State that
// read them. To add one: write that file and name it in layout.
package projections
