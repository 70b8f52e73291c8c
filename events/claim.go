package events

// TokenClaim is the kind of the claim that a brought token is in use once. Its hash is the token's digest.
const TokenClaim = "token"

// Claim is the body of claim.taken and names something that must be unique beyond one key.
type Claim struct {
	Kind   string // "token", "agent", "name", "root", …
	Hash   string // lower-case hex of SHA-256 over what is claimed
	Holder string // id of the key or agent that holds it
}

// Type is ClaimTaken.
func (*Claim) Type() Type { return ClaimTaken }

func (c *Claim) encode(e *encoder) {
	e.text("hash", c.Hash)
	e.text("holder", c.Holder)
	e.text("kind", c.Kind)
	e.personal(personal{})
}

func (c *Claim) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "hash":
			c.Hash = d.text()
		case "holder":
			c.Holder = d.text()
		case "kind":
			c.Kind = d.text()
		case "p":
			d.personal()
		default:
			d.skip()
		}
	}
}

func (c *Claim) missing() string {
	switch {
	case c.Hash == "":
		return "hash"
	case c.Holder == "":
		return "holder"
	case c.Kind == "":
		return "kind"
	}
	return ""
}

func (c *Claim) fits(s Subject) bool {
	return s == Subject{ClaimKind: c.Kind, ClaimHash: c.Hash}
}

func (c *Claim) id() string { return claimName(c.Kind, c.Hash) }

func (c *Claim) appendJSON(o *jsonObject) {
	appendClaim(o, c.Kind, c.Hash)
	o.text("holder", c.Holder)
}

// Release is the body of claim.released.
type Release struct {
	Kind string
	Hash string
}

// Type is ClaimReleased.
func (*Release) Type() Type { return ClaimReleased }

func (r *Release) encode(e *encoder) {
	e.text("hash", r.Hash)
	e.text("kind", r.Kind)
	e.personal(personal{})
}

func (r *Release) decode(d *decoder) {
	for d.next() {
		switch d.field {
		case "hash":
			r.Hash = d.text()
		case "kind":
			r.Kind = d.text()
		case "p":
			d.personal()
		default:
			d.skip()
		}
	}
}

func (r *Release) missing() string {
	switch {
	case r.Hash == "":
		return "hash"
	case r.Kind == "":
		return "kind"
	}
	return ""
}

func (r *Release) fits(s Subject) bool {
	return s == Subject{ClaimKind: r.Kind, ClaimHash: r.Hash}
}

func (r *Release) id() string { return claimName(r.Kind, r.Hash) }

func (r *Release) appendJSON(o *jsonObject) { appendClaim(o, r.Kind, r.Hash) }

// claimName is the name of a claim outside the ledger, which no digest leaves.
func claimName(kind, hash string) string {
	if kind == TokenClaim {
		return kind
	}
	return kind + "." + hash
}

func appendClaim(o *jsonObject, kind, hash string) {
	o.text("kind", kind)
	if kind != TokenClaim {
		o.text("hash", hash)
	}
}
