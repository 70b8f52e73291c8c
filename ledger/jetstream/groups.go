package jetstream

// maxGroups is how many groups of a replicated log are in flight at most.
const maxGroups = 4

// groups tells that commits go out in groups: of what waits, one after the other, and each whole at once. On a stream of
// several servers that costs less than to fill a batch while the server makes ready for it, as on one: the server stages
// batches in memory, so it has nothing to make ready, and Raft syncs what comes together with one sync. So each group is a
// single way to the leader and back, and what comes meanwhile is the next one.
func (c *committer) groups() bool { return c.log.options.Replicas > 1 }

// pumpGroups sends what waits, as far as it can be sent now.
func (c *committer) pumpGroups() {
	for len(c.waiting) > 0 && c.plain < maxGroups {
		if b := c.group(); b.size > 0 {
			c.sendGroup(b)
		}
	}
}

// group takes what waits and fits into one batch.
func (c *committer) group() *batch {
	b := newBatch()
	for len(c.waiting) > 0 && b.fits(c.waiting[0]) {
		if x := c.shift(); x.take() {
			b.add(x)
		}
	}
	return b
}

// sendGroup publishes a group: a message alone as it is, several as an atomic batch that the last one ends.
func (c *committer) sendGroup(b *batch) {
	c.plain++
	x := b.commits[0]
	if b.size == 1 {
		m := x.messages[0]
		delete(m.Header, headerBatchID)
		delete(m.Header, headerBatchSequence)
		c.send(m, &flight{commit: x})
		return
	}
	last := b.commits[len(b.commits)-1]
	for _, x := range b.commits {
		for i, m := range x.messages {
			if x == last && i == len(x.messages)-1 {
				m.Header[headerBatchCommit] = []string{"1"}
				c.send(m, &flight{batch: b, group: true})
				continue
			}
			// Should it fail, the batch has a hole, and its end will be refused.
			_ = c.log.nc.PublishMsg(m)
		}
	}
}
