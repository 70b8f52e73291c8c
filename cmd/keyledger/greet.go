package main

import (
	"fmt"
	"io"
	"strings"
)

// greet tells a human what to do next, and a log collector that the node is ready.
func (n *node) greet() {
	if n.config.logFormat == "json" {
		n.log.Info("ready", "url", n.url, "data", n.folder.path)
		return
	}
	token := n.folder.file(rootTokenFile)
	if n.config.rootToken != "" {
		token = "FILE-WITH-THE-ROOT-TOKEN"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nkeyledger %s is ready.\n\n", version())
	fmt.Fprintf(&b, "  API         %s\n", n.url)
	fmt.Fprintf(&b, "  data        %s\n", n.folder.path)
	if n.rootToken != "" {
		fmt.Fprintf(&b, "  root token  %s  (shown this once; also in %s)\n", n.rootToken, token)
	}
	fmt.Fprintf(&b, "\nCreate a key:\n\n  curl -H \"Authorization: Bearer $(cat %s)\" -H 'Content-Type: application/json' \\\n"+
		"    -d '{\"name\": \"first\"}' %s/v1/keys\n\n", token, n.url)
	_, _ = io.WriteString(n.progress, b.String())
}
