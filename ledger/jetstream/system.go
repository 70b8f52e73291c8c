package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// pingSubject asks every server of an external NATS for its settings and state. It takes a user of the system account.
	pingSubject = "$SYS.REQ.SERVER.PING.VARZ"
	// pingTimeout bounds how long servers are asked for, pingSilence the wait for one more answer.
	pingTimeout = 5 * time.Second
	pingSilence = 500 * time.Millisecond
)

// varz is what a server says of itself, as far as it matters here.
type varz struct {
	Server struct {
		Name    string `json:"name"`
		Version string `json:"ver"`
	} `json:"server"`
	Data struct {
		JetStream struct {
			Config *struct {
				SyncAlways bool `json:"sync_always"`
			} `json:"config"`
		} `json:"jetstream"`
	} `json:"data"`
}

// check refuses a server that could lose what it has acknowledged. One without JetStream keeps nothing.
func (v *varz) check() error {
	switch {
	case v.Data.JetStream.Config == nil:
		return nil
	case older(v.Server.Version, minimum):
		return fmt.Errorf("jetstream: nats-server %s of %s is older than %s", v.Server.Version, v.Server.Name, minimum)
	case !v.Data.JetStream.Config.SyncAlways:
		return fmt.Errorf("jetstream: server %s acknowledges before it has synced: it needs \"jetstream { sync_interval: always }\"", v.Server.Name)
	default:
		return nil
	}
}

// checkServers asks the servers of an external NATS how they keep streams, and refuses one that could lose what it has
// acknowledged, or too few of them. As a busy server may answer late, or not be heard on its routes yet, it asks again.
func checkServers(ctx context.Context, system *nats.Conn, replicas int) error {
	answers := make(chan *nats.Msg, 64)
	inbox := system.NewRespInbox()
	sub, err := system.ChanSubscribe(inbox, answers)
	if err != nil {
		return fmt.Errorf("jetstream: system account: %w", err)
	}
	defer sub.Unsubscribe()
	keeping := make(map[string]bool) // by their names
	for began := time.Now(); time.Since(began) < pingTimeout; {
		if err := system.PublishRequest(pingSubject, inbox, nil); err != nil {
			return fmt.Errorf("jetstream: system account: %w", err)
		}
		if err := hearServers(ctx, answers, keeping); err != nil {
			return err
		}
		if len(keeping) >= replicas {
			return nil
		}
	}
	if len(keeping) == 0 {
		return errors.New("jetstream: no server answers the user of --nats-system: is it one of the system account?")
	}
	return fmt.Errorf("jetstream: %d servers keep streams, %d replicas are asked for", len(keeping), replicas)
}

// hearServers checks what servers answer until no more come, and adds those that keep streams.
func hearServers(ctx context.Context, answers <-chan *nats.Msg, keeping map[string]bool) error {
	for {
		select {
		case m := <-answers:
			var v varz
			if err := json.Unmarshal(m.Data, &v); err != nil {
				return fmt.Errorf("jetstream: system account: %w", err)
			}
			if err := v.check(); err != nil {
				return err
			}
			if v.Data.JetStream.Config != nil {
				keeping[v.Server.Name] = true
			}
		case <-time.After(pingSilence):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// checkReplicas refuses to keep a ledger on one server of a cluster: when that one is lost its streams are.
func checkReplicas(nc *nats.Conn, replicas int) error {
	if name := nc.ConnectedClusterName(); name != "" && replicas < 3 {
		return fmt.Errorf("jetstream: the NATS is a cluster (%s): a ledger with %d replica would be on one of its servers alone, 3 are needed", name, replicas)
	}
	return nil
}
