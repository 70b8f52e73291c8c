package jetstream

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// peerName is what the certificates of peers are for.
const peerName = "peer.keyledger"

// peerIdentity gives what a peer of a cluster shows to the others and asks of them, over TLS 1.3: a certificate of an
// authority whose key follows from the secret that they share. So there are no certificates to be made, distributed or
// renewed, and who does not have the secret is no peer. The key of the certificate itself is of this process.
func peerIdentity(secret []byte) (*tls.Config, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "keyledger cluster authority", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	authorityKey := ed25519.NewKeyFromSeed(seed)
	authority, err := certify(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "keyledger cluster"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	own, err := certify(&x509.Certificate{
		Subject:     pkix.Name{CommonName: peerName},
		DNSNames:    []string{peerName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, authority, public, authorityKey)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{own.Raw}, PrivateKey: private, Leaf: own}},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ServerName:   peerName,
		MinVersion:   tls.VersionTLS13,
	}, nil
}

// certify makes a certificate, signed by parent's key, or by its own when parent is nil. It is valid at any time: what ends
// it is another secret, and a peer whose clock is wrong must not be cut off.
func certify(template, parent *x509.Certificate, public any, signer ed25519.PrivateKey) (*x509.Certificate, error) {
	template.SerialNumber = big.NewInt(1)
	template.NotBefore = time.Date(1970, time.January, 1, 0, 0, 0, 0, time.UTC)
	template.NotAfter = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC) // RFC 5280 section 4.1.2.5: no end
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
