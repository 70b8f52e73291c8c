package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// verifiedKey is where RequireKey puts what it has verified.
type verifiedKey struct{}

// RequireKey lets requests pass whose token is good for want, and refuses the others with a problem document (RFC 9457):
// 401 when there is no token or it is not valid, 403 when it is not good for what is wanted, 503 while v cannot decide.
// The token is in Authorization: Bearer (RFC 6750) or in X-API-Key. What is known of the key is in the request's
// context: see KeyFrom.
func RequireKey(v *Verifier, want Want) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := tokenOf(r.Header)
			if !ok {
				refuse(w, http.StatusUnauthorized, "", "one token is needed, in Authorization: Bearer or in X-API-Key", "Bearer")
				return
			}
			verified, err := v.VerifyFor(token, &want)
			switch {
			case err != nil:
				w.Header().Set("Retry-After", "1")
				refuse(w, http.StatusServiceUnavailable, "", "tokens cannot be verified now", "")
			case verified.Valid():
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), verifiedKey{}, &verified)))
			case verified.Code == InsufficientScope:
				refuse(w, http.StatusForbidden, verified.Code, "the token lacks a scope that this needs",
					`Bearer error="insufficient_scope", scope="`+strings.Join(want.Scopes, " ")+`"`)
			case verified.Code == WrongOwner:
				refuse(w, http.StatusForbidden, verified.Code, "the token is not for this owner or environment", "")
			default:
				refuse(w, http.StatusUnauthorized, verified.Code, "the token is not valid", `Bearer error="invalid_token"`)
			}
		})
	}
}

// KeyFrom gives what RequireKey has verified of the request's key. ok is false where it has not.
func KeyFrom(ctx context.Context) (verified *Verified, ok bool) {
	verified, ok = ctx.Value(verifiedKey{}).(*Verified)
	return verified, ok
}

// tokenOf gives the one token of a request, as the server does.
func tokenOf(h http.Header) (token string, ok bool) {
	bearer, header := h["Authorization"], h["X-Api-Key"]
	if len(bearer) > 1 || len(header) > 1 {
		return "", false
	}
	if len(bearer) == 1 {
		scheme, rest, _ := strings.Cut(bearer[0], " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", false
		}
		token = strings.Trim(rest, " ")
	}
	if len(header) == 1 {
		if len(bearer) == 1 && header[0] != token {
			return "", false
		}
		token = header[0]
	}
	return token, token != ""
}

// refuse answers with a problem document.
func refuse(w http.ResponseWriter, status int, code Decision, detail, challenge string) {
	body, err := json.Marshal(struct {
		Type   string   `json:"type"`
		Title  string   `json:"title"`
		Status int      `json:"status"`
		Detail string   `json:"detail"`
		Code   Decision `json:"code,omitempty"`
	}{"about:blank", http.StatusText(status), status, detail, code})
	if err != nil {
		body = nil
	}
	h := w.Header()
	if challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone if it fails
}
