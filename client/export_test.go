package client

import (
	"bytes"
	"crypto/sha256"
)

// ForgeEvent is a snapshot of which the last event has another id, as in another ledger.
func ForgeEvent(data []byte) []byte {
	return forge(data, `"event":"`, func(b []byte) { b[0] = '0' + (b[0]+1)&1 })
}

// ForgeOwner is a snapshot of another owner.
func ForgeOwner(data []byte) []byte {
	return forge(data, `"WorkspaceID":"`, func(b []byte) { b[0] ^= 1 })
}

// forge changes what is behind a mark, and the checksum with it.
func forge(data []byte, mark string, change func([]byte)) []byte {
	forged := bytes.Clone(data[:len(data)-sha256.Size])
	change(forged[bytes.Index(forged, []byte(mark))+len(mark):])
	sum := sha256.Sum256(forged)
	return append(forged, sum[:]...)
}
