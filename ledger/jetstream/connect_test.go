package jetstream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"keyledger/ledger/jetstream"
)

// TestConnect connects to a server that wants a password, a certificate of its clients, and proves who it is.
func TestConnect(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir)
	file := func(name string) string { return filepath.Join(dir, name) }
	config, err := server.GenTLSConfig(&server.TLSConfigOpts{
		CertFile: file("cert.pem"), KeyFile: file("key.pem"), CaFile: file("cert.pem"), Verify: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, TLS: true, TLSVerify: true, TLSConfig: config, TLSTimeout: 5,
		Username: "ledger", Password: "open sesame", JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 8 << 30,
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	until(t, "the server", func() bool { return s.ReadyForConnections(time.Second) })

	right := jetstream.ConnectOptions{
		URL: "tls://" + s.Addr().String(), User: "ledger", Password: "open sesame",
		CA: file("cert.pem"), Cert: file("cert.pem"), Key: file("key.pem"),
	}
	nc, err := jetstream.Connect(t.Context(), right)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	l, err := jetstream.Open(t.Context(), nc, jetstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(t.Context(), entry()); err != nil {
		t.Fatal(err)
	}

	for name, spoil := range map[string]func(*jetstream.ConnectOptions){
		"no URL":             func(o *jetstream.ConnectOptions) { o.URL = "" },
		"a wrong password":   func(o *jetstream.ConnectOptions) { o.Password = "open barley" },
		"no certificate":     func(o *jetstream.ConnectOptions) { o.Cert, o.Key = "", "" },
		"an unknown issuer":  func(o *jetstream.ConnectOptions) { o.CA = "" },
		"a missing file":     func(o *jetstream.ConnectOptions) { o.CA = file("none.pem") },
		"a missing creds":    func(o *jetstream.ConnectOptions) { o.Creds = file("none.creds") },
		"nobody at that URL": func(o *jetstream.ConnectOptions) { o.URL = "tls://ledger:open%20barley@127.0.0.1:1" },
	} {
		o := right
		spoil(&o)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		nc, err := jetstream.Connect(ctx, o)
		cancel()
		if err == nil {
			nc.Close()
			t.Errorf("with %s the connection is made", name)
		} else if strings.Contains(err.Error(), "open") && strings.Contains(err.Error(), "barley") {
			t.Errorf("with %s the error shows the password: %v", name, err)
		}
	}
}

// certificate writes a key and a certificate for 127.0.0.1 that vouches for itself.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
}
