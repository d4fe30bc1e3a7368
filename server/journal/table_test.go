package journal

import (
	"math/rand/v2"
	"testing"
)

// A table of many messages is replaced bit by bit, while they come, go and are
// looked for: no message that is added or removed has to wait for all the others.
func TestTable_IsReplacedBitByBit(t *testing.T) {
	const most = moveStep + 2048 // up to the next empty cell: runs are of 64, and some stand side by side
	rng := rand.New(rand.NewPCG(1, 2))
	var e entries
	want := make(map[uint64]uint32)
	var seqs []uint64
	replaced, moving := 0, 0
	step := func(op func()) {
		size, left := len(e.table.cells), e.rest.left
		op()
		switch now := e.rest.left; {
		case len(e.table.cells) != size && size > tableKeep:
			replaced++
			if left > 0 {
				t.Fatalf("%d cells of the table before were left when one of %d was replaced", left, size)
			}
		case left > 0:
			moving++
			if left-now > most || now >= left {
				t.Fatalf("%d cells were moved at once, want 1 to %d", left-now, most)
			}
		}
	}
	add := func(seq uint64) {
		step(func() { want[seq] = e.add(seq) })
		e.get(want[seq]).pos = int64(seq)
		seqs = append(seqs, seq)
	}
	remove := func() {
		i := rng.IntN(len(seqs))
		seq := seqs[i]
		step(func() { e.remove(want[seq]) })
		delete(want, seq)
		seqs[i] = seqs[len(seqs)-1]
		seqs = seqs[:len(seqs)-1]
	}
	next := uint64(1) << 40
	for len(seqs) < 60_000 {
		for range rng.IntN(100) {
			next += uint64(1 + rng.IntN(3)/2)
			add(next)
		}
		if len(seqs) > 100 {
			for range rng.IntN(30) {
				remove()
			}
			known := seqs[rng.IntN(len(seqs))]
			if e.find(known) != want[known] || e.tryAdd(known) != 0 || e.find(next+1) != 0 {
				t.Fatalf("%d messages, %d cells left: %d is not found, or found twice", len(seqs), e.rest.left, known)
			}
		}
		if rng.IntN(20) == 0 {
			checkEntries(t, &e, want)
		}
	}
	for len(seqs) > 0 {
		remove()
		if rng.IntN(1000) == 0 {
			checkEntries(t, &e, want)
		}
	}
	if replaced < 6 || moving < 1000 {
		t.Errorf("%d tables were replaced in %d steps", replaced, moving)
	}
}
