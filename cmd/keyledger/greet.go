package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// greet tells a human what to do next, or a log collector that the node is ready: a log never holds the token.
func (n *node) greet() {
	if n.config.logFormat == "json" {
		n.log.Info("ready", "version", version(), "url", n.url, "nats", n.natsURL, "data", n.folder.path,
			"verifier_key", n.heads.VerifierKey())
		if n.rootToken != "" {
			n.log.Info("the root key was made", "token_file", n.folder.file(rootTokenFile))
		}
		return
	}
	token := n.folder.file(rootTokenFile)
	if _, err := os.Stat(token); err != nil { // it was configured, or another node has it
		token = "FILE-WITH-THE-ROOT-TOKEN"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nkeyledger %s is ready.\n\n", version())
	fmt.Fprintf(&b, "  API         %s\n", n.url)
	fmt.Fprintf(&b, "  data        %s\n", n.folder.path)
	if n.natsURL != "" {
		fmt.Fprintf(&b, "  NATS        %s\n", n.natsURL)
	}
	fmt.Fprintf(&b, "  verifier    %s\n", n.heads.VerifierKey())
	if n.rootToken != "" {
		fmt.Fprintf(&b, "  root token  %s  (shown this once; also in %s)\n", n.rootToken, token)
	}
	fmt.Fprintf(&b, "\nCreate a key:\n\n  curl -H \"Authorization: Bearer $(cat %s)\" -H 'Content-Type: application/json' \\\n"+
		"    -d '{\"name\": \"first\"}' %s/v1/keys\n\n", token, n.url)
	_, _ = io.WriteString(n.progress, b.String())
}
