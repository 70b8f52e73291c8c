// Package witness has the heads of the ledger cosigned by witnesses: others who hold the ledger to what it was. A witness
// keeps the last head that it has cosigned, and cosigns another one only if a proof shows that the ledger has only grown
// since. So who trusts a witness need not have kept a head, and need not wonder if others are shown another ledger.
//
// It speaks C2SP tlog-witness (add-checkpoint) and takes Ed25519 cosignatures of C2SP tlog-cosignature (cosignature/v1).
// Everything is done beside the signing of heads, which waits for no witness; and each witness has a goroutine of its own,
// with one request under way at most.
package witness
