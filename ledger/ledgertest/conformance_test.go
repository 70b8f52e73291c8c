package ledgertest_test

import (
	"testing"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
)

func TestLog(t *testing.T) {
	ledgertest.Conformance(t, func(*testing.T) ledger.Log { return ledgertest.NewLog() })
}

func TestUsageLog(t *testing.T) {
	ledgertest.UsageConformance(t, func(*testing.T) ledger.UsageLog { return ledgertest.NewLog() })
}

func TestHeadLog(t *testing.T) {
	ledgertest.HeadConformance(t, func(*testing.T) ledger.HeadLog { return ledgertest.NewLog() })
}

func TestMemo(t *testing.T) {
	ledgertest.MemoConformance(t, func(*testing.T) ledger.Memo { return ledgertest.NewLog() })
}

func TestVault(t *testing.T) {
	ledgertest.VaultConformance(t, func(*testing.T) ledger.Vault { return ledgertest.NewLog() })
}

func TestQueue(t *testing.T) {
	ledgertest.QueueConformance(t, func(*testing.T) ledgertest.QueueLog { return ledgertest.NewLog() })
}

func TestReadLog(t *testing.T) {
	ledgertest.ReadConformance(t, func(*testing.T) ledger.ReadLog { return ledgertest.NewLog() })
}
