package projections

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"keyledger/ledger"
)

// TestStoredFormats holds the bytes that are on disks. Where one has to change, the version of its view goes up, and the
// line here changes with it.
func TestStoredFormats(t *testing.T) {
	k := typicalKey(7)
	k.PreviousDigest = digestOf(8)
	k.RotatedAt = k.CreatedAt.Add(time.Minute)
	k.UpdatedAt = k.RotatedAt
	k.Metadata = []byte(`{"a":1}`)
	confined := typicalKey(8)
	confined.UniqueName, confined.Confined = true, true
	noticed := typicalKey(9)
	noticed.Revision, noticed.ExpiresAt = noticed.Sequence-2, noticed.CreatedAt.Add(time.Hour)
	noticed.ExpirySetAt, noticed.Announced = noticed.CreatedAt.Add(time.Minute), noticed.CreatedAt.Add(30*time.Minute)
	noticed.FirstUsed, noticed.Environment, noticed.Type = true, "other", "another"
	noticed.ErasedAt = noticed.CreatedAt.Add(2 * time.Hour)
	expiry, _ := noticed.Expiry()
	erased := ledger.Erasure{Event: k.ID, At: k.CreatedAt, Subject: "ledger.acme.~.~.~", Workspace: "acme", Generation: 300}
	a := ledger.Agent{ID: "bot", Name: "Bot", Workspace: "acme", CreatedAt: k.CreatedAt, CreatedBy: "system", Sequence: 300}
	u := ledger.LastUse{Use: ledger.Use{LastAt: k.CreatedAt, Count: 200}, IP: "192.0.2.1", UserAgent: "curl"}
	w := ledger.Webhook{ID: k.ID, Workspace: "acme", URL: "https://a", Types: "key.*", Name: "n", From: 301, SecretVersion: 2,
		PreviousUntil: k.RotatedAt, CreatedAt: k.CreatedAt, CreatedBy: "system", UpdatedAt: k.RotatedAt, DisabledAt: k.RotatedAt,
		DisabledReason: "r", Sequence: 310, LastEvent: k.ID}
	for name, got := range map[string][]byte{
		"key":        packKey(nil, &k, nil),
		"confined":   packKey(nil, &confined, nil)[:4],
		"noticed":    packKey(nil, &noticed, nil),
		"expiry":     append(appendExpiry(nil, expiry.Place), packExpiry(&expiry)...),
		"list":       appendPlace(appendList(nil, workspacePrefix, "acme"), ledger.Cursor{CreatedAt: k.CreatedAt, ID: k.ID}),
		"history":    historyKey(k.ID, 300),
		"claim":      claimKey("token", "abc"),
		"agent":      packAgent(&a),
		"agent key":  agentKey(agentPrefix, "acme", "", "bot"),
		"agent list": agentListKey(workspaceAgents, "acme"),
		"use":        packUse(nil, &u),
		"digest":     digestKey(k.Digest)[:5],
		"numbers":    packNumbers(1, 2),
		"webhook":    packWebhook(&w),
		"time":       timeKey(k.CreatedAt.UnixMicro()),
		"erasure":    packErasure(&erased),
		"agent name": agentNameKey("acme", "", "Bot"),
	} {
		if want := strings.Join(strings.Fields(storedFormats()[name]), ""); hex.EncodeToString(got) != want {
			t.Errorf("%s:\n got %x\nwant %s", name, got, want)
		}
	}
}

func storedFormats() map[string]string {
	return map[string]string{
		"time": `6900065bfeda25f3fd`,
		"key": `
			6913c10301a0c4506c0572e1c584133ac916ab3c10d5e17db59ed24016635cb4ab9df0a272384d0f7a1d52ee4f45f372
			ee5269f12502e4a8de357d37b0ba634906e87d0c29c51a11372d5805f7c69d591f7454d2007e52559429a76cf56c8408
			ea01ea9d9c39ea9d9c3916776f726b73706163652d37186465706c6f79206b657920371c6b6c5f30303037e280a67758
			795a14726561642077726974654830316130356633652d303030302d373030302d383030302d30303030303030303030
			3037077b2261223a317d`,
		"confined": "0901c1c3",
		"noticed": `
			1f09c13301a0c4506c067ac3f3b8488c368cb0a6c308d193750f636983a3da8161f97e41a14333b4a3413c3cdf31e5cb
			5d90196e007c99ca00404e0f76120b0a860986999de91a1786d1ceb40d86a59c3986a9bad23516776f726b7370616365
			2d39186465706c6f79206b657920391c6b6c5f30303039e280a67758795a1472656164207772697465483031613035663365
			2d303030302d373030302d383030302d3030303030303030303030390a6f746865720e616e6f74686572`,
		"expiry":     "6580065bffb0b99db301a0c4506c067ac3f3b8488c368cb0a680f480b01a80c8ceb40d",
		"list":       "770461636d657ff9a40125da0c02fe5f3baf93fa8d1e3a7becc536e954c3",
		"history":    "6801a0c4506c0572e1c584133ac916ab3c000000000000012c",
		"claim":      "6305746f6b656e03616263",
		"agent":      "facfafa2dbffad06d80403626f7403426f740461636d65000673797374656d",
		"agent key":  "610461636d650003626f74",
		"agent name": "6e0461636d65002041e35ba1a1fd8b4cdc7f899b3b8f9442a7542f445170e8782e219732cc25c10f",
		"agent list": "67770461636d65",
		"use":        "facfafa2dbffad06c801093139322e302e322e31046375726c",
		"digest":     "6410d5e17d",
		"erasure": `
			0001a0c4506c0572e1c584133ac916ab3cac02fde797d1edff9603116c65646765722e61636d652e7e2e7e2e7e0461636d65`,
		"numbers": "00000000000000010000000000000002",
		"webhook": `
			01a0c4506c0572e1c584133ac916ab3c01a0c4506c0572e1c584133ac916ab3cad0202b602fde797d1edff9603fdf5e5
			ededff9603fdf5e5ededff9603fdf5e5ededff96030461636d6500000968747470733a2f2f61056b65792e2a016e0673
			797374656d0172`,
	}
}
