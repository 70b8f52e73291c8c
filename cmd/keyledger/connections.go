package main

import "math"

// reservedFiles are for what is not a client's connection: the stores, NATS and webhooks.
const reservedFiles = 1024

// unlimited is where the system sets no limit.
const unlimited = math.MaxUint64

// boundConnections is how many connections there may be where most are wanted and the process may have so many open
// files: a connection must not take the file that the ledger is written to.
func boundConnections(most int, files uint64) int {
	room := files / 2
	if files > 2*reservedFiles {
		room = files - reservedFiles
	}
	return int(min(uint64(most), max(room, 1)))
}
