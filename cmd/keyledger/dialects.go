package main

import (
	"fmt"
	"slices"
	"strings"

	"keyledger/handlers"
)

// dialect is a vendor's API, served beside the native one.
type dialect struct {
	name  string // in --dialects
	mount func(*node, *handlers.Server) error
}

// dialects are all that there are.
func dialects() []dialect {
	return []dialect{
		{"honcho", (*node).mountHoncho},
		{"imtegrate", (*node).mountImtegrate},
		{"agentex", (*node).mountAgentex},
		{"openlayer", (*node).mountOpenlayer},
	}
}

// noDialects is the value of --dialects that turns all of them off; so does an empty one.
const noDialects = "none"

// dialectNames are the names of all dialects, with commas.
func dialectNames() string {
	var names []string
	for _, d := range dialects() {
		names = append(names, d.name)
	}
	return strings.Join(names, ",")
}

// parseDialects reads the value of --dialects.
func parseDialects(value string) ([]string, error) {
	if value == "" || value == noDialects {
		return nil, nil
	}
	known := strings.Split(dialectNames(), ",")
	names := strings.Split(value, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if !slices.Contains(known, names[i]) {
			return nil, fmt.Errorf("--dialects: there is no %q: %s, or %s", names[i], dialectNames(), noDialects)
		}
	}
	return names, nil
}

// mountDialects mounts the dialects that are wanted.
func (n *node) mountDialects(api *handlers.Server) error {
	for _, d := range dialects() {
		if !slices.Contains(n.config.dialectList, d.name) {
			continue
		}
		if err := d.mount(n, api); err != nil {
			return fmt.Errorf("dialect %s: %w", d.name, err)
		}
	}
	return nil
}
