// Package handlers serves the ledger over HTTP: the native API, and what every dialect of another vendor's API is built
// from.
//
// A request passes through one place, Server.ServeHTTP: it gets an Exchange, is matched to a Route, authenticated, run,
// rendered, sent, counted and logged there, in that order. A Handler fills in the answer or returns an error; it writes
// nothing and logs nothing itself. What a handler leaves in Exchange.Stream is run after the header was sent, and writes
// the body for as long as it takes. Rules live in the ledger package: a handler translates, the ledger decides.
//
// A dialect is a []Route with its own Render for errors, mounted with Server.Mount. It decodes bodies with
// Exchange.Decode or on its own from Exchange.RawInput, runs commands with Exchange.Call, and answers with
// Exchange.WriteJSON or by appending to Exchange.Body. Where a vendor has an order of checks, or a place of the token, of
// its own, the route is Public and its handler calls Exchange.Authenticate, or Exchange.ActAs, when it is time, and
// Exchange.Once around the change.
package handlers
