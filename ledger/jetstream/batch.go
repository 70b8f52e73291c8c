package jetstream

import (
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// maxBatchBytes bounds the bodies of one batch.
const maxBatchBytes = 4 << 20

// batch is an atomic batch publish (ADR-50) of several commits.
type batch struct {
	id       string
	commits  []*commit
	size     int // messages
	bytes    int
	subjects map[string]struct{}
	// divisible: its commits are one message each, so some of them may be stored without the others.
	divisible bool
}

func newBatch() *batch {
	return &batch{id: nuid.Next(), subjects: make(map[string]struct{})}
}

// full tells that there is no use in looking for more.
func (b *batch) full() bool { return b.size >= maxEntries || b.bytes >= maxBatchBytes }

// fits tells that the commit may join: within a batch, only the first message of a subject may have a guard.
func (b *batch) fits(x *commit) bool {
	if b.size == 0 {
		return true
	}
	if b.size+len(x.entries) > maxEntries || b.divisible && len(x.entries) > 1 {
		return false
	}
	bytes := b.bytes
	for _, m := range x.messages {
		bytes += len(m.Data)
		if _, ok := b.subjects[m.Subject]; ok {
			return false
		}
	}
	return bytes <= maxBatchBytes
}

// add puts the commit into the batch and returns its messages with their place in it.
func (b *batch) add(x *commit) []*nats.Msg {
	b.commits = append(b.commits, x)
	for _, m := range x.messages {
		b.size++
		b.bytes += len(m.Data)
		b.subjects[m.Subject] = struct{}{}
		b.mark(m, b.size)
	}
	return x.messages
}

// mark writes a message's place in the batch into its header.
func (b *batch) mark(m *nats.Msg, sequence int) {
	m.Header[headerBatchID] = []string{b.id}
	m.Header[headerBatchSequence] = []string{strconv.Itoa(sequence)}
}

// end is the message that ends the batch. It is not stored itself.
func (b *batch) end() *nats.Msg {
	m := &nats.Msg{Subject: b.commits[0].messages[0].Subject, Header: make(nats.Header, 3)}
	b.mark(m, b.size+1)
	m.Header[headerBatchCommit] = []string{"eob"}
	return m
}
