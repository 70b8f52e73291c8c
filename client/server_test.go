package client_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keyledger/client"
)

// patience bounds the start of the server.
const patience = 60 * time.Second

const rootToken = "kl-test-root-token-0123456789abcdef"

// TestMain runs the tests against a real server: the program itself, in a process of its own. Its addresses and
// root token are in KEYLEDGER_SERVER, KEYLEDGER_NATS and KEYLEDGER_TOKEN. The workers of a fuzz target find them there.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "20"); err != nil { // unless the command line says otherwise: they take a server
		panic(err)
	}
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withServer(run func() int) (code int, err error) {
	if os.Getenv("KEYLEDGER_SERVER") != "" {
		return run(), nil
	}
	dir, err := os.MkdirTemp("", "keyledger-client-test")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "keyledger")
	if out, err := exec.Command("go", "build", "-o", program, "keyledger/cmd/keyledger").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the server: %w\n%s", err, out)
	}
	data := filepath.Join(dir, "data")
	stderr := new(bytes.Buffer)
	server := exec.Command(program, "serve", "--data", data, "--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--audit-reads")
	server.Env = append(os.Environ(), "KEYLEDGER_ROOT_TOKEN="+rootToken)
	server.Stderr = stderr
	if err := server.Start(); err != nil {
		return 1, err
	}
	defer func() {
		err = errors.Join(err, server.Process.Signal(syscall.SIGTERM), server.Wait())
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, stderr)
		}
	}()
	address, err := waitReady(data)
	if err != nil {
		return 1, err
	}
	subscribers, err := os.ReadFile(filepath.Join(data, "nats.addr"))
	if err != nil {
		return 1, err
	}
	os.Setenv("KEYLEDGER_SERVER", address)
	os.Setenv("KEYLEDGER_NATS", "nats://"+strings.TrimSpace(string(subscribers)))
	os.Setenv("KEYLEDGER_TOKEN", rootToken)
	return run(), nil
}

// waitReady waits until the server on a data folder is ready and gives its address.
func waitReady(data string) (string, error) {
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		addr, err := os.ReadFile(filepath.Join(data, "http.addr"))
		if err != nil {
			last = err
			continue
		}
		address := "http://" + strings.TrimSpace(string(addr))
		resp, err := http.Get(address + "/readyz")
		if err != nil {
			last = err
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return address, nil
		}
		last = fmt.Errorf("/readyz answers %s", resp.Status)
	}
	return "", fmt.Errorf("the server is not ready after %v: %w", patience, last)
}

// open gives a client of the test server, or of what stands before it at address.
func open(t *testing.T, address string, options ...client.Option) *client.Client {
	t.Helper()
	if address == "" {
		address = os.Getenv("KEYLEDGER_SERVER")
	}
	c, err := client.New(address, client.NewToken(rootToken), options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keysNamed lists the keys with a name.
func keysNamed(t *testing.T, name string) []client.Key {
	t.Helper()
	var keys []client.Key
	for key, err := range open(t, "").Keys(t.Context(), client.KeyQuery{NamePrefix: name}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}
