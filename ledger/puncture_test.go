package ledger

import (
	"testing"

	"pgregory.net/rapid"
)

// tree is a tree in memory, punctured as Personal does it.
type tree map[string]piece

func (t tree) leaf(w way) (node, bool) {
	for depth := range w {
		p, ok := t[string(w[:depth])]
		if !ok {
			return node{}, false
		}
		if n := p.find(w[depth]); n != nil {
			below := n.below(depth, w[depth])
			return below.leaf(w, depth+1), true
		}
	}
	return node{}, false
}

func (t tree) puncture(w way) {
	for depth := range w {
		p := t[string(w[:depth])]
		n := p.find(w[depth])
		if n == nil {
			continue
		}
		if depth+1 < len(w) {
			t[string(w[:depth+1])] = piece{{node: n.below(depth, w[depth])}}
		}
		t[string(w[:depth])] = p.puncture(depth, w[depth])
	}
}

func TestPuncturedLeavesAreGoneAndOthersStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root := node(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root"))
		near := rapid.SampledFrom([]byte{0, 1, 0x10, 0x11, 0xff})
		ways := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) way {
			return way(rapid.SliceOfN(rapid.OneOf(near, rapid.Byte()), 8, 8).Draw(t, "way"))
		}), 2, 40, rapid.ID).Draw(t, "ways")
		gone := rapid.IntRange(1, len(ways)-1).Draw(t, "gone")
		tree := tree{"": {{node: root}}}
		for _, w := range ways[:gone] {
			tree.puncture(w)
			tree.puncture(w) // again: nothing more
		}
		for i, w := range ways {
			got, ok := tree.leaf(w)
			if i < gone {
				if ok {
					t.Fatalf("the leaf of %x is still there", w)
				}
				continue
			}
			if want := root.leaf(w, 0); !ok || got != want {
				t.Fatalf("the leaf of %x is another: %v", w, ok)
			}
		}
		for prefix, p := range tree {
			if len(p) > 256 {
				t.Fatalf("the piece %x has %d branches", prefix, len(p))
			}
			again, err := parsePiece(p.append(nil))
			if err != nil || len(again) != len(p) {
				t.Fatalf("a piece of %d is read as %d: %v", len(p), len(again), err)
			}
			for i := range again {
				if again[i] != p[i] {
					t.Fatalf("branch %d is read as %v", i, again[i])
				}
			}
		}
	})
}

// TestNoStoredNodeLeadsToAPuncturedLeaf derives all that can be derived along the way.
func TestNoStoredNodeLeadsToAPuncturedLeaf(t *testing.T) {
	root, w := node{1}, wayOf("ledger.acme.~.~.x")
	onTheWay := map[node]bool{root: true}
	for depth, at := 0, root; depth < len(w); depth++ {
		for digits := range byte(2) {
			at = at.child(byte(2*depth)+digits+1, w[depth]>>(4-4*digits)&15)
			onTheWay[at] = true
		}
	}
	if len(onTheWay) != 17 || !onTheWay[root.leaf(w, 0)] {
		t.Fatalf("%d nodes on the way", len(onTheWay))
	}
	tree := tree{"": {{node: root}}}
	tree.puncture(w)
	for prefix, p := range tree {
		for _, n := range p {
			if onTheWay[n.node] {
				t.Errorf("the piece %x has a node on the way, %d digits down", prefix, n.digits)
			}
		}
	}
}

func FuzzParsePiece(f *testing.F) {
	f.Add(piece{{node: node{1}}}.append(nil))
	f.Add(piece{{node: node{1}}}.puncture(0, 0x37).append(nil))
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePiece(data)
		if err != nil {
			return
		}
		if again := p.append(nil); string(again) != string(data) {
			t.Fatalf("%x is read as %x", data, again)
		}
	})
}
