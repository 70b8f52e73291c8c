package imtegrate_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"keyledger/handlers/handlerstest"
)

// vectors are recorded answers of a FastAPI server to the vendor's schema.
type vectors struct {
	Cases []struct {
		Case        string          `json:"case"`
		ContentType *string         `json:"content_type"`
		Body        string          `json:"body"`
		BodyHex     string          `json:"body_hex"`
		Status      int             `json:"status"`
		Response    json.RawMessage `json:"response"`
		ByVersion   map[string]struct {
			Status int             `json:"status"`
			Body   json.RawMessage `json:"body"`
		} `json:"by_version"`
	} `json:"cases"`
	PathUUID []struct {
		Input    string         `json:"input"`
		Accepted bool           `json:"accepted"`
		Type     string         `json:"type"`
		Msg      string         `json:"msg"`
		Ctx      map[string]any `json:"ctx"`
	} `json:"path_uuid"`
}

func theVectors(t *testing.T) vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/fastapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Cases) != 21 || len(v.PathUUID) != 7 {
		t.Fatalf("%d cases, %d UUIDs", len(v.Cases), len(v.PathUUID))
	}
	return v
}

// TestVectors: member for member, in their order. The server is one of FastAPI before 0.128.1, as the published schema
// dates it.
func TestVectors(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	for _, c := range theVectors(t).Cases {
		t.Run(c.Case, func(t *testing.T) {
			if old, ok := c.ByVersion["fastapi_0.128.0"]; ok {
				c.Status, c.Response = old.Status, old.Body
			}
			if c.BodyHex != "" {
				raw, err := hex.DecodeString(c.BodyHex)
				if err != nil {
					t.Fatal(err)
				}
				c.Body = string(raw)
			}
			r := w.request("POST", "/v1/api-keys", c.Body)
			r.Header = map[string]string{"Content-Type": "-"}
			if c.ContentType != nil {
				r.Header["Content-Type"] = *c.ContentType
			}
			want := compact(t, c.Response)
			if c.Status != http.StatusCreated {
				says(t, w.Refuses(t, r, c.Status), want)
				return
			}
			answer := w.Do(t, r)
			k := decode[key](t, answer, c.Status)
			w.Hide(k.Token)
			for name, value := range map[string]string{"id": k.ID, "org_id": k.OrgID, "prefix": k.Prefix, "created_at": k.CreatedAt, "token": k.Token} {
				if value == "" {
					t.Errorf("%s is empty", name)
				}
				want = strings.Replace(want, `"<`+name+`>"`, `"`+value+`"`, 1)
			}
			says(t, answer, want)
		})
	}
}

// TestVectorsUUID: both routes with a key in the path read it so.
func TestVectorsUUID(t *testing.T) {
	w := newWorld(t, handlerstest.Options{}, "")
	for _, c := range theVectors(t).PathUUID {
		for _, r := range []handlerstest.Request{
			w.request("DELETE", "/v1/api-keys/"+url.PathEscape(c.Input), ""),
			w.request("POST", "/v1/api-keys/"+url.PathEscape(c.Input)+"/revoke", ""),
		} {
			if c.Accepted {
				says(t, w.Refuses(t, r, http.StatusNotFound), `{"detail":"no such key"}`)
				continue
			}
			why, _ := json.Marshal(c.Ctx["error"])
			says(t, w.Refuses(t, r, http.StatusUnprocessableEntity), `{"detail":[{"type":"`+c.Type+`","loc":["path","id"],"msg":"`+c.Msg+
				`","input":"`+c.Input+`","ctx":{"error":`+string(why)+`}}]}`)
		}
	}
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
