// Package ledgertest has the two ports of package ledger in memory, for tests: a Log (with ledger.UsageLog and
// ledger.Memo) in which every call can be made to fail before or after it took effect, and a State that folds a Log.
// Its suites Conformance, UsageConformance and MemoConformance are what every implementation of these ports must pass.
package ledgertest
