package writer

import "testing"

func TestRing_FirstInFirstOut(t *testing.T) {
	var r ring[*int]
	next, oldest := 0, 0
	push := func(n int) {
		for range n {
			v := next
			*r.push() = &v
			next++
		}
	}
	pop := func(n int) {
		t.Helper()
		for range n {
			if got := **r.at(0); got != oldest {
				t.Fatalf("got %d, want %d", got, oldest)
			}
			r.pop()
			oldest++
		}
	}
	// Around the end of the buffer, and through every growth.
	for size := 1; size < 3*ringKeep; size *= 3 {
		push(size)
		pop(size / 2)
		push(size)
		for i := range r.len() {
			if got := **r.at(i); got != oldest+i {
				t.Fatalf("element %d: got %d, want %d", i, got, oldest+i)
			}
		}
		pop(r.len())
		if len(r.buf) > ringKeep {
			t.Errorf("an empty ring keeps %d elements", len(r.buf))
		}
		for i := range r.buf {
			if r.buf[i] != nil {
				t.Fatal("what has left is kept alive")
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("pop from an empty ring did not panic")
		}
	}()
	r.pop()
}
