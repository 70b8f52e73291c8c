package main

import (
	"context"
	"slices"
)

// row is one line of the report and how it is measured.
type row struct {
	name     string
	measures string
	target   target
	measure  func(ctx context.Context, b *bench) (figure, error)
}

// benchRows are in the order of their measurement: what only reads comes before what grows the ledger.
func benchRows() []row {
	return []row{
		{"rebuild", "all views rebuilt ÷ ordered consumer with decode", target{ratioAtLeast: 0.35}, measureRebuild},
		{"replay", "audit replay of the whole ledger, read, folded and told as NDJSON ÷ ordered consumer with decode", target{ratioAtLeast: 0.5}, measureReplay},
		{"memory", "resident memory of the whole process, idle", target{valueBelow: 600}, measureMemory},
		{"restart", "clean restart until /readyz", target{valueBelow: 4}, measureRestart},
		{"restart-kill", "restart after kill -9 during creates until /readyz ÷ clean restart", target{valueBelow: 4, ratioAtMost: 2}, measureRestartKill},
		{"audit-verify", "audit verify of an export of the whole ledger, offline", target{valueBelow: 20}, measureAuditVerify},
		{"audit-memory", "most memory of such a process", target{valueBelow: 600}, measureAuditMemory},
		{"verify-64", "verify of random keys, 64 connections ÷ no-op handler", target{ratioAtLeast: 0.70}, measureVerify},
		{"list-64", "list of 50 keys of an owner with a tenth of all, 64 connections ÷ no-op handler", target{ratioAtLeast: 0.30}, measureList},
		{"creates-1", "durable creates, 1 connection ÷ publishes by 1 publisher", target{ratioAtLeast: 0.7}, measureCreates(1)},
		{"creates-256", "durable creates, 256 connections ÷ publishes by 256 publishers", target{ratioAtLeast: 2}, measureCreates(256)},
		{"creates-64", "durable creates, 64 connections ÷ no-op handler", target{ratioAtLeast: 0.20}, measureCreates64},
		{"revokes-64", "revokes of keys just created, 64 connections ÷ no-op handler", target{ratioAtLeast: 0.15}, measureRevokes},
		{"revokes-cold-64", "revokes of random keys of the whole ledger, 64 connections ÷ no-op handler", target{}, measureColdRevokes},
		{"as-of", "key with 20 events as of a time in the middle, 1 connection, p99", target{valueBelow: 5}, measureAsOf},
		{"inclusion", "proof that a random event is in the tree, 1 connection, p99", target{valueBelow: 1}, measureInclusion},
		{"tree", "creates by a second of the server's processor time, 64 connections ÷ the same of a server without the tree", target{ratioAtLeast: 0.95}, measureTree},
		{"webhooks", "events delivered to one webhook on this machine, each signed, posted and answered", target{valueAtLeast: 2000}, measureWebhooks},
		{"races", "verify asked after a revoke was acknowledged: answers that still say valid", target{valueBelow: 1}, measureRaces},
		{"verifier", "Verifier.Verify of random keys ÷ SHA-256 and look-up in a Go map", target{ratioAtLeast: 0.8}, measureVerifier},
		{"verifier-memory", "memory of the Verifier for each key", target{valueBelow: 150}, measureVerifierMemory},
		{"verifier-revoke", "revoke acknowledged → Verifier in another process refuses, p99", target{valueBelow: 20}, measureVerifierRevoke},
		{"events-nats", "create acknowledged → its event at a subscriber over NATS, 500/s, p99", target{valueBelow: 5}, measureEvents(true)},
		{"events-sse", "create acknowledged → its event at a subscriber over SSE, 500/s, p99", target{valueBelow: 10}, measureEvents(false)},
		{"cluster-creates-256", "durable creates, 256 connections to a cluster of 3 nodes ÷ publishes by 256 publishers, 3 replicas", target{ratioAtLeast: 1}, measureClusterCreates},
		{"cluster-revoke", "revoke acknowledged by one node of 3 → another one refuses, p99", target{valueBelow: 50}, measureClusterRevoke(0.99)},
		{"cluster-revoke-max", "the same, the slowest", target{valueBelow: 1000}, measureClusterRevoke(1)},
		{"leader-killed", "leader of 3 nodes killed → a create is acknowledged again", target{valueBelow: 5}, measureLeaderKilled},
		{"partitions", "memory of one partition more, without its keys: by a line through ledgers of all, half and a quarter of the keys", target{}, measurePartitions},
	}
}

func rowNames() []string {
	var names []string
	for _, r := range benchRows() {
		names = append(names, r.name)
	}
	return names
}

// chosenRows are those named, or all.
func chosenRows(names []string) []row {
	if len(names) == 0 {
		return benchRows()
	}
	return slices.DeleteFunc(benchRows(), func(r row) bool { return !slices.Contains(names, r.name) })
}

// inTurn measures subject and baseline one after the other, several times, so that what else the machine does falls
// on both.
func (b *bench) inTurn(subject, baseline func() (sample, error)) (figure, error) {
	var subjects, baselines []sample
	for round := range b.options.rounds {
		b.step(round, b.options.rounds)
		s, err := subject()
		if err != nil {
			return figure{}, err
		}
		raw, err := baseline()
		if err != nil {
			return figure{}, err
		}
		subjects, baselines = append(subjects, s), append(baselines, raw)
	}
	return compared("/s", subjects, baselines), nil
}
