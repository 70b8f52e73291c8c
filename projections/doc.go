// Package projections builds the views of the ledger: keys by id, by digest and in lists, agents, claims, histories and
// last uses. One runner follows the ledger and keeps all of them in Pebble, with the position they are as of in the same
// batch; keys are in a compact table in memory as well. The views implement ledger.State. They can be deleted at any
// time: they are built anew from the ledger.
package projections
