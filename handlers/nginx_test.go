package handlers_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyledger/handlers/handlerstest"
	"keyledger/ledger"
)

// nginxConfig asks {keyledger} about every request for /deploy, as the documentation of ngx_http_auth_request_module
// has it, and passes those that may on to {upstream}. The socket needs no port that another process could take first.
const nginxConfig = `
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {}
http {
	access_log off;
	client_body_temp_path {folder}/body;
	proxy_temp_path {folder}/proxy;
	fastcgi_temp_path {folder}/fastcgi;
	uwsgi_temp_path {folder}/uwsgi;
	scgi_temp_path {folder}/scgi;
	server {
		listen unix:{folder}/nginx.sock;
		location /deploy {
			auth_request /authorize;
			auth_request_set $key $upstream_http_keyledger_key_id;
			auth_request_set $workspace $upstream_http_keyledger_workspace_id;
			auth_request_set $org $upstream_http_keyledger_org_id;
			auth_request_set $agent $upstream_http_keyledger_agent_id;
			auth_request_set $scopes $upstream_http_keyledger_scopes;
			proxy_set_header Keyledger-Key-Id $key;
			proxy_set_header Keyledger-Workspace-Id $workspace;
			proxy_set_header Keyledger-Org-Id $org;
			proxy_set_header Keyledger-Agent-Id $agent;
			proxy_set_header Keyledger-Scopes $scopes;
			proxy_pass http://{upstream};
		}
		location = /authorize {
			internal;
			proxy_pass http://{keyledger}/v1/authorize?scope=deploy;
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
			proxy_set_header X-Forwarded-For $remote_addr;
		}
	}
}
`

// startNginx runs nginx until the test ends and returns a client of it.
func startNginx(t *testing.T, keyledger, upstream string) *http.Client {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // where Debian has it, often not on the PATH of users
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nginx is missing: CI must install it (Debian: apt-get install nginx-light)")
		}
		t.Skip("NOT TESTED: /v1/authorize behind nginx, because nginx is missing (Debian: apt-get install nginx-light)")
	}
	folder := t.TempDir()
	config := filepath.Join(folder, "nginx.conf")
	text := strings.NewReplacer("{folder}", folder, "{keyledger}", keyledger, "{upstream}", upstream).Replace(nginxConfig)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var said handlerstest.Lines
	nginx := exec.Command(program, "-p", folder, "-c", config)
	nginx.Stdout, nginx.Stderr = &said, &said
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- nginx.Wait() }()
	t.Cleanup(func() {
		_ = nginx.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Logf("nginx said: %s", said.String())
		}
	})
	socket := filepath.Join(folder, "nginx.sock")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := dial(t.Context(), "", ""); err == nil {
			conn.Close()
			return &http.Client{Transport: &http.Transport{DialContext: dial}}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v\n%s", err, said.String())
		case <-tick.C:
		}
	}
}

func TestAuthorizeBehindNginx(t *testing.T) {
	w := newWorld(t)
	var seen atomic.Pointer[http.Header] // of the last request that reached the upstream; nil: none did
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header := r.Header.Clone()
		seen.Store(&header)
	}))
	defer upstream.Close()
	client := startNginx(t, serve(t, w.Server, nil), upstream.Listener.Addr().String())
	ask := func(method, token string, body string) int {
		t.Helper()
		seen.Store(nil)
		r, err := http.NewRequestWithContext(t.Context(), method, "http://nginx/deploy?scope=admin&x=1", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		r.Header.Set("User-Agent", "deployer")
		r.Header.Set("Keyledger-Workspace-Id", "forged")
		r.Header.Set("Keyledger-Org-Id", "forged")
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode
	}
	may := w.key(ledger.Create{Owner: ledger.Owner{Workspace: "Büro 1", AgentID: "bot7"}, Scopes: []string{"deploy", "read"}})
	mayNot := w.key(ledger.Create{Scopes: []string{"read"}})
	token := may.Token.Reveal()

	for _, method := range []string{"GET", "POST"} {
		if status := ask(method, token, map[string]string{"GET": "", "POST": `{"a":1}`}[method]); status != http.StatusOK || seen.Load() == nil {
			t.Fatalf("%s with a valid token: %d", method, status)
		}
		for name, want := range map[string]string{"Keyledger-Key-Id": may.Key.ID.String(), "Keyledger-Workspace-Id": "B%C3%BCro 1",
			"Keyledger-Agent-Id": "bot7", "Keyledger-Scopes": "deploy read", "Keyledger-Org-Id": ""} {
			if got := seen.Load().Get(name); got != want {
				t.Errorf("%s reaches the upstream as %q, want %q", name, got, want)
			}
		}
	}
	refused := func(name, token string, want int) {
		t.Helper()
		if status := ask("GET", token, ""); status != want || seen.Load() != nil {
			t.Errorf("%s: %d, want %d; reached the upstream: %v", name, status, want, seen.Load() != nil)
		}
	}
	refused("no token", "", http.StatusUnauthorized)
	refused("an unknown token", "kl_neverseenbutlongenough", http.StatusUnauthorized)
	refused("garbage", "x", http.StatusUnauthorized)
	refused("a token without the scope", mayNot.Token.Reveal(), http.StatusForbidden)

	w.waitForUse(may.Key.ID.String(), 2)
	use, err := w.Service.LastUse(t.Context(), &w.Call.Principal, may.Key.ID)
	if err != nil || use.Count != 2 || use.UserAgent != "deployer" {
		t.Errorf("last use %+v, %v", use, err)
	}
	hasStatus(t, w.do("POST", "/v1/keys/"+may.Key.ID.String()+"/revoke", "", nil), http.StatusOK)
	refused("a token just revoked", token, http.StatusUnauthorized)
}
