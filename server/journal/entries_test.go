package journal

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func TestEntry_Is48BytesWithoutPadding(t *testing.T) {
	if got := unsafe.Sizeof(entry{}); got != 48 {
		t.Errorf("an entry takes %d bytes, want 48", got)
	}
}

// Random adds, removes and lookups agree with a map, whatever the spacing of
// the sequences, and slots stay what they are while others come and go.
func TestEntries_AgreeWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e entries
		want := map[uint64]uint32{} // sequence to slot
		var order []uint64
		base := rapid.Uint64().Draw(t, "base")
		stride := uint64(1) << rapid.IntRange(0, 40).Draw(t, "stride")
		next := uint64(0)
		forget := func(i int) {
			seq := order[i]
			e.remove(want[seq])
			delete(want, seq)
			order = slices.Delete(order, i, i+1)
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				for range rapid.IntRange(1, 600).Draw(t, "adds") {
					seq := base + next*stride
					next++
					slot := e.add(seq)
					if slot == 0 {
						t.Fatalf("add(%d) returned slot 0", seq)
					}
					e.get(slot).pos = int64(seq)
					want[seq] = slot
					order = append(order, seq)
				}
			case 2:
				for range rapid.IntRange(0, len(order)).Draw(t, "oldest") {
					forget(0)
				}
			case 3:
				for range rapid.IntRange(0, min(200, len(order))).Draw(t, "any") {
					forget(rapid.IntRange(0, len(order)-1).Draw(t, "which"))
				}
			case 4:
				for len(order) > 1 && rapid.Bool().Draw(t, "newest") {
					forget(len(order) - 1)
				}
			}
			checkEntries(t, &e, want)
		}
		if got := e.find(base + next*stride); got != 0 {
			t.Fatalf("find of what was never added returned slot %d", got)
		}
		e.reset()
		checkEntries(t, &e, nil)
	})
}

// checkEntries compares e with the slots it should hold.
func checkEntries(t interface{ Fatalf(string, ...any) }, e *entries, want map[uint64]uint32) {
	if e.len() != len(want) {
		t.Fatalf("len() = %d, want %d", e.len(), len(want))
	}
	for seq, slot := range want {
		if got := e.find(seq); got != slot {
			t.Fatalf("find(%d) = slot %d, want %d", seq, got, slot)
		}
		if it := e.get(slot); it.seq != seq || it.pos != int64(seq) {
			t.Fatalf("slot %d holds sequence %d at %d, want %d", slot, it.seq, it.pos, seq)
		}
	}
	var slots []uint32
	e.each(func(slot uint32) { slots = append(slots, slot) })
	if !slices.IsSorted(slots) {
		t.Fatalf("each does not go in the order of the slab")
	}
	if all := slices.Sorted(maps.Values(want)); !slices.Equal(slots, all) {
		t.Fatalf("each visits %d slots, want %d", len(slots), len(all))
	}
	if 2*e.len() > len(e.table.cells) {
		t.Fatalf("%d entries in a table of %d", e.len(), len(e.table.cells))
	}
}

func TestEntries_EachMayRemove(t *testing.T) {
	for _, n := range []int{1, 10, 2000, 100_000} { // the last gives the slab back on the way out
		var e entries
		for i := range n {
			e.add(uint64(i))
		}
		e.each(func(slot uint32) {
			if e.get(slot).seq%2 == 0 {
				e.remove(slot)
			}
		})
		if e.len() != n/2 {
			t.Errorf("after removing the even ones of %d, %d are left", n, e.len())
		}
		e.each(e.remove)
		if e.len() != 0 {
			t.Errorf("after removing all of %d, %d are left", n, e.len())
		}
	}
}

func TestEntries_PanicOnMisuse(t *testing.T) {
	var e entries
	slot := e.add(7)
	mustPanic(t, "adding twice", func() { e.add(7) })
	e.remove(slot)
	mustPanic(t, "removing twice", func() { e.remove(slot) })
	mustPanic(t, "removing nobody's slot", func() { e.remove(0) })
	if e.add(7); e.len() != 1 {
		t.Errorf("len() = %d after the panics, want 1", e.len())
	}
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s does not panic", what)
		}
	}()
	f()
}

// probes returns how many places of the table a lookup visits, on average and
// at worst.
func probes(e *entries) (mean float64, worst int) {
	sum := 0
	e.each(func(slot uint32) {
		n := 1
		for i := e.table.home(e.get(slot).seq); e.table.cells[i] != slot; i = (i + 1) & (len(e.table.cells) - 1) {
			n++
		}
		sum += n
		worst = max(worst, n)
	})
	return float64(sum) / float64(e.len()), worst
}

