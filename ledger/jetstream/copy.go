package jetstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
)

// copyAhead is how many messages of a copy are on their way.
const copyAhead = 512

// headerExpectLast is the guard on the last sequence of a stream (ADR-4).
const headerExpectLast = "Nats-Expected-Last-Sequence"

// ErrOther is what Copy fails with when the target holds something else.
var ErrOther = errors.New("jetstream: the target holds another ledger")

// Copy copies the ledger to another one, which is empty or holds what an interrupted Copy left there. Every message gets
// the sequence that it has here, and the positions of webhooks come with them. Nobody else may write to either meanwhile:
// the copy fails when somebody does. Signed heads, what is noted of deliveries, uses and answers to idempotent requests come
// too, in their order, and so do the secrets of personal data; NATS gives all of them a new time. Recorded reads do not come:
// they are found by the time at which they were stored. show, when not nil, is told how far the ledger has come.
func (l *Log) Copy(ctx context.Context, target *Log, show func(done, total uint64)) error {
	if show == nil {
		show = func(uint64, uint64) {}
	}
	if err := l.copyLedger(ctx, target, show); err != nil {
		return fmt.Errorf("jetstream: copy %s: %w", LedgerStream, err)
	}
	for _, stream := range []string{UsageStream, HeadsStream, DeliveryStream, "KV_" + MemoBucket} {
		if err := l.copyRest(ctx, target, stream); err != nil {
			return fmt.Errorf("jetstream: copy %s: %w", stream, err)
		}
	}
	if err := l.copyVault(ctx, target); err != nil {
		return fmt.Errorf("jetstream: copy %s: %w", VaultStream, err)
	}
	if err := l.copyQueues(ctx, target); err != nil {
		return fmt.Errorf("jetstream: copy the positions of webhooks: %w", err)
	}
	return nil
}

// copyLedger copies the ledger's stream, from where the target ends.
func (l *Log) copyLedger(ctx context.Context, target *Log, show func(done, total uint64)) error {
	total, err := l.Last(ctx)
	if err != nil {
		return err
	}
	begin, err := target.Last(ctx)
	if err != nil {
		return err
	}
	if err := l.samePrefix(ctx, target, begin, total); err != nil {
		return err
	}
	c := &copier{target: target, show: func(done uint64) { show(done, total) }}
	return l.eachMessage(ctx, LedgerStream, begin+1, func(m *nats.Msg, sequence uint64) error {
		m.Header[headerExpectLast] = []string{strconv.FormatUint(sequence-1, 10)}
		return c.publish(ctx, m, sequence)
	}, c.finish)
}

// samePrefix refuses a target whose last message is not the one with this sequence here.
func (l *Log) samePrefix(ctx context.Context, target *Log, begin, total uint64) error {
	if begin > total {
		return fmt.Errorf("%w: it has %d events, this one %d", ErrOther, begin, total)
	}
	if begin == 0 {
		return nil
	}
	here, err := l.Read(ctx, begin)
	if err != nil {
		return err
	}
	there, err := target.Read(ctx, begin)
	if err != nil {
		return err
	}
	if here[0].ID != there[0].ID {
		return fmt.Errorf("%w: its event %d is %s, not %s", ErrOther, begin, there[0].ID, here[0].ID)
	}
	return nil
}

// copyRest copies another stream, of which only the order counts. As many messages as were ever stored in the target
// are there already.
func (l *Log) copyRest(ctx context.Context, target *Log, stream string) error {
	there, err := target.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	skip := there.CachedInfo().State.LastSeq
	c := &copier{target: target}
	return l.eachMessage(ctx, stream, 1, func(m *nats.Msg, _ uint64) error {
		if skip > 0 {
			skip--
			return nil
		}
		return c.publish(ctx, m, 0)
	}, c.finish)
}

// vaultPage is how many secrets are read at a time.
const vaultPage = 256

// copyVault brings the vault of the target to what is in this one.
func (l *Log) copyVault(ctx context.Context, target *Log) error {
	return l.eachSecret(ctx, func(s *ledger.KeptSecret) error { return target.RestoreSecret(ctx, s.Place, s.Value) })
}

func (l *Log) eachSecret(ctx context.Context, handle func(*ledger.KeptSecret) error) error {
	for after := uint64(0); ; {
		list, err := l.Secrets(ctx, after, vaultPage)
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			if err := handle(&list[i]); err != nil {
				return err
			}
		}
		after = list[len(list)-1].Revision
	}
}

// SameVault compares what two vaults hold. What one alone holds is told by its place, never by its value.
func SameVault(ctx context.Context, a, b *Log) error {
	sums := map[string][sha256.Size]byte{}
	err := a.eachSecret(ctx, func(s *ledger.KeptSecret) error { sums[s.Place] = sha256.Sum256(s.Value); return nil })
	if err != nil {
		return err
	}
	err = b.eachSecret(ctx, func(s *ledger.KeptSecret) error {
		if sum, ok := sums[s.Place]; !ok || sum != sha256.Sum256(s.Value) {
			return fmt.Errorf("%w: the secret of personal data at %s is not the same", ledger.ErrDiverged, s.Place)
		}
		delete(sums, s.Place)
		return nil
	})
	if err == nil && len(sums) > 0 {
		err = fmt.Errorf("%w: %d secrets of personal data are in one of them only", ledger.ErrDiverged, len(sums))
	}
	return err
}

