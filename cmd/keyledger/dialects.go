package main

import (
	"fmt"
	"slices"
	"strings"

	"keyledger/handlers"
)

// dialect is a vendor's API that a server can answer beside its own.
type dialect struct {
	name  string
	mount func(*node, *handlers.Server) error
}

// dialects are those there are, in the order in which they are mounted.
func dialects() []dialect {
	return []dialect{
		{"honcho", (*node).mountHoncho},
	}
}

// dialectNames names all of them, as --dialects does.
func dialectNames() string {
	var names []string
	for _, d := range dialects() {
		names = append(names, d.name)
	}
	return strings.Join(names, ",")
}

// parseDialects reads a list of names. "none" and nothing at all are no dialect.
func parseDialects(list string) ([]string, error) {
	var chosen []string
	if list == "none" {
		return nil, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		switch known := slices.ContainsFunc(dialects(), func(d dialect) bool { return d.name == name }); {
		case name == "":
		case !known:
			return nil, fmt.Errorf("--dialects: there is no %q: there are %s, or none", name, dialectNames())
		default:
			chosen = append(chosen, name)
		}
	}
	return chosen, nil
}

// mountDialects mounts the dialects that were chosen.
func (n *node) mountDialects(api *handlers.Server) error {
	for _, d := range dialects() {
		if !slices.Contains(n.config.chosenDialects, d.name) {
			continue
		}
		if err := d.mount(n, api); err != nil {
			return fmt.Errorf("dialect %s: %w", d.name, err)
		}
	}
	return nil
}
