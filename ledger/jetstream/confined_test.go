package jetstream_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"keyledger/ledger"
	"keyledger/ledger/jetstream"
)

// stored is what a subscriber must not change: messages by stream, and the consumers there are.
func (h *house) stored() map[string]string {
	h.t.Helper()
	all := make(map[string]string)
	streams := h.js.ListStreams(h.t.Context())
	for info := range streams.Info() {
		all[info.Config.Name] = fmt.Sprint(info.State.Msgs, info.State.LastSeq, info.Config.Subjects)
		s, err := h.js.Stream(h.t.Context(), info.Config.Name)
		if err != nil {
			h.t.Fatal(err)
		}
		consumers := s.ListConsumers(h.t.Context())
		for c := range consumers.Info() {
			if c.Config.Durable != "" || strings.Contains(c.Name, "-") { // not those of tails, which come and go
				all[c.Stream+" "+c.Name] = fmt.Sprint(c.Config.FilterSubject, c.Delivered.Stream)
			}
		}
		if err := consumers.Err(); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := streams.Err(); err != nil {
		h.t.Fatal(err)
	}
	return all
}

// unchanged fails when something is stored otherwise than before, after what a subscriber sent has been dealt with.
func (h *house) unchanged(r *reader, what string, before map[string]string) {
	h.t.Helper()
	if _, err := r.js.Consumer(h.t.Context(), jetstream.LedgerStream, r.key); err != nil {
		h.t.Fatalf("after %s: %v", what, err) // requests of one connection are dealt with in order
	}
	if after := h.stored(); !maps.Equal(before, after) {
		h.t.Errorf("%s changed\n%v\nto\n%v", what, before, after)
	}
}

// pair is a subscriber, another one, a consumer of each, and one of the ledger's own.
func (h *house) pair() (r, other *reader) {
	h.t.Helper()
	r = h.connect(h.key(ledger.Owner{Workspace: "acme"}, ledger.ScopeEvents))
	other = h.connect(h.key(ledger.Owner{Workspace: "umbrella"}, ledger.ScopeEvents))
	for _, each := range []struct {
		r      *reader
		filter string
	}{{r, "ledger.acme.>"}, {other, "ledger.umbrella.>"}} {
		if _, err := each.r.js.CreateConsumer(h.t.Context(), jetstream.LedgerStream, natsjs.ConsumerConfig{
			Durable: each.r.key, FilterSubject: each.filter, AckPolicy: natsjs.AckExplicitPolicy,
		}); err != nil {
			h.t.Fatal(err)
		}
	}
	if _, err := h.js.CreateConsumer(h.t.Context(), jetstream.LedgerStream, natsjs.ConsumerConfig{Durable: "projection"}); err != nil {
		h.t.Fatal(err)
	}
	return r, other
}

// TestSubscribersMayNotPublish: nothing but the API of their own consumers.
func TestSubscribersMayNotPublish(t *testing.T) {
	h := newHouse(t)
	r, other := h.pair()
	before := h.stored()
	for _, subject := range []string{
		"ledger.acme.~.~." + r.key, "claim.token.x", "usage.batch", "reads.batch", "$KV.MEMO.x", "vault.x", "anything", "_INBOX.key." + other.key + ".x",
		"$JS.API.INFO", "$JS.API.ACCOUNT.INFO", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.AUTH", "$SYS.REQ.USER.INFO",
		"$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.INFO.LEDGER",
		"$JS.API.STREAM.UPDATE.LEDGER", "$JS.API.STREAM.DELETE.LEDGER", "$JS.API.STREAM.PURGE.LEDGER",
		"$JS.API.STREAM.SNAPSHOT.LEDGER", "$JS.API.STREAM.RESTORE.LEDGER", "$JS.API.STREAM.LEADER.STEPDOWN.LEDGER",
		"$JS.API.STREAM.MSG.GET.LEDGER", "$JS.API.STREAM.MSG.DELETE.LEDGER", "$JS.API.STREAM.MSG.GET.VAULT",
		"$JS.API.DIRECT.GET.LEDGER", "$JS.API.DIRECT.GET.LEDGER.ledger.acme.~.~." + r.key, "$JS.API.DIRECT.GET.KV_MEMO",
		"$JS.API.CONSUMER.NAMES.LEDGER", "$JS.API.CONSUMER.LIST.LEDGER",
		"$JS.API.CONSUMER.CREATE.LEDGER", "$JS.API.CONSUMER.CREATE.LEDGER." + r.key,
		"$JS.API.CONSUMER.DURABLE.CREATE.LEDGER." + r.key,
		"$JS.API.CONSUMER.CREATE.LEDGER." + r.key + ".>",
		"$JS.API.CONSUMER.CREATE.LEDGER." + r.key + ".ledger.>",
		"$JS.API.CONSUMER.CREATE.LEDGER." + r.key + ".ledger.*.>",
		"$JS.API.CONSUMER.CREATE.LEDGER." + r.key + ".ledger.*.*.*.*",
		"$JS.API.CONSUMER.CREATE.LEDGER." + r.key + ".ledger.umbrella.>",
		"$JS.API.CONSUMER.CREATE.LEDGER." + r.key + ".claim.>",
		"$JS.API.CONSUMER.CREATE.LEDGER." + r.key + "_8.ledger.acme.>",
		"$JS.API.CONSUMER.CREATE.LEDGER.mine.ledger.acme.>",
		"$JS.API.CONSUMER.CREATE.LEDGER." + other.key + ".ledger.acme.>",
		"$JS.API.CONSUMER.CREATE.USAGE." + r.key + ".usage.batch",
		"$JS.API.CONSUMER.CREATE.READS." + r.key + ".reads.batch",
		"$JS.API.CONSUMER.CREATE.KV_MEMO." + r.key + ".$KV.MEMO.>",
		"$JS.API.CONSUMER.PAUSE.LEDGER." + r.key, "$JS.API.CONSUMER.RESET.LEDGER." + r.key,
		"$JS.API.CONSUMER.UNPIN.LEDGER." + r.key, "$JS.API.CONSUMER.LEADER.STEPDOWN.LEDGER." + r.key,
		"$JS.API.CONSUMER.MSG.NEXT.LEDGER." + other.key, "$JS.API.CONSUMER.MSG.NEXT.LEDGER.projection",
		"$JS.API.CONSUMER.MSG.NEXT.LEDGER.*", "$JS.API.CONSUMER.MSG.NEXT.LEDGER.>",
		"$JS.API.CONSUMER.INFO.LEDGER." + other.key, "$JS.API.CONSUMER.INFO.LEDGER.projection",
		"$JS.API.CONSUMER.DELETE.LEDGER." + other.key, "$JS.API.CONSUMER.DELETE.LEDGER.projection",
		"$JS.ACK.LEDGER." + other.key + ".1.1.1.1.0", "$JS.ACK.LEDGER.projection.1.1.1.1.0", "$JS.FC.LEDGER." + r.key + ".x",
		"subscribers.x", "subscribers.$JS.API.STREAM.DELETE.LEDGER", "subscribers.$JS.API.CONSUMER.DELETE.LEDGER." + other.key,
	} {
		if err := r.PublishRequest(subject, "_INBOX.key."+r.key+".x", []byte("1")); err != nil {
			t.Fatal(err)
		}
		r.violates(subject)
	}
	h.unchanged(r, "what was refused", before)
}

// violates waits until the server has said that the subscriber may not do this.
func (r *reader) violates(subject string) {
	r.t.Helper()
	select {
	case said := <-r.violations:
		if !strings.Contains(said, `"`+subject+`"`) && !strings.Contains(said, `"subscribers.`+subject+`"`) {
			r.t.Errorf("%s: %s", subject, said)
		}
	case <-time.After(10 * time.Second):
		r.t.Errorf("%s is not refused", subject)
	}
}

// TestSubscribersMayNotSubscribe: to nothing but their own inboxes.
func TestSubscribersMayNotSubscribe(t *testing.T) {
	h := newHouse(t)
	r, other := h.pair()
	for _, subject := range []string{
		">", "*", "ledger.>", "ledger.acme.>", "claim.>", "usage.batch", "reads.batch", "$KV.MEMO.>", "vault.>", "$JS.>", "$JS.API.CONSUMER.>", "$SYS.>",
		"_INBOX.>", "_INBOX.*.>", "_INBOX.key.>", "_INBOX.key.*.x", "_INBOX.key." + other.key + ".>", "subscribers.>", "heads.>",
	} {
		if _, err := r.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		r.violates(subject)
	}
}

// TestSubscribersConsumers: what a consumer must not be, though its subject is the subscriber's own.
func TestSubscribersConsumers(t *testing.T) {
	h := newHouse(t)
	r, other := h.pair()
	before := h.stored()
	for _, test := range []struct{ name, config, says string }{
		{"a wider filter", `"filter_subject":"ledger.>"`, "filter"},
		{"a foreign filter", `"filter_subject":"ledger.umbrella.>"`, "filter"},
		{"no filter", `"description":"x"`, "filter_subject is needed"},
		{"several filters", `"filter_subjects":["ledger.acme.>","ledger.umbrella.>"]`, "filter_subject"},
		{"a filter and several", `"filter_subject":"ledger.acme.>","filter_subjects":["ledger.umbrella.>"]`, "filter_subjects is not allowed"},
		{"another name", `"filter_subject":"ledger.acme.>","durable_name":"projection"`, "name"},
		{"delivery to an inbox", `"filter_subject":"ledger.acme.>","deliver_subject":"_INBOX.key.` + r.key + `.x"`, "pulled from"},
		{"delivery to another", `"filter_subject":"ledger.acme.>","deliver_subject":"_INBOX.key.` + other.key + `.x"`, "pulled from"},
		{"delivery to a stream", `"filter_subject":"ledger.acme.>","deliver_subject":"usage.batch"`, "pulled from"},
		{"samples", `"filter_subject":"ledger.acme.>","ack_policy":"explicit","sample_freq":"100%"`, "sample_freq"},
		{"endless idleness", `"filter_subject":"ledger.acme.>","inactive_threshold":9000000000000000`, "inactive_threshold"},
		{"many pulls", `"filter_subject":"ledger.acme.>","max_waiting":513`, "max_waiting"},
		{"many acknowledgements", `"filter_subject":"ledger.acme.>","ack_policy":"explicit","max_ack_pending":-1`, "max_ack_pending"},
		{"no JSON", `]`, "not JSON"},
	} {
		for _, action := range []string{"", "create", "update"} {
			request := fmt.Sprintf(`{"stream_name":"LEDGER","action":%q,"config":{%s}}`, action, test.config)
			m, err := r.Request("$JS.API.CONSUMER.CREATE.LEDGER."+r.key+".ledger.acme.>", []byte(request), 10*time.Second)
			if err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			var answer struct {
				Error *natsjs.APIError `json:"error"`
			}
			if err := json.Unmarshal(m.Data, &answer); err != nil {
				t.Fatal(err)
			}
			if answer.Error == nil || !strings.Contains(answer.Error.Description, test.says) {
				t.Errorf("%s, %q: %s, which does not say %q", test.name, action, m.Data, test.says)
			}
		}
		h.unchanged(r, test.name, before)
	}
}

// TestSubscribersReplies: the answers to a subscriber go nowhere but to its own inbox, though it may state any reply
// subject. They would be stored as events or uses, or would be requests themselves.
func TestSubscribersReplies(t *testing.T) {
	h := newHouse(t)
	r, other := h.pair()
	before := h.stored()
	overheard, err := other.SubscribeSync("_INBOX.key." + other.key + ".x")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Flush(); err != nil {
		t.Fatal(err)
	}
	consumer := ".LEDGER." + r.key
	for _, request := range []struct{ subject, data string }{
		{"$JS.API.CONSUMER.INFO" + consumer, ""},
		{"$JS.API.CONSUMER.MSG.NEXT" + consumer, "1"},
		{"$JS.API.CONSUMER.CREATE" + consumer + ".ledger.acme.>", `{"stream_name":"LEDGER","config":{}}`},
		{"$JS.ACK" + consumer + ".1.1.1.1.0.0", "+ACK"},
		{"$JS.ACK" + consumer + ".1.1.1.1.0.0", "+NXT"},
	} {
		for _, reply := range []string{
			"usage.batch", "ledger.acme.~.~." + other.key, "claim.token.x", "$KV.MEMO.x", "_INBOX.key." + other.key + ".x",
			"$JS.API.STREAM.PURGE.USAGE", "$JS.API.CONSUMER.DELETE.LEDGER." + other.key, "$JS.API.CONSUMER.MSG.NEXT.LEDGER." + other.key,
			"subscribers.$JS.API.CONSUMER.DELETE.LEDGER." + other.key, "_INBOX.key." + r.key + ".*", "_INBOX.key." + r.key + "x",
		} {
			if err := r.PublishMsg(&nats.Msg{Subject: request.subject, Reply: reply, Data: []byte(request.data)}); err != nil {
				t.Fatal(err)
			}
			h.unchanged(r, request.subject+" with the reply "+reply, before)
		}
	}
	if n, _, err := overheard.Pending(); err != nil || n > 0 {
		t.Errorf("another subscriber was sent %d messages, %v", n, err)
	}
}
