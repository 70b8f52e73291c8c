package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"keyledger/ledger/ledgertest"
)

// TestMain makes the command keyledger, the real main in a process of its own, for scripts and tests.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keyledger": main})
}

// patience bounds every wait of the tests for something that must happen.
const patience = 60 * time.Second

// TestScripts runs testdata/script: the program as its users see it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("KEYLEDGER_HTTP", "127.0.0.1:0")
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "race" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return ledgertest.Raced, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready":       scriptReady,
			"field":       scriptField,
			"certificate": scriptCertificate,
			"mode":        scriptMode,
			"busyport":    scriptBusyPort,
		},
	})
}

// scriptReady waits until the server on a data folder is ready: ready DATA. It sets KEYLEDGER_SERVER, and
// KEYLEDGER_TOKEN_FILE when the folder holds a root token.
func scriptReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready DATA")
	}
	folder := ts.MkAbs(args[0])
	address, err := waitReady(folder)
	ts.Check(err)
	ts.Setenv("KEYLEDGER_SERVER", address)
	if token := filepath.Join(folder, "root.token"); exists(token) {
		ts.Setenv("KEYLEDGER_TOKEN_FILE", token)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// waitReady waits until the server on folder answers /readyz with 200, and gives its address.
func waitReady(folder string) (string, error) {
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer insecure.CloseIdleConnections()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		address, err := os.ReadFile(filepath.Join(folder, "http.addr"))
		if err == nil {
			for _, scheme := range []string{"http", "https"} {
				url := scheme + "://" + strings.TrimSpace(string(address))
				resp, err := insecure.Get(url + "/readyz")
				if err != nil {
					last = err
					continue
				}
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return url, nil
				}
				last = fmt.Errorf("/readyz answers %s", resp.Status)
			}
		} else {
			last = err
		}
		pause()
	}
	return "", fmt.Errorf("the server on %s is not ready after %v: %w", folder, patience, last)
}

// pause is the interval of polling for what has no event to wait on: another process.
func pause() { <-time.After(5 * time.Millisecond) }

// scriptField takes a value out of the JSON of the last command, or of a file, into a variable: field VAR PATH [FILE].
// PATH is names and indexes with dots.
func scriptField(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: field VAR PATH [FILE]")
	}
	file := "stdout"
	if len(args) == 3 {
		file = args[2]
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &value))
	for name := range strings.SplitSeq(args[1], ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(v) {
				ts.Fatalf("no element %s in a list of %d", name, len(v))
			}
			value = v[i]
		default:
			ts.Fatalf("nothing at %s", args[1])
		}
	}
	if value == nil {
		ts.Fatalf("nothing at %s", args[1])
	}
	text, ok := value.(string)
	if !ok {
		b, err := json.Marshal(value)
		ts.Check(err)
		text = string(b)
	}
	ts.Setenv(args[0], text)
}

// scriptCertificate writes a certificate for 127.0.0.1 and its key: certificate CERT KEY.
func scriptCertificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate CERT KEY")
	}
	ts.Check(writeCertificate(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

func writeCertificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "keyledger test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// scriptMode checks the permissions of a file: mode 600 FILE.
func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// scriptBusyPort listens on a free port until the script ends and names it: busyport VAR.
func scriptBusyPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: busyport VAR")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}
