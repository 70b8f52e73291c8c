package jetstream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
)

// healthTimeout bounds what is asked of the stream for its health.
const healthTimeout = time.Second

// Healthy tells why the log cannot be served from this process: it is cut off, nobody leads the stream, nothing can
// be stored, or messages were lost (ledger.ErrGap).
func (l *Log) Healthy(ctx context.Context) error {
	if err := l.writable(); err != nil {
		return err
	}
	if status := l.nc.Status(); status != nats.CONNECTED {
		return fmt.Errorf("%w: %s", ledger.ErrUnavailable, strings.ToLower(status.String()))
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout) // without a leader nobody answers
	defer cancel()
	info, err := l.info(ctx)
	if err != nil {
		return err
	}
	return checkWhole(&info.State)
}

// writable tells why nothing can be stored now.
func (l *Log) writable() error {
	if l.context.Err() != nil {
		return errClosed
	}
	if err := l.trouble(); err != nil {
		return unavailable(err)
	}
	if l.breaker.open() {
		return unavailable(errNoAnswer)
	}
	return l.pulse.majority()
}

// trouble tells why the embedded server stores nothing now.
func (l *Log) trouble() error {
	if l.options.Server == nil {
		return nil
	}
	return l.options.Server.Writable()
}

// Unverified lists what the ledger needs of an external NATS and a client cannot see. It is empty for an embedded one.
func (l *Log) Unverified() []string {
	if l.options.Server != nil {
		return nil
	}
	var list []string
	if l.options.System == nil {
		list = append(list, "that every server has \"sync_interval: always\" and is not older than "+minimum+
			": otherwise a power failure can lose acknowledged events (--nats-system lets it be checked)")
	}
	list = append(list, "that nobody else may publish to "+strings.Join(ledgerConfig(&l.options).Subjects, " and ")+
		", or may delete, purge, restore or change the streams")
	if l.options.Replicas == 1 {
		list = append(list, "that the disk of one server outlives you: the stream has one replica")
	}
	return list
}

// minimum is the oldest nats-server whose atomic batches are known to be durable and ended as we end them.
const minimum = "2.15.0"

// checkServer refuses a server that is older than minimum.
func checkServer(nc *nats.Conn) error {
	version := nc.ConnectedServerVersion()
	if older(version, minimum) {
		return fmt.Errorf("jetstream: nats-server %s is older than %s", version, minimum)
	}
	return nil
}

// older compares the numbers of two versions like 2.15.2 or 2.16.0-dev.
func older(a, b string) bool {
	var x, y [3]int
	_, _ = fmt.Sscanf(a, "%d.%d.%d", &x[0], &x[1], &x[2])
	_, _ = fmt.Sscanf(b, "%d.%d.%d", &y[0], &y[1], &y[2])
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

// info asks the leader of the ledger's stream for its state.
func (l *Log) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	var info jetstream.StreamInfo
	if err := l.api(ctx, apiInfo, nil, &info); err != nil {
		return nil, err
	}
	return &info, nil
}
