package journal

// firstItem returns the first index of chunk c that may hold an entry: slot 0
// means none.
func firstItem(c int) int {
	if c == 0 {
		return 1
	}
	return 0
}

// take returns a free slot. Chunks that are partly used come first, so that
// the others can be given back.
func (e *entries) take() uint32 {
	if e.chunks == nil {
		e.open.head, e.spare.head, e.gone.head = -1, -1, -1
	}
	i := e.open.head
	if i < 0 {
		i = e.openChunk()
	}
	c := &e.chunks[i]
	slot := c.free
	if slot != 0 {
		c.free = c.items[slot&chunkMask].next
	} else {
		if int(c.fresh) == len(c.items) { // only the first chunk grows
			c.items = append(make([]entry, 0, 2*len(c.items)), c.items...)
			c.items = c.items[:cap(c.items)]
		}
		slot = uint32(i)<<chunkBits | uint32(c.fresh)
		c.fresh++
	}
	c.used++
	if c.free == 0 && c.fresh == chunkLen {
		e.unlinkChunk(&e.open, i)
	}
	return slot
}

// give puts slot back on the free list of its chunk, and gives the chunk back
// when it was the last one in it and enough empty ones are kept already.
func (e *entries) give(slot uint32) {
	i := int32(slot >> chunkBits)
	c := &e.chunks[i]
	full := c.free == 0 && c.fresh == chunkLen
	c.items[slot&chunkMask] = entry{state: stateFree, next: c.free}
	c.free = slot
	c.used--
	if full {
		e.linkChunk(&e.open, i)
	}
	if c.used > 0 || i == 0 { // the first chunk stays: most cursors need no other
		return
	}
	e.unlinkChunk(&e.open, i)
	c.free, c.fresh = 0, 0
	if e.spare.n < chunkKeep {
		e.linkChunk(&e.spare, i)
		return
	}
	c.items = nil
	e.linkChunk(&e.gone, i)
}

// openChunk puts an empty chunk at the head of the open ones and returns it.
func (e *entries) openChunk() int32 {
	i := e.spare.head
	switch {
	case i >= 0:
		e.unlinkChunk(&e.spare, i)
	case e.gone.head >= 0:
		i = e.gone.head
		e.unlinkChunk(&e.gone, i)
		e.chunks[i].items = make([]entry, chunkLen)
	default:
		i = int32(len(e.chunks))
		size := chunkLen
		if i == 0 {
			size = chunkMin
		} else if i == 1<<(32-chunkBits)-1 {
			panic("journal: too many outstanding messages")
		}
		e.chunks = append(e.chunks, chunk{
			items: make([]entry, size),
			fresh: int32(firstItem(int(i))),
		})
	}
	e.linkChunk(&e.open, i)
	return i
}

// linkChunk puts chunk i at the head of l.
func (e *entries) linkChunk(l *chain, i int32) {
	e.chunks[i].prev, e.chunks[i].next = -1, l.head
	if l.head >= 0 {
		e.chunks[l.head].prev = i
	}
	l.head = i
	l.n++
}

// unlinkChunk takes chunk i out of l, in which it must be.
func (e *entries) unlinkChunk(l *chain, i int32) {
	c := &e.chunks[i]
	if c.prev >= 0 {
		e.chunks[c.prev].next = c.next
	} else {
		l.head = c.next
	}
	if c.next >= 0 {
		e.chunks[c.next].prev = c.prev
	}
	l.n--
}