// eachMessage hands over the messages of a stream up to the one that is its last now, made ready to be stored anew; then
// it calls finish.
func (l *Log) eachMessage(ctx context.Context, stream string, from uint64,
	handle func(m *nats.Msg, sequence uint64) error, finish func(context.Context) error,
) error {
	info, err := l.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	last := info.CachedInfo().State.LastSeq
	if from > last || info.CachedInfo().State.Msgs == 0 {
		return finish(ctx)
	}
	f, err := openFeed(ctx, l.nc, l.js, stream, from, "")
	if err != nil {
		return err
	}
	defer f.close()
	for f.received < last {
		messages, err := f.next(ctx)
		if err != nil {
			return err
		}
		for _, m := range messages {
			sequence, pending, err := delivery(m.Reply)
			if err != nil {
				return err
			}
			f.received = sequence
			if err := handle(renewed(m), sequence); err != nil {
				return err
			}
			if pending == 0 {
				f.received = last // what follows was deleted
			}
		}
	}
	return finish(ctx)
}

// renewed is a stored message without what told the server how to store it.
func renewed(m *nats.Msg) *nats.Msg {
	header := make(nats.Header, len(m.Header)+1)
	for name, values := range m.Header {
		if !strings.HasPrefix(name, "Nats-Batch-") && !strings.HasPrefix(name, "Nats-Expected-") {
			header[name] = values
		}
	}
	return &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}
}

// copier stores messages one after the other without waiting for each.
type copier struct {
	target *Log
	show   func(done uint64) // may be nil
	sent   []sentCopy
}

// sentCopy is a message whose answer is awaited, and the sequence that it must get; 0: any.
type sentCopy struct {
	answer   jetstream.PubAckFuture
	sequence uint64
}

func (c *copier) publish(ctx context.Context, m *nats.Msg, sequence uint64) error {
	answer, err := c.target.js.PublishMsgAsync(m)
	if err != nil {
		return err
	}
	if c.sent = append(c.sent, sentCopy{answer, sequence}); len(c.sent) < copyAhead {
		return nil
	}
	return c.settle(ctx, copyAhead/2)
}

// finish waits for all answers.
func (c *copier) finish(ctx context.Context) error { return c.settle(ctx, len(c.sent)) }

// settle waits for the next n answers.
func (c *copier) settle(ctx context.Context, n int) error {
	for _, s := range c.sent[:n] {
		select {
		case a := <-s.answer.Ok():
			if s.sequence != 0 && a.Sequence != s.sequence {
				return fmt.Errorf("%w: event %d was stored as %d", ErrOther, s.sequence, a.Sequence)
			}
		case err := <-s.answer.Err():
			if apiCodeOf(err) == codeWrongSequence {
				return fmt.Errorf("%w: somebody else writes to it: %w", ErrOther, err)
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c.show != nil && n > 0 {
		c.show(c.sent[n-1].sequence)
	}
	c.sent = append(c.sent[:0], c.sent[n:]...)
	return nil
}

// apiCodeOf is apiCode for an error of the client.
func apiCodeOf(err error) int {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return int(api.ErrorCode)
	}
	return 0
}

// copyQueues makes the consumers of webhooks in the target, each to go on after the last event before which all were
// delivered. Events beyond it that were delivered come again.
func (l *Log) copyQueues(ctx context.Context, target *Log) error {
	stream, err := l.js.Stream(ctx, LedgerStream)
	if err != nil {
		return err
	}
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		if !strings.HasPrefix(info.Name, queuePrefix) {
			continue
		}
		config := info.Config
		config.OptStartSeq = info.AckFloor.Stream + 1
		if config.OptStartSeq == 1 { // nothing was delivered yet
			config.OptStartSeq = max(info.Config.OptStartSeq, 1)
		}
		if _, err := target.js.CreateConsumer(ctx, LedgerStream, config); err != nil && !errors.Is(err, jetstream.ErrConsumerExists) {
			return fmt.Errorf("%s: %w", info.Name, err)
		}
	}
	return list.Err()
}

// SameTree compares the trees over two logs, and gives their size and root.
func SameTree(ctx context.Context, a, b *Log) (size uint64, root string, err error) {
	if size, err = a.Last(ctx); err != nil {
		return 0, "", err
	}
	other, err := b.Last(ctx)
	if err != nil {
		return 0, "", err
	}
	if size != other {
		return 0, "", fmt.Errorf("%w: one has %d events, the other %d", ledger.ErrDiverged, size, other)
	}
	here, err := ledger.TreeRoot(ctx, a, size)
	if err != nil {
		return 0, "", err
	}
	there, err := ledger.TreeRoot(ctx, b, size)
	if err != nil {
		return 0, "", err
	}
	if here != there {
		return 0, "", fmt.Errorf("%w: of the same %d events, the roots are %s and %s", ledger.ErrDiverged, size, here, there)
	}
	return size, here.String(), nil
}
