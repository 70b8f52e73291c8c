package main

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"keyledger/client"
	"keyledger/cmd/keyledger/clustertest"
)

// TestExternalNATS: a node keeps its ledger in an account of its own of a NATS with an operator, over TLS with a certificate on
// both sides and a credentials file; and is told what is wrong when one of these is.
func TestExternalNATS(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := writeCertificate(file("cert.pem"), file("key.pem")); err != nil {
		t.Fatal(err)
	}
	s := operatedNATS(t, dir)
	args := []string{
		"--nats", "tls://" + s.Addr().String(), "--nats-ca", file("cert.pem"), "--nats-cert", file("cert.pem"), "--nats-key", file("key.pem"),
		"--nats-creds", file("ledger.creds"), "--secret", clustertest.Secret, "--drain", "1ms",
	}
	p := start(t, t.TempDir(), args...)
	c := p.client(t)
	issued, err := c.CreateKey(t.Context(), client.CreateKey{Name: "in an account"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Verify(t.Context(), client.Verify{Token: issued.Token}); err != nil || !v.Valid {
		t.Fatalf("%v, %v", v.Code, err)
	}
	stranger := start(t, t.TempDir(), replaced(args, file("ledger.creds"), file("other.creds"))...)
	if v, err := stranger.client(t).Verify(t.Context(), client.Verify{Token: issued.Token}); err != nil || v.Code != client.NotFound {
		t.Errorf("a node in another account of the same NATS finds the key: %v, %v", v.Code, err)
	}
	for name, wrong := range map[string][]string{
		"credentials of nobody":   replaced(args, file("ledger.creds"), file("forged.creds")),
		"no credentials":          without(args, "--nats-creds"),
		"no certificate":          without(without(args, "--nats-cert"), "--nats-key"),
		"credentials not a file":  replaced(args, file("ledger.creds"), file("none.creds")),
		"a certificate unknown":   without(args, "--nats-ca"),
		"a password in its place": replaced(args, args[1], "tls://ledger:sesame@"+s.Addr().String()),
	} {
		if name == "a password in its place" {
			wrong = without(wrong, "--nats-creds")
		}
		data := t.TempDir()
		s := serveHere(t, data, wrong...)
		clustertest.Until(t, "a node with "+name+" to fail or wait", func() bool {
			return len(s.code) > 0 || strings.Contains(s.stderr.String(), "still starting")
		})
		s.stop()
		<-s.code
		if strings.Contains(s.stderr.String(), "is ready") || strings.Contains(s.stderr.String(), "sesame") {
			t.Errorf("a node with %s:\n%s", name, s.stderr)
		}
	}
}

// replaced and without give other arguments than those that are right.
func replaced(args []string, old, by string) []string {
	return strings.Split(strings.ReplaceAll(strings.Join(args, "\x00"), old, by), "\x00")
}

func without(args []string, flag string) (rest []string) {
	for i := 0; i < len(args); i += 2 {
		if args[i] != flag {
			rest = append(rest, args[i], args[i+1])
		}
	}
	return rest
}

// operatedNATS runs a NATS whose accounts an operator has signed. It asks for a certificate of its clients, and leaves the
// credentials of a user of each of two accounts in dir, and of one that a stranger has signed.
func operatedNATS(t *testing.T, dir string) *server.Server {
	t.Helper()
	operator := newPair(t, nkeys.CreateOperator)
	resolver := new(server.MemAccResolver)
	account := func(name string, signer nkeys.KeyPair) nkeys.KeyPair {
		pair := newPair(t, nkeys.CreateAccount)
		claims := jwt.NewAccountClaims(public(t, pair))
		claims.Name = name
		if name != "SYS" {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
				MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
			}
		}
		text, err := claims.Encode(signer)
		if err == nil {
			err = resolver.Store(public(t, pair), text)
		}
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	system, forger := account("SYS", operator), newPair(t, nkeys.CreateAccount)
	for name, signer := range map[string]nkeys.KeyPair{
		"ledger": account("LEDGER", operator), "other": account("OTHER", operator), "forged": forger,
	} {
		writeCreds(t, filepath.Join(dir, name+".creds"), signer)
	}
	tls, err := server.GenTLSConfig(&server.TLSConfigOpts{
		CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), CaFile: filepath.Join(dir, "cert.pem"), Verify: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	tls.ClientCAs = x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil || !tls.ClientCAs.AppendCertsFromPEM(pem) {
		t.Fatalf("certificate: %v", err)
	}
	claims := jwt.NewOperatorClaims(public(t, operator))
	claims.SystemAccount = public(t, system)
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, TLS: true, TLSVerify: true, TLSConfig: tls, TLSTimeout: 5,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 64 << 20,
		TrustedOperators: []*jwt.OperatorClaims{claims}, SystemAccount: public(t, system), AccountResolver: resolver,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS does not start")
	}
	return s
}

// writeCreds writes the credentials of a new user of an account.
func writeCreds(t *testing.T, file string, account nkeys.KeyPair) {
	t.Helper()
	user := newPair(t, nkeys.CreateUser)
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.NewUserClaims(public(t, user)).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(text, seed)
	if err == nil {
		err = os.WriteFile(file, creds, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func newPair(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func public(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
