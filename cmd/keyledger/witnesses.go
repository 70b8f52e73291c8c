package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"keyledger/handlers/witness"
	"keyledger/ledger"
)

// cosignedFile holds the last head that witnesses have cosigned, beside headFile.
const cosignedFile = "ledger.cosigned"

// parseWitnesses reads the witnesses.
func (c *config) parseWitnesses() error {
	c.witnesses = nil
	for _, text := range c.witnessTexts {
		w, err := witness.Parse(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("--witness: %w", err)
		}
		for _, other := range c.witnesses {
			if other.Name() == w.Name() {
				return fmt.Errorf("--witness: %s is there twice", w.Name())
			}
		}
		c.witnesses = append(c.witnesses, w)
	}
	return nil
}

// cosignHeads has the heads of the ledger cosigned, if there are witnesses.
func (n *node) cosignHeads() error {
	if len(n.config.witnesses) == 0 {
		return nil
	}
	cosigners, err := witness.New(witness.Config{
		Service:    n.service,
		Heads:      n.heads,
		Witnesses:  n.config.witnesses,
		Keep:       func(note []byte) error { return n.folder.write(cosignedFile, strings.TrimSuffix(string(note), "\n")) },
		Kept:       func() ([]byte, error) { return n.kept(cosignedFile) },
		Version:    version(),
		Logger:     n.log,
		Registerer: n.metrics,
	})
	if err != nil {
		return err
	}
	if err := cosigners.Restore(); errors.Is(err, ledger.ErrDiverged) {
		return fmt.Errorf("%s: %w", n.folder.file(cosignedFile), err)
	} else if err != nil {
		return err
	}
	n.background("stop asking witnesses", cosigners.Run)
	return nil
}

// kept is a note in a file of the data folder, nil when there is none.
func (n *node) kept(file string) ([]byte, error) {
	note, err := os.ReadFile(n.folder.file(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return note, err
}
