package webhooks

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"keyledger/ledger"
)

// secrets gives the secrets of endpoints. They are not stored: each follows from the secret of the server, the id of the
// endpoint and the version, so that every node has it and no event does.
type secrets struct{ key []byte }

func newSecrets(server []byte) (secrets, error) {
	key, err := hkdf.Key(sha256.New, server, nil, "keyledger webhook secrets", sha256.Size)
	if err != nil {
		return secrets{}, fmt.Errorf("webhooks: derive a key: %w", err)
	}
	return secrets{key}, nil
}

func (s secrets) raw(id uuid.UUID, version uint64) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(binary.BigEndian.AppendUint64(id[:], version))
	return h.Sum(nil)
}

// secret is a secret as its owner gets it.
func (s secrets) secret(id uuid.UUID, version uint64) ledger.Secret {
	return ledger.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(s.raw(id, version)))
}

// sign gives the signatures of a message: by the secret of the endpoint, and by the one before while they overlap.
func (s secrets) sign(w *ledger.Webhook, message string, at time.Time, body []byte) (string, error) {
	signatures, err := s.signature(w.ID, w.SecretVersion, message, at, body)
	if err != nil || !at.Before(w.PreviousUntil) {
		return signatures, err
	}
	previous, err := s.signature(w.ID, w.SecretVersion-1, message, at, body)
	return signatures + " " + previous, err
}

func (s secrets) signature(id uuid.UUID, version uint64, message string, at time.Time, body []byte) (string, error) {
	signer, err := standard.NewWebhookRaw(s.raw(id, version))
	if err != nil {
		return "", err
	}
	return signer.Sign(message, at, body)
}
