package jetstream

import "time"

const (
	// lagPatience is how long a server that feeds a tail may lack what the leader has, before another feed is opened.
	lagPatience = time.Second
	// lagPatienceMost bounds it. It doubles with each feed that lags, so that servers which are all slow are left alone.
	lagPatienceMost = 30 * time.Second
)

// lag tells whether the server of a feed is behind the leader: its disk may be slow, or its links. nats-server places the
// consumer of a feed on any server that has the stream, and a new one perhaps on another.
type lag struct {
	patience time.Duration // 0: lagPatience
	wanted   uint64        // sequence of a message that the leader has and the feed has not brought; 0: it brought all
	since    time.Time     // when the leader had it
	server   string        // of the last feed that was behind for too long; empty: none since a feed has brought all
}

// seen notes that the feed has brought everything before next, when last was known to be stored at a moment.
func (l *lag) seen(next uint64, known moment) {
	if l.wanted < next {
		l.wanted = 0
	}
	switch {
	case known.last < next:
		*l = lag{}
	case l.wanted == 0:
		l.wanted, l.since = known.last, known.at
	}
}

// over tells, when the server of a feed says that it has no more, whether it has been behind for too long. The next one is
// given longer then.
func (l *lag) over(now time.Time, server string) bool {
	if l.patience == 0 {
		l.patience = lagPatience
	}
	if l.wanted == 0 || now.Sub(l.since) < l.patience {
		return false
	}
	*l = lag{patience: min(2*l.patience, lagPatienceMost), server: server}
	return true
}
