package cuda

import "math/bits"

// tree holds free blocks in the order of size and address. It is a treap whose
// priorities are hashes of the addresses: its shape depends on what it holds alone,
// and its nodes are the blocks.
type tree struct{ root *block }

func (b *block) before(c *block) bool {
	return b.size < c.size || b.size == c.size && b.addr < c.addr
}

func (b *block) priority() uint64 { return bits.Reverse64(b.addr / granule * 0x9E3779B97F4A7C15) }

// atLeast is the smallest block of size bytes or more, nil for none.
func (t *tree) atLeast(size int64) *block {
	var best *block
	for n := t.root; n != nil; {
		if n.size >= size {
			best, n = n, n.left
		} else {
			n = n.right
		}
	}
	return best
}

func (t *tree) insert(b *block) {
	at, priority := &t.root, b.priority()
	for *at != nil && (*at).priority() > priority {
		at = (*at).child(b)
	}
	b.left, b.right = split(*at, b)
	*at = b
}

// remove takes out b, which t has.
func (t *tree) remove(b *block) {
	at := &t.root
	for *at != b {
		at = (*at).child(b)
	}
	*at = join(b.left, b.right)
	b.left, b.right = nil, nil
}

// child is the side of b on which c stands.
func (b *block) child(c *block) **block {
	if c.before(b) {
		return &b.left
	}
	return &b.right
}

// split parts t into what stands before b and after it.
func split(t, b *block) (before, after *block) {
	left, right := &before, &after
	for t != nil {
		if t.before(b) {
			*left = t
			left, t = &t.right, t.right
		} else {
			*right = t
			right, t = &t.left, t.left
		}
	}
	*left, *right = nil, nil
	return before, after
}

// join is the tree of two, of which the first stands before the second.
func join(left, right *block) (t *block) {
	at := &t
	for left != nil && right != nil {
		if left.priority() > right.priority() {
			*at = left
			at, left = &left.right, left.right
		} else {
			*at = right
			at, right = &right.left, right.left
		}
	}
	if left == nil {
		left = right
	}
	*at = left
	return t
}
