package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"keyledger/ledger"
)

// headFile holds the last signed head of the ledger, beside the views: who changes the ledger in NATS does not reach it.
const headFile = "ledger.head"

// makeHeads makes what signs the heads of the tree over the ledger.
func (n *node) makeHeads() error {
	seed, err := n.signingSeed()
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	n.heads, err = ledger.NewHeads(ledger.HeadsConfig{
		Log:    n.events,
		Heads:  n.events,
		State:  n.views,
		Origin: n.config.headOrigin(),
		Seed:   seed,
		Keep:   func(note []byte) error { return n.folder.write(headFile, strings.TrimSuffix(string(note), "\n")) },
		Kept:   func() ([]byte, error) { return n.kept(headFile) },

		Patience: n.config.patience(),
	})
	if err != nil {
		return err
	}
	n.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "keyledger_head_size",
		Help: "Events in the last head of the ledger that this node has signed.",
	}, func() float64 {
		if head := n.heads.Latest(); head != nil {
			return float64(head.Size)
		}
		return 0
	}))
	return nil
}

// signingSeed is the configured seed, else one that follows from the secret: so all nodes of a ledger have the same.
func (n *node) signingSeed() ([]byte, error) {
	if n.config.signingKey != "" {
		return decodeSeed(n.config.signingKey)
	}
	return hkdf.Key(sha256.New, []byte(n.secret), nil, "keyledger signing key", ledger.SigningSeed)
}

// decodeSeed reads the seed of a signing key. Its error does not show it.
func decodeSeed(text string) ([]byte, error) {
	seed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(seed) != ledger.SigningSeed {
		return nil, fmt.Errorf("not the base64 form of %d bytes", ledger.SigningSeed)
	}
	return seed, nil
}

func isSeed(text string) bool {
	_, err := decodeSeed(text)
	return err == nil
}

// notInOrigin tells of characters that the name of a key in a signed note cannot have.
func notInOrigin(r rune) bool { return unicode.IsSpace(r) || r == '+' || r == utf8.RuneError }

// headOrigin is the name of the ledger in its heads.
func (c *config) headOrigin() string {
	if c.origin != "" {
		return c.origin
	}
	return "keyledger/" + strings.ReplaceAll(url.PathEscape(c.name), "+", "%2B")
}

// checkHeads refuses a ledger that is not the one whose head was signed last.
func (n *node) checkHeads(ctx context.Context) error {
	if n.config.treeless {
		return nil
	}
	err := n.heads.Check(ctx, n.seen)
	if errors.Is(err, ledger.ErrDiverged) {
		return fmt.Errorf("%w; restore the ledger, or, if only its name or its signing key was changed, give the former ones "+
			"(--name, --origin, --signing-key)", err)
	}
	return err
}

// signHeads signs the first head, and then lets heads be signed as the ledger grows, while the rest of the ledger is
// compared with what was seen of it. That no head can be stored now is no reason not to serve.
func (n *node) signHeads(ctx context.Context) error {
	if n.config.treeless {
		return nil
	}
	if err := n.heads.Sign(ctx); errors.Is(err, ledger.ErrDiverged) {
		return err
	} else if err != nil {
		n.log.Warn("the head of the ledger could not be signed now, it will be later", "error", err)
	}
	n.background("stop signing heads", func(ctx context.Context) error {
		both, ctx := errgroup.WithContext(ctx)
		both.Go(func() error { return n.heads.Run(ctx) })
		both.Go(func() error { return n.heads.CheckRest(ctx, n.seen) })
		return both.Wait()
	})
	return n.cosignHeads()
}
