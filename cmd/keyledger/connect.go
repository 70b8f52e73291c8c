package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/pflag"

	"keyledger/client"
)

// connection is how a command reaches the server: flags, and KEYLEDGER_ variables of the same names.
type connection struct {
	server    string
	serverCA  string
	token     string
	tokenFile string
}

func (c *connection) flags(flags *pflag.FlagSet) {
	flags.StringVar(&c.server, "server", "http://localhost:8080", "address of the server")
	flags.StringVar(&c.serverCA, "server-ca", "", "PEM file of the certificates that may vouch for the server")
	flags.StringVar(&c.token, "token", "", "token to act with; seen by other users of this machine, so prefer a file or KEYLEDGER_TOKEN")
	flags.StringVar(&c.tokenFile, "token-file", "", "file that holds the token")
}

// open gives the client.
func (c *connection) open() (*client.Client, error) {
	token, err := secretOf("token", c.token, c.tokenFile)
	if err != nil {
		return nil, err
	}
	options := []client.Option{client.WithUserAgent("keyledger-cli/" + version())}
	if c.serverCA != "" {
		h, err := trusting(c.serverCA)
		if err != nil {
			return nil, &usageError{err}
		}
		options = append(options, client.WithHTTPClient(h))
	}
	cl, err := client.New(c.server, client.NewToken(token), options...)
	if err != nil {
		return nil, &usageError{err}
	}
	return cl, nil
}

// trusting gives an HTTP client that trusts the certificates in file only.
func trusting(file string) (*http.Client, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--server-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--server-ca: %s holds no PEM certificate", file)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport, Timeout: client.DefaultTimeout}, nil
}
