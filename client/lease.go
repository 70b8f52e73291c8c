package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// consumersPerKey is how many consumers a key may have at a time.
const consumersPerKey = 8

// holderField is where a consumer tells who has made it.
const holderField = "keyledger.holder"

// lease is the use of one of the names that the consumers of a key have. Each is used by one reader at a time, in any
// process: a name is free when no consumer has it, and a consumer whose reader has died goes by itself after a while.
type lease struct {
	holder string // of this reader
	number int    // of the name that was used last
}

// take makes a consumer under a free name, or under the one that this reader had before.
func (l *lease) take(ctx context.Context, js jetstream.JetStream, key uuid.UUID, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if l.holder == "" {
		l.holder = rand.Text()
	}
	config.Metadata = map[string]string{holderField: l.holder, "keyledger.session": rand.Text()}
	for range consumersPerKey {
		config.Name = key.String()
		if l.number > 0 {
			config.Name = fmt.Sprintf("%s_%d", key, l.number)
		}
		consumer, err := js.CreateConsumer(ctx, ledgerStream, config)
		if errors.Is(err, jetstream.ErrConsumerExists) && l.release(ctx, js, config.Name) {
			consumer, err = js.CreateConsumer(ctx, ledgerStream, config)
		}
		if !errors.Is(err, jetstream.ErrConsumerExists) {
			return consumer, err
		}
		l.number = (l.number + 1) % consumersPerKey
	}
	return nil, fmt.Errorf("client: all %d consumers of key %s are in use", consumersPerKey, key)
}

// release removes a consumer that this reader made in an earlier session.
func (l *lease) release(ctx context.Context, js jetstream.JetStream, name string) bool {
	old, err := js.Consumer(ctx, ledgerStream, name)
	if err != nil || old.CachedInfo().Config.Metadata[holderField] != l.holder {
		return false
	}
	return js.DeleteConsumer(ctx, ledgerStream, name) == nil
}
