package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows are the packages of this module that each of its packages may reach, itself or through others. A new package
// has to be placed here before it can be used.
func arrows() map[string][]string {
	return map[string][]string{
		"events":                    {},
		"ledger":                    {"events"},
		"ledger/audit/scratch":      {},
		"ledger/audit":              {"events", "ledger", "ledger/audit/scratch"},
		"ledger/audit/replay":       {"events", "ledger", "ledger/audit/scratch"},
		"ledger/audit/ocsf":         {"events", "ledger", "ledger/audit/replay", "ledger/audit/scratch"},
		"ledger/ledgertest":         {"events", "ledger"},
		"ledger/jetstream":          {"events", "ledger"},
		"projections":               {"events", "ledger"},
		"handlers/webhooks":         {"events", "ledger"},
		"handlers/witness":          {"events", "ledger"},
		"handlers":                  {"events", "ledger", "projections", "handlers/webhooks"},
		"handlers/agentex":          {"events", "ledger", "projections", "handlers", "handlers/webhooks", "handlers/fastapi"},
		"handlers/fastapi":          {},
		"handlers/honcho":           {"events", "ledger", "projections", "handlers", "handlers/webhooks", "handlers/fastapi"},
		"handlers/imtegrate":        {"events", "ledger", "projections", "handlers", "handlers/webhooks", "handlers/fastapi"},
		"handlers/openlayer":        {"events", "ledger", "projections", "handlers", "handlers/webhooks"},
		"handlers/handlerstest":     {"events", "ledger", "ledger/ledgertest", "ledger/jetstream", "projections", "handlers", "handlers/webhooks"},
		"client":                    {"events"},
		"cmd/keyledger/clustertest": {},
		"cmd/keyledger/powertest":   {},
		"cmd/keyledger/historytest": {"events", "client"},
		"cmd/keyledger": {"events", "ledger", "ledger/jetstream", "projections", "handlers", "handlers/agentex", "handlers/fastapi",
			"handlers/honcho", "handlers/imtegrate", "handlers/openlayer", "handlers/webhooks", "handlers/witness", "ledger/audit", "ledger/audit/replay", "ledger/audit/ocsf", "ledger/audit/scratch", "client"},
	}
}

// reserved are packages from elsewhere, each with all below it, that only some packages of this module may import.
func reserved() map[string][]string {
	return map[string][]string{
		"net/http": {"handlers", "handlers/agentex", "handlers/handlerstest", "handlers/honcho", "handlers/imtegrate", "handlers/openlayer",
			"handlers/webhooks", "handlers/witness", "client", "cmd/keyledger", "cmd/keyledger/clustertest", "cmd/keyledger/historytest"},
		"testing":                 {"ledger/ledgertest", "handlers/handlerstest", "cmd/keyledger/clustertest", "cmd/keyledger/powertest"},
		"github.com/cockroachdb":  {"projections", "ledger/audit", "ledger/audit/scratch"},
		"github.com/hanwen":       {"cmd/keyledger/powertest"},
		"github.com/golang-jwt":   {"handlers/honcho"},
		"github.com/anishathalye": {"cmd/keyledger/historytest"},
		"github.com/gorilla":      {"handlers", "cmd/keyledger"},
		"github.com/nats-io":      {"ledger/jetstream", "client", "cmd/keyledger"},
		"github.com/spf13":        {"cmd/keyledger"},
	}
}

// mayImport tells whether one of users may import a package from elsewhere.
func mayImport(users []string, path string) bool {
	for root, importers := range reserved() {
		if path == root || strings.HasPrefix(path, root+"/") {
			return slices.ContainsFunc(users, func(user string) bool { return slices.Contains(importers, user) })
		}
	}
	return true
}

// pure are the packages that must not reach anything reserved through a library either.
func pure() []string { return []string{"events", "ledger"} }

// TestArrows fails when a package gains a dependency that the design does not have: then the design has changed and
// the tables above with it, or the dependency is wrong.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}|{{join .Imports " "}}|{{join .Deps " "}}`, "keyledger/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimSpace(line), "|", 3)
		name := strings.TrimPrefix(fields[0], "keyledger/")
		imports, deps := strings.Fields(fields[1]), strings.Fields(fields[2])
		users := []string{name}
		listed[name] = true
		allowed, known := arrows()[name]
		if !known {
			t.Errorf("package %s has no place in the arrows", name)
		}
		for _, dep := range deps {
			own, isOwn := strings.CutPrefix(dep, "keyledger/")
			if isOwn && !slices.Contains(allowed, own) {
				t.Errorf("%s must not reach %s", name, own)
			}
		}
		if slices.Contains(pure(), name) {
			imports, users = deps, append(users, allowed...)
		}
		for _, path := range imports {
			if !mayImport(users, path) {
				t.Errorf("%s must not use %s", name, path)
			}
		}
	}
	for name := range arrows() {
		if !listed[name] {
			t.Errorf("package %s is in the arrows but does not exist", name)
		}
	}
}
