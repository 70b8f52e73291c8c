package handlers

import (
	"net/http"
	"net/netip"
	"strings"

	"keyledger/ledger"
)

// authenticate sets the principal of the exchange from the token that the request presents.
func (x *Exchange) authenticate() error {
	token, err := x.Token()
	if err != nil {
		return err
	}
	return x.Authenticate(token)
}

// Authenticate makes the key that has a token the principal, and counts that as a use of it. Then, as on every route that
// takes a token, it waits for the request's Keyledger-Min-Sequence. Its errors are CodeUnauthenticated, CodeStale,
// CodeUnavailable and, for that header, CodeInvalid. It is for a public route that finds the token elsewhere, or later,
// than others do.
func (x *Exchange) Authenticate(token string) error {
	x.presented = true
	p, err := x.server.config.Service.Authenticate(x.Context(), token, x.origin)
	if err != nil {
		return err
	}
	return x.ActAs(p)
}

// ActAs makes p the principal, of whom the caller of it has made sure: see Authenticate, whose last step it is.
func (x *Exchange) ActAs(p ledger.Principal) error {
	x.Principal = p
	return x.awaitSequence()
}

// Token is the token of a request, from "Authorization: Bearer" (RFC 6750 section 2.1) or "X-API-Key".
func (x *Exchange) Token() (string, error) {
	bearer, header := x.Request.Header["Authorization"], x.Request.Header["X-Api-Key"]
	if len(bearer)+len(header) == 0 {
		return "", unauthenticated("send a token: Authorization: Bearer <token>, or X-API-Key: <token>")
	}
	x.presented = true
	if len(bearer) > 1 || len(header) > 1 {
		return "", unauthenticated("more than one token was sent")
	}
	if len(bearer) == 0 {
		return header[0], nil
	}
	const scheme = "Bearer "
	value := bearer[0]
	if len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", unauthenticated("the Authorization header must read: Bearer <token>")
	}
	token := strings.Trim(value[len(scheme):], " ")
	if len(header) == 1 && header[0] != token {
		return "", unauthenticated("Authorization and X-API-Key differ")
	}
	return token, nil
}

func unauthenticated(detail string) error {
	return &ledger.Error{Code: ledger.CodeUnauthenticated, Detail: detail}
}

// clientIP is the address of the client: of the connection, or, when that is a trusted proxy's, the last address in
// X-Forwarded-For that is not.
func (s *Server) clientIP(r *http.Request) string {
	host := r.RemoteAddr
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = strings.Trim(host[:i], "[]")
	}
	if len(s.config.TrustedProxies) == 0 || !s.trusted(host) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		if _, err := netip.ParseAddr(hop); err != nil {
			break // what stands before is anybody's word
		}
		if host = hop; !s.trusted(hop) {
			break
		}
	}
	return host
}

func (s *Server) trusted(address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, p := range s.config.TrustedProxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
