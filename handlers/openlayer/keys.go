package openlayer

import (
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"keyledger/handlers"
	"keyledger/ledger"
)

// create is POST …/api-keys.
func (d *dialect) create(x *handlers.Exchange) error {
	var in createRequest
	if err := decode(x, &in); err != nil {
		return err
	}
	create := ledger.Create{
		Name:      in.Name.or(""),
		Owner:     x.Principal.Owner,
		Scopes:    rights(&x.Principal),
		ExpiresAt: x.Principal.ExpiresAt,
		Mint:      mint,
	}
	if in.ExpiresAt.set {
		create.ExpiresAt = time.Time(in.ExpiresAt.or(instant{}))
	}
	issued, err := d.service.Create(x.Context(), x.Call(), &create)
	if err != nil {
		return err
	}
	return d.answerIssued(x, http.StatusCreated, &issued)
}

// rights are the scopes of a new key: whoever has one of the vendor's keys may manage the keys of its workspace, so it may
// do with them here what its maker may, and nothing else.
func rights(p *ledger.Principal) []string {
	var scopes []string
	for _, scope := range []string{ledger.ScopeCreate, ledger.ScopeRead, ledger.ScopeUpdate, ledger.ScopeRevoke} {
		if p.Scopes.Has(scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// The form of the vendor's keys: 34 characters in all.
const (
	tokenPrefix  = "sk-ol-"
	tokenLetters = 28 // 62^28 > 2^166
)

// mint makes a token of the vendor's form: the prefix, and the lowest digits of the random number in base 62. As it has
// almost 2^90 times as many values as they have, each is as likely as the others.
func mint(_ uuid.UUID, random [32]byte) (string, error) {
	digits := strings.Repeat("0", tokenLetters) + new(big.Int).SetBytes(random[:]).Text(62)
	return tokenPrefix + digits[len(digits)-tokenLetters:], nil
}

// maxList is how many keys a list may have: the vendor's lists have no pages.
const maxList = 10 * ledger.MaxPage

// list is GET …/api-keys: newest first. What is longer than maxList is refused, as half of it would look like all.
func (d *dialect) list(x *handlers.Exchange) error {
	all := make([]key, 0)
	q := ledger.Query{NotRevoked: true, Limit: ledger.MaxPage}
	for {
		page, err := d.service.Keys(x.Context(), &x.Principal, &q)
		if err != nil {
			return err
		}
		now := d.now()
		for i := range page.Keys {
			all = append(all, show(&page.Keys[i], now))
		}
		if page.Next == (ledger.Cursor{}) {
			return x.WriteJSON(http.StatusOK, all)
		}
		if len(all) >= maxList {
			return invalid("workspaceId", "it has more than %d keys, too many for a list without pages: "+
				"GET /v1/workspaces/{id}/keys has them", maxList)
		}
		q.After = page.Next
	}
}

// get is GET …/api-keys/{id}.
func (d *dialect) get(x *handlers.Exchange) error {
	k, err := d.find(x)
	if err != nil {
		return err
	}
	return d.answer(x, &k)
}

// find returns the key in the path. A revoked one is gone.
func (d *dialect) find(x *handlers.Exchange) (ledger.Key, error) {
	id, err := x.KeyID()
	if err != nil {
		return ledger.Key{}, err
	}
	k, err := d.service.Key(x.Context(), &x.Principal, id)
	if err != nil {
		return ledger.Key{}, err
	}
	if !k.RevokedAt.IsZero() {
		return ledger.Key{}, notFound("key")
	}
	return k, nil
}

// rename is PUT …/api-keys/{id}. An absent name stays, null empties it.
func (d *dialect) rename(x *handlers.Exchange) error {
	var in renameRequest
	if err := decode(x, &in); err != nil {
		return err
	}
	k, err := d.find(x)
	if err != nil {
		return err
	}
	var update ledger.Update
	if in.Name.set {
		name := in.Name.or("")
		update.Name = &name
	}
	if k, err = d.service.Update(x.Context(), x.Call(), k.ID, &update); err != nil {
		return err
	}
	return d.answer(x, &k)
}

// remove is DELETE …/api-keys/{id}: both secrets of a key that is being rotated end with it.
func (d *dialect) remove(x *handlers.Exchange) error {
	k, err := d.find(x)
	if err != nil {
		return err
	}
	if k, err = d.service.Revoke(x.Context(), x.Call(), k.ID, "deleted"); err != nil {
		return err
	}
	x.Shows(&k)
	x.Status = http.StatusNoContent
	return nil
}

// rotate is POST …/api-keys/{id}/rotate. An absent expiresAt stays, null removes it.
func (d *dialect) rotate(x *handlers.Exchange) error {
	var in rotateRequest
	if err := decode(x, &in); err != nil {
		return err
	}
	const most = int64(ledger.MaxGrace / time.Hour)
	if in.GracePeriodHours < 0 || in.GracePeriodHours > most {
		return invalid("gracePeriodHours", "must be 0 to %d", most)
	}
	k, err := d.find(x)
	if err != nil {
		return err
	}
	rotate := ledger.Rotate{Grace: time.Duration(in.GracePeriodHours) * time.Hour, Mint: mint}
	if in.ExpiresAt.set {
		expiry := time.Time(in.ExpiresAt.or(instant{}))
		rotate.ExpiresAt = &expiry
	}
	issued, err := d.service.Rotate(x.Context(), x.Call(), k.ID, &rotate)
	if err != nil {
		return err
	}
	return d.answerIssued(x, http.StatusOK, &issued)
}

// answer answers with a key.
func (d *dialect) answer(x *handlers.Exchange, k *ledger.Key) error {
	x.Shows(k)
	return x.WriteJSON(http.StatusOK, show(k, d.now()))
}

// answerIssued answers with a key and its token, which first-generation clients look for in secureKey.
func (d *dialect) answerIssued(x *handlers.Exchange, status int, issued *ledger.Issued) error {
	x.Shows(&issued.Key)
	out := show(&issued.Key, d.now())
	out.Secret = issued.Token.Reveal()
	out.SecureKey = out.Secret
	return x.WriteJSON(status, out)
}
