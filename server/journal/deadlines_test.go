package journal

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestList_AgreesWithASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e entries
		var l list
		var want []uint32
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch step := rapid.IntRange(1, 3).Draw(t, "step"); {
			case step == 1 || len(want) == 0:
				slot := e.add(uint64(e.len()))
				e.pushBack(&l, slot)
				want = append(want, slot)
			default: // taken out here, put back at the end as a requeued message is
				i := rapid.IntRange(0, len(want)-1).Draw(t, "which")
				slot := want[i]
				e.unlink(&l, slot)
				want = slices.Delete(want, i, i+1)
				if step == 3 {
					e.pushBack(&l, slot)
					want = append(want, slot)
				}
			}
			var forth, back []uint32
			for slot := l.head; slot != 0; slot = e.get(slot).next {
				forth = append(forth, slot)
			}
			for slot := l.tail; slot != 0; slot = e.get(slot).prev {
				back = append(back, slot)
			}
			slices.Reverse(back)
			if !slices.Equal(forth, want) || !slices.Equal(back, want) || l.n != len(want) {
				t.Fatalf("the list is %v from its head, %v from its tail, of length %d, want %v", forth, back, l.n, want)
			}
		}
	})
}

func TestDueHeap_AgreesWithSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e entries
		var h dueHeap
		var want []uint32
		byDue := func(a, b uint32) int {
			x, y := e.get(a), e.get(b)
			return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.seq, y.seq))
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "step") > 0 || len(want) == 0 {
				slot := e.add(uint64(e.len())<<20 | uint64(rapid.IntRange(0, 1<<19).Draw(t, "seq")))
				e.get(slot).at = int64(rapid.IntRange(-5, 5).Draw(t, "at"))
				h.push(&e, slot)
				want = append(want, slot)
				slices.SortFunc(want, byDue)
			} else {
				i := rapid.IntRange(0, len(want)-1).Draw(t, "which")
				h.remove(&e, want[i])
				want = slices.Delete(want, i, i+1)
			}
			if h.len() != len(want) {
				t.Fatalf("len() = %d, want %d", h.len(), len(want))
			}
			for i, slot := range h.slots {
				if e.get(slot).next != uint32(i) {
					t.Fatalf("slot %d stands at %d and believes it is at %d", slot, i, e.get(slot).next)
				}
			}
			if len(want) > 0 && h.min() != want[0] {
				t.Fatalf("min() = slot %d, want %d", h.min(), want[0])
			}
		}
		for _, slot := range want {
			if got := h.pop(&e); got != slot {
				t.Fatalf("pop() = slot %d, want %d", got, slot)
			}
		}
		if h.pop(&e) != 0 || h.min() != 0 {
			t.Fatalf("an empty heap has an earliest entry")
		}
	})
}

func TestDueHeap_PanicsOnAStranger(t *testing.T) {
	var e entries
	var h dueHeap
	a, b := e.add(1), e.add(2)
	mustPanic(t, "removing from an empty heap", func() { h.remove(&e, a) })
	h.push(&e, a)
	mustPanic(t, "removing what is not in the heap", func() { h.remove(&e, b) })
	if h.pop(&e) != a {
		t.Errorf("the entry in the heap is gone")
	}
}

func TestDueHeap_SteadyStateDoesNotAllocate(t *testing.T) {
	e, h, rng := fullHeap(5000)
	n := testing.AllocsPerRun(1000, func() {
		slot := h.pop(e)
		e.get(slot).at += rng.Int64N(1000)
		h.push(e, slot)
	})
	if n != 0 {
		t.Errorf("a message taken out and put back costs %v allocations", n)
	}
}

func BenchmarkDueHeap_PopPush(b *testing.B) {
	for _, depth := range []struct {
		name string
		n    int
	}{{"deferred=1000", 1000}, {"deferred=1M", 1_000_000}} {
		b.Run(depth.name, func(b *testing.B) {
			e, h, rng := fullHeap(depth.n)
			b.ReportAllocs()
			for b.Loop() {
				slot := h.pop(e)
				e.get(slot).at += rng.Int64N(1000)
				h.push(e, slot)
			}
		})
	}
}

// fullHeap returns a heap of n entries due at random times.
func fullHeap(n int) (*entries, *dueHeap, *rand.Rand) {
	e, h, rng := new(entries), new(dueHeap), rand.New(rand.NewPCG(3, 4))
	for i := range n {
		slot := e.add(uint64(i))
		e.get(slot).at = rng.Int64N(1000)
		h.push(e, slot)
	}
	return e, h, rng
}
