package ledger

import (
	"crypto/sha256"
	"errors"
)

// The secrets of all that a workspace has follow from one secret, so that none has to be stored when a key is made; and
// yet the secret of one of them can be destroyed alone. They are the leaves of a tree in which each node follows from
// the one above it by a hash (the pseudorandom functions of Goldreich, Goldwasser and Micali, 1986): with 16 branches and
// 16 levels, as many as the first 64 bits of the SHA-256 of a name have hex digits. To destroy a leaf is to replace
// its nearest stored ancestor by the siblings of the way down to it (a puncture).
//
// The stored nodes are kept in pieces, so that none is large however many leaves are destroyed: a piece has those of two
// levels, at most 256. A way through the tree is eight bytes, and passes one piece a byte.

// node is a secret of the tree.
type node [sha256.Size]byte

// way is the way from the top of the tree to a leaf. Its n-th byte leads through the piece at the depth n, from 0 on.
type way [8]byte

// wayOf is the way to the leaf of a name.
func wayOf(name string) way {
	sum := sha256.Sum256([]byte(name))
	return way(sum[:len(way{})])
}

// child is a node one level below: digit is the branch, level that of the child, from 1 to 16.
func (n *node) child(level, digit byte) node {
	var in [len(n) + 2]byte
	copy(in[:], n[:])
	in[len(n)], in[len(n)+1] = level, digit
	return sha256.Sum256(in[:])
}

// piece is a part of the tree: nodes of two levels below one, or that one itself.
type piece []branch

// branch is a stored node. Digits is how many hex digits below the top of the piece it is, 0 to 2, at the end of at.
type branch struct {
	digits, at byte
	node       node
}

// covers tells whether the leaves behind the byte b are below the branch.
func (n *branch) covers(b byte) bool { return n.at == b>>(8-4*n.digits) }

// find returns what leads to the leaves behind the byte b, nil when that was destroyed.
func (p piece) find(b byte) *branch {
	for i := range p {
		if p[i].covers(b) {
			return &p[i]
		}
	}
	return nil
}

// below is the node two levels below the top of a piece at a depth, behind the byte b, that follows from a branch.
func (n *branch) below(depth int, b byte) node {
	at := n.node
	for digits := n.digits; digits < 2; digits++ {
		at = at.child(byte(2*depth)+digits+1, b>>(4-4*digits)&15)
	}
	return at
}

// puncture is the piece without what leads to the leaves behind the byte b.
func (p piece) puncture(depth int, b byte) piece {
	var rest piece
	for _, n := range p {
		if !n.covers(b) {
			rest = append(rest, n)
			continue
		}
		for n.digits < 2 {
			next := b >> (4 - 4*n.digits)
			for digit := range byte(16) {
				at := n.at<<4 | digit
				if at != next {
					rest = append(rest, branch{n.digits + 1, at, n.node.child(byte(2*depth)+n.digits+1, digit)})
				}
			}
			n = branch{n.digits + 1, next, n.node.child(byte(2*depth)+n.digits+1, next&15)}
		}
	}
	return rest
}

// leaf is the leaf at the end of a way, of which the node at a depth is known.
func (n *node) leaf(w way, depth int) node {
	at := *n
	for ; depth < len(w); depth++ {
		at = (&branch{node: at}).below(depth, w[depth])
	}
	return at
}

const branchSize = 2 + len(node{})

// append appends the stored form of a piece: digits, at and node of each branch.
func (p piece) append(dst []byte) []byte {
	for _, n := range p {
		dst = append(append(dst, n.digits, n.at), n.node[:]...)
	}
	return dst
}

func parsePiece(data []byte) (p piece, err error) {
	if len(data)%branchSize != 0 {
		return nil, errors.New("ledger: a piece of a tree is cut short")
	}
	for ; len(data) > 0; data = data[branchSize:] {
		n := branch{digits: data[0], at: data[1], node: node(data[2:branchSize])}
		if n.digits > 2 {
			return nil, errors.New("ledger: a piece of a tree is damaged")
		}
		p = append(p, n)
	}
	return p, nil
}
