package journal

// list is a queue of entries, linked through their prev and next, so that an
// entry is added at either end and taken out of the middle in constant time
// and without memory of its own. An entry is in one list or heap at most.
type list struct {
	head, tail uint32 // 0 when empty
	n          int
}

// pushBack puts slot at the end of l.
func (e *entries) pushBack(l *list, slot uint32) {
	it := e.get(slot)
	it.prev, it.next = l.tail, 0
	if l.tail != 0 {
		e.get(l.tail).next = slot
	} else {
		l.head = slot
	}
	l.tail = slot
	l.n++
}

// unlink takes slot out of l, in which it must be.
func (e *entries) unlink(l *list, slot uint32) {
	it := e.get(slot)
	if it.prev != 0 {
		e.get(it.prev).next = it.next
	} else {
		l.head = it.next
	}
	if it.next != 0 {
		e.get(it.next).prev = it.prev
	} else {
		l.tail = it.prev
	}
	it.prev, it.next = 0, 0
	l.n--
}

// heapKeep is how many slots a heap keeps room for when it empties.
const heapKeep = 1024

// dueHeap orders entries by at, those of the same instant by sequence. It is a
// heap of four children per node, which is half as deep as a binary one and
// compares neighbours in memory. Every entry in it knows its index, in next,
// so that it can be taken out of the middle.
type dueHeap struct {
	slots []uint32
}

// len returns the number of entries in the heap.
func (h *dueHeap) len() int { return len(h.slots) }

// min returns the slot of the earliest entry, 0 when the heap is empty.
func (h *dueHeap) min() uint32 {
	if len(h.slots) == 0 {
		return 0
	}
	return h.slots[0]
}

// push adds slot. Its at must not change while it is in the heap.
func (h *dueHeap) push(e *entries, slot uint32) {
	h.slots = append(h.slots, slot)
	h.up(e, len(h.slots)-1, slot)
}

// pop takes out the slot of the earliest entry and returns it, 0 when the heap
// is empty.
func (h *dueHeap) pop(e *entries) uint32 {
	slot := h.min()
	if slot != 0 {
		h.remove(e, slot)
	}
	return slot
}

// remove takes slot out of the heap. It panics when it is not in it.
func (h *dueHeap) remove(e *entries, slot uint32) {
	i := int(e.get(slot).next)
	if i >= len(h.slots) || h.slots[i] != slot {
		panic("journal: the message is not in the heap")
	}
	e.get(slot).next = 0
	end := len(h.slots) - 1
	last := h.slots[end]
	h.slots = h.slots[:end]
	if last != slot {
		h.down(e, i, last)
		if h.slots[i] == last {
			h.up(e, i, last)
		}
	}
	if c := cap(h.slots); c > heapKeep && 4*end < c {
		h.slots = append(make([]uint32, 0, c/2), h.slots...)
	}
}

// up puts slot at index i or, when it is earlier, nearer to the root.
func (h *dueHeap) up(e *entries, i int, slot uint32) {
	it := e.get(slot)
	for i > 0 {
		parent := (i - 1) / 4
		p := e.get(h.slots[parent])
		if !it.earlier(p) {
			break
		}
		h.slots[i] = h.slots[parent]
		p.next = uint32(i)
		i = parent
	}
	h.slots[i] = slot
	it.next = uint32(i)
}

// down puts slot at index i or, when a child is earlier, farther from the root.
func (h *dueHeap) down(e *entries, i int, slot uint32) {
	it := e.get(slot)
	for {
		first := 4*i + 1
		if first >= len(h.slots) {
			break
		}
		child, c := first, e.get(h.slots[first])
		for j := first + 1; j < min(first+4, len(h.slots)); j++ {
			if s := e.get(h.slots[j]); s.earlier(c) {
				child, c = j, s
			}
		}
		if !c.earlier(it) {
			break
		}
		h.slots[i] = h.slots[child]
		c.next = uint32(i)
		i = child
	}
	h.slots[i] = slot
	it.next = uint32(i)
}

// earlier reports whether it is to be taken out before other.
func (it *entry) earlier(other *entry) bool {
	return it.at < other.at || it.at == other.at && it.seq < other.seq
}
