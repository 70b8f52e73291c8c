package jetstream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"keyledger/ledger"
)

// A block file of the server is one record after the other (filestore.go). A record begins with its length in 4 bytes, of
// which the highest bit tells of headers, its sequence in 8, its time in 8 and the length of its subject in 2, the lowest byte
// first each; it ends with a checksum of 8 bytes.
const (
	recordHead   = 22
	recordLeast  = recordHead + 8
	recordMost   = 32 << 20
	recordHeader = 1 << 31

	// mostMissing is how many sequences may be missing between two records before the server is kept from reading them.
	mostMissing = 1 << 20
)

// checkBlocks refuses a store of the ledger in which a sequence is far from the one before it. The server takes every
// sequence between two records for a message that was deleted, before it looks at checksums, and notes each: a flipped bit in
// the upper half of a sequence would take all memory and never end. Everything else that is wrong with a file the server finds
// itself, or who reads the ledger.
func checkBlocks(store string) error {
	folder := filepath.Join(store, "jetstream", server.DEFAULT_GLOBAL_ACCOUNT, "streams", LedgerStream, "msgs")
	files, err := filepath.Glob(filepath.Join(folder, "*.blk"))
	if err != nil {
		return err
	}
	number := func(file string) int {
		n, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".blk"))
		return n
	}
	slices.SortFunc(files, func(a, b string) int { return number(a) - number(b) })
	last := uint64(0)
	for _, file := range files {
		if last, err = checkBlock(file, last); err != nil {
			return err
		}
	}
	return nil
}

// checkBlock checks the records of a file, which follow the sequence last, and gives the last one of theirs. It ends where
// the file is not made of records any more.
func checkBlock(file string, last uint64) (uint64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, fmt.Errorf("jetstream: check %s: %w", file, err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<18)
	for offset := 0; ; {
		head, err := in.Peek(recordHead)
		if errors.Is(err, io.EOF) {
			return last, nil
		} else if err != nil {
			return 0, fmt.Errorf("jetstream: check %s: %w", file, err)
		}
		length := int(binary.LittleEndian.Uint32(head) &^ recordHeader)
		if length < recordLeast || length > recordMost {
			return last, nil
		}
		sequence := binary.LittleEndian.Uint64(head[4:])
		if sequence > last+mostMissing {
			return 0, fmt.Errorf("%w: stream %s: %s at %d says that it is message %d, after message %d: it is damaged",
				ledger.ErrGap, LedgerStream, file, offset, sequence, last)
		}
		last = max(last, sequence)
		offset += length
		if _, err := in.Discard(length); errors.Is(err, io.EOF) {
			return last, nil
		} else if err != nil {
			return 0, fmt.Errorf("jetstream: check %s: %w", file, err)
		}
	}
}
