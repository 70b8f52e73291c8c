//go:build faults

package main

import (
	"testing"

	"keyledger/cmd/keyledger/powertest"
)

// TestPowerCuts cuts the power of a node alone again and again, and that of all nodes of a cluster at once.
func TestPowerCuts(t *testing.T) {
	for _, test := range []struct {
		name  string
		cuts  int
		nodes int
		disk  powertest.Options
	}{
		{"Alone", 20, 1, powertest.Options{}},
		{"AloneTorn", 20, 1, powertest.Options{Torn: true}},
		{"AlonePOSIX", 10, 1, powertest.Options{OnlyFolders: true}},
		{"All", 5, 3, powertest.Options{}},
		{"AllTorn", 5, 3, powertest.Options{Torn: true}},
	} {
		t.Run(test.name, func(t *testing.T) { powerCuts(t, test.cuts, test.nodes, test.disk) })
	}
}
