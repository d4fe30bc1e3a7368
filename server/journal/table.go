package journal

import "math/bits"

const (
	tableMin  = 16   // slots a table starts with
	tableKeep = 8192 // slots, 32 KiB, up to which it never shrinks, and is replaced in one go

	// Sequences that differ in these low bits alone are neighbours in a table.
	runBits = 6
	runMask = 1<<runBits - 1

	// Sequences that differ above these bits are strangers in a table.
	farBits = 28

	// moveStep is how many slots of a table that is being replaced are looked
	// at with each message that is added or removed. Of the many more that
	// come or go before the next replacement a few would do.
	moveStep = 64
)

// table is a hash table of slots: where the entry of a sequence is.
type table struct {
	cells []uint32 // 0 is empty; the length is a power of two
	shift uint8    // 64 - log2(len(cells))
}

// moving is what is left of a table that is being replaced by a larger or smaller
// one. With a million entries that takes 15 ms, which nobody is to wait for at
// once. What is new goes into the new table; the rest moves bit by bit, from one
// empty cell to another, so that nothing that stays is cut off from its home.
type moving struct {
	table
	at   int // the next cell to be moved
	left int // cells to be moved
}

func newTable(size int) table {
	return table{make([]uint32, size), uint8(64 - bits.TrailingZeros(uint(size)))}
}

// home returns where seq belongs in the table. Runs of 64 consecutive
// sequences stay together, so that answers in order walk along cache lines.
// The runs are spread by multiplying with the golden ratio, which places
// consecutive ones evenly, so that they hardly ever overlap. The high bits,
// the same for 268 million messages, are mixed thoroughly, so that
// sequences far apart do not meet by their spacing.
func (t *table) home(seq uint64) int {
	run, far := seq>>runBits, seq>>farBits
	far *= 0xff51afd7ed558ccd
	far = (far ^ far>>32) * 0xc4ceb9fe1a85ec53
	run = (run*0x9e3779b97f4a7c15 + far) >> t.shift
	return (int(run) + int(seq&runMask)) & (len(t.cells) - 1)
}

// insert puts slot at index i and moves what is there on.
func (t *table) insert(i int, slot uint32) {
	for mask := len(t.cells) - 1; slot != 0; i = (i + 1) & mask {
		t.cells[i], slot = slot, t.cells[i]
	}
}

// look returns the slot of seq in a table, 0 when it is not in it.
func (e *entries) look(t *table, seq uint64) uint32 {
	mask := len(t.cells) - 1
	for i := t.home(seq); ; i = (i + 1) & mask {
		slot := t.cells[i]
		if slot == 0 || e.get(slot).seq == seq {
			return slot
		}
	}
}

// place returns where seq is in a table or, when it is not, where it is to
// be inserted. Slots that touch are in the order of their homes, so that
// forgetting one need not look beyond the first that is at home.
func (e *entries) place(t *table, seq uint64) int {
	mask := len(t.cells) - 1
	i := t.home(seq)
	for far := 0; t.cells[i] != 0; far++ {
		other := e.get(t.cells[i]).seq
		if other == seq || (i-t.home(other))&mask < far {
			break
		}
		i = (i + 1) & mask
	}
	return i
}

// unhash takes the slot of seq out of a table; it is false when it is not in it.
// The slots behind it that are not at home move up instead of leaving a mark, so
// that lookups stay as short as the load allows however many entries have come
// and gone.
func (e *entries) unhash(t *table, slot uint32, seq uint64) bool {
	mask := len(t.cells) - 1
	hole := t.home(seq)
	for t.cells[hole] != slot {
		if t.cells[hole] == 0 {
			return false
		}
		hole = (hole + 1) & mask
	}
	for {
		i := (hole + 1) & mask
		if t.cells[i] == 0 || t.home(e.get(t.cells[i]).seq) == i {
			break
		}
		t.cells[hole] = t.cells[i]
		hole = i
	}
	t.cells[hole] = 0
	return true
}

// resize has a table of size slots, a power of two, take the place of the present
// one: a small one at once, a large one while messages come and go.
func (e *entries) resize(size int) {
	for e.rest.left > 0 {
		e.move() // not reached: it is done long before
	}
	e.rest = moving{table: e.table, left: len(e.table.cells)}
	e.table = newTable(size)
	if e.rest.left == 0 {
		return
	}
	for e.rest.cells[e.rest.at] != 0 { // half of them are empty, or more
		e.rest.at++
	}
	for e.rest.left > 0 && len(e.rest.cells) <= tableKeep {
		e.move()
	}
}

// move moves some of what is left of a table that is being replaced.
func (e *entries) move() {
	r := &e.rest
	for looked := 0; r.left > 0; looked++ {
		slot := r.cells[r.at]
		if slot == 0 && looked >= moveStep {
			return
		}
		if slot != 0 {
			r.cells[r.at] = 0
			e.table.insert(e.place(&e.table, e.get(slot).seq), slot)
		}
		r.at = (r.at + 1) & (len(r.cells) - 1)
		if r.left--; r.left == 0 {
			*r = moving{}
		}
	}
}