// However the sequences lie, a lookup ends after a few steps.
func TestEntries_LookupsStayShort(t *testing.T) {
	const n = 100_000
	rng := rand.New(rand.NewPCG(1, 2))
	check := func(name string, limit float64, seq func(i int) uint64) {
		var e entries
		for i := range n {
			if s := seq(i); e.find(s) == 0 {
				e.add(s)
			}
			if 2*(i+1) == len(e.table.cells) && i > 1000 { // as full as it gets
				if mean, worst := probes(&e); mean >= limit {
					t.Errorf("%s, %d entries: %.2f steps on average, %d at worst, want below %v", name, i+1, mean, worst, limit)
				}
			}
		}
		mean, worst := probes(&e)
		t.Logf("%-16s %.3f on average, %d at worst", name, mean, worst)
		if mean >= limit {
			t.Errorf("%s: %.2f steps on average, %d at worst, want below %v", name, mean, worst, limit)
		}
	}
	topic := uint64(5) << 40
	check("dense", 2, func(i int) uint64 { return topic + uint64(i) })
	check("dense, far apart", 16, func(i int) uint64 { return 1<<(farBits+4) - 50_000 + uint64(i) })
	for _, k := range []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 22, 23, 24, 28, 32, 36, 40} {
		check(fmt.Sprintf("stride 2^%d", k), 4, func(i int) uint64 { return topic + uint64(i)<<k })
	}
	for _, k := range []uint64{3, 5, 63, 65, 100, 1000, 4097} {
		check(fmt.Sprintf("stride %d", k), 4, func(i int) uint64 { return topic + uint64(i)*k })
	}
	check("random", 4, func(int) uint64 { return rng.Uint64() })
	check("one in ten", 4, func(i int) uint64 { return topic + uint64(i)*10 + rng.Uint64N(10) })
	check("two topics", 4, func(i int) uint64 { return topic<<(i&1) + uint64(i) })
}

// A message that nobody answers does not hold the memory of those around it.
func TestEntries_GiveMemoryBack(t *testing.T) {
	var e entries
	var h dueHeap
	for i := range 200_000 {
		slot := e.add(uint64(i))
		e.get(slot).at = int64(i)
		h.push(&e, slot)
	}
	straggler := e.find(100_000)
	for slot := h.pop(&e); slot != 0; slot = h.pop(&e) {
		if slot != straggler {
			e.remove(slot)
		}
	}
	if got := held(&e, &h); got > 256<<10 {
		t.Errorf("one entry of what were 200,000 holds %d bytes", got)
	}
	if e.find(100_000) != straggler {
		t.Errorf("the entry that stayed has moved")
	}
	e.remove(straggler)
	if got := held(&e, &h); got > 64<<10 {
		t.Errorf("no entry of what were 200,000 holds %d bytes", got)
	}
	e.reset()
	if got := held(&e, new(dueHeap)); got != 0 {
		t.Errorf("after reset %d bytes are held", got)
	}
}

func TestEntries_SmallCursorsAreSmall(t *testing.T) {
	var e entries
	for i := range 7 {
		e.add(uint64(i))
	}
	if got := held(&e, new(dueHeap)); got > 512 {
		t.Errorf("seven entries hold %d bytes", got)
	}
}

// A deferred message costs its entry, its place in the table and its place in
// the heap.
func TestEntries_MillionDeferredCost64BytesEach(t *testing.T) {
	const n = 1_000_000
	var e entries
	var h dueHeap
	for i := range n {
		slot := e.add(1<<40 + uint64(i))
		e.get(slot).at = int64(i * 7919 % n)
		h.push(&e, slot)
	}
	got := float64(held(&e, &h)) / n
	t.Logf("%.1f bytes", got)
	if got > 64 {
		t.Errorf("a deferred message costs %.1f bytes, want 64 at most", got)
	}
}

// held returns the memory that e and h hold, in bytes.
func held(e *entries, h *dueHeap) int {
	n := 4*cap(e.table.cells) + 4*cap(e.rest.cells) + int(unsafe.Sizeof(chunk{}))*cap(e.chunks) + 4*cap(h.slots)
	for i := range e.chunks {
		n += int(unsafe.Sizeof(entry{})) * cap(e.chunks[i].items)
	}
	return n
}

func TestEntries_SteadyStateDoesNotAllocate(t *testing.T) {
	var e entries
	var l list
	seq := uint64(0)
	turn := func() {
		for range 1000 {
			slot := e.add(seq)
			e.pushBack(&l, slot)
			seq++
			if e.len() > 2500 {
				slot = e.find(seq - 2500)
				e.unlink(&l, slot)
				e.remove(slot)
			}
		}
	}
	for range 10 {
		turn()
	}
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("1000 messages delivered and finished cost %v allocations", n)
	}
	burst := func() { // from none to 1,000 outstanding and back
		for range 1000 {
			e.add(seq)
			seq++
		}
		for i := range uint64(1000) {
			e.remove(e.find(seq - 1000 + i))
		}
	}
	e.reset()
	burst()
	if n := testing.AllocsPerRun(100, burst); n != 0 {
		t.Errorf("a burst of 1000 messages costs %v allocations", n)
	}
}

func BenchmarkEntries_AddFindRemove(b *testing.B) {
	for _, depth := range []struct {
		name string
		n    uint64
	}{{"inflight=1", 1}, {"inflight=2500", 2500}, {"inflight=1M", 1_000_000}} {
		b.Run(depth.name, func(b *testing.B) {
			var e entries
			var l list
			for seq := range depth.n {
				e.pushBack(&l, e.add(seq))
			}
			seq := depth.n
			b.ReportAllocs()
			for b.Loop() {
				e.pushBack(&l, e.add(seq))
				slot := e.find(seq - depth.n)
				e.unlink(&l, slot)
				e.remove(slot)
				seq++
			}
		})
	}
}
