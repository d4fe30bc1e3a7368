package journal

// The states of an entry.
const (
	stateNone     uint8 = iota // just added: in no list and no heap
	stateInFlight              // delivered, and neither answered nor timed out
	stateDeferred              // not to be delivered before its due time
	stateWaiting               // requeued or released: to be delivered again
	stateFree     uint8 = 255  // not an entry: on the free list of its chunk
)

const (
	chunkBits = 9
	chunkLen  = 1 << chunkBits // entries in a whole chunk, 24 KiB
	chunkMask = chunkLen - 1
	chunkMin  = 8  // entries the first chunk starts with
	chunkKeep = 2  // chunks that stay although nothing is in them
	chunkMany = 64 // chunks beyond which emptiness gives everything back
)

// entry is one outstanding message of a cursor: 48 bytes without a pointer, so
// that the garbage collector does not look at millions of them.
type entry struct {
	seq      uint64
	pos      int64  // where its record stands
	at       int64  // in flight: its deadline; deferred: when it is due
	since    int64  // in flight: when it was delivered, which caps touch
	owner    uint32 // in flight: who has it
	prev     uint32 // in a list: the slot before it
	next     uint32 // in a list: the slot after it; in a heap: its index there
	attempts uint16
	state    uint8
	queue    uint8 // in flight: which list of equal timeouts; 255 is the heap
}

// chunk is a stretch of the slab. Its slots below fresh have been used, and
// those of them that are free again form a list through entry.next.
type chunk struct {
	items      []entry
	free       uint32 // first free slot; 0 is none
	fresh      int32  // items from here on have never been used
	used       int32  // entries in it
	prev, next int32  // neighbours in the chain it is in; -1 is none
}

// chain is a list of chunks by index.
type chain struct {
	head int32 // -1 when empty
	n    int32
}

// entries holds the outstanding messages of a cursor. An entry is addressed by
// its slot, which it keeps until it is removed; slot 0 is nobody's. A message
// is found by its sequence in a hash table of slots.
//
// Both parts grow and shrink with what they hold. The slab consists of chunks,
// and a chunk without an entry is given back, so that one message nobody
// answers does not hold the memory of the million around it. Adding and
// removing allocate only when the number of entries leaves the range it has
// been in.
//
// The zero value is ready. It is not safe for concurrent use.
type entries struct {
	n      int
	chunks []chunk
	open   chain // chunks with an entry and with room
	spare  chain // chunks without an entry, kept for the next burst
	gone   chain // indexes whose memory was given back

	table table
	rest  moving
}

// len returns the number of entries.
func (e *entries) len() int { return e.n }

// add makes an entry for seq, with stateNone and all other fields zero, and
// returns its slot. It panics when seq has an entry already.
func (e *entries) add(seq uint64) uint32 {
	slot := e.tryAdd(seq)
	if slot == 0 {
		panic("journal: the message is outstanding already")
	}
	return slot
}

// tryAdd is add for a sequence that may have an entry: then it returns 0.
func (e *entries) tryAdd(seq uint64) uint32 {
	if e.rest.left > 0 {
		e.move()
	}
	if 2*(e.n+1) > len(e.table.cells) {
		e.resize(max(tableMin, 2*len(e.table.cells)))
	}
	i := e.place(&e.table, seq)
	if s := e.table.cells[i]; s != 0 && e.get(s).seq == seq {
		return 0
	}
	if e.rest.left > 0 && e.look(&e.rest.table, seq) != 0 {
		return 0
	}
	slot := e.take()
	*e.get(slot) = entry{seq: seq}
	e.table.insert(i, slot)
	e.n++
	return slot
}

// find returns the slot of the entry for seq, 0 when there is none.
func (e *entries) find(seq uint64) uint32 {
	if e.n == 0 {
		return 0
	}
	slot := e.look(&e.table, seq)
	if slot == 0 && e.rest.left > 0 {
		slot = e.look(&e.rest.table, seq)
	}
	return slot
}

// remove forgets the entry at slot, which must be in no list and no heap. It
// panics when nothing is there.
func (e *entries) remove(slot uint32) {
	it := e.get(slot)
	if slot == 0 || it.state == stateFree {
		panic("journal: the slot is free already")
	}
	if e.rest.left > 0 {
		e.move()
	}
	if !e.unhash(&e.table, slot, it.seq) {
		e.unhash(&e.rest.table, slot, it.seq)
	}
	e.give(slot)
	e.n--
	if size := len(e.table.cells); size > tableKeep && 8*e.n < size {
		e.resize(size / 2)
	}
	if e.n == 0 && len(e.chunks) > chunkMany {
		e.reset()
	}
}

// get returns the entry at slot. It is valid until the next add.
func (e *entries) get(slot uint32) *entry {
	return &e.chunks[slot>>chunkBits].items[slot&chunkMask]
}

// at returns the entry at any number, nil when it is no slot in use.
func (e *entries) at(slot uint32) *entry {
	c, i := int(slot>>chunkBits), int(slot&chunkMask)
	if c >= len(e.chunks) || i < firstItem(c) || i >= int(e.chunks[c].fresh) {
		return nil
	}
	if it := &e.chunks[c].items[i]; it.state != stateFree {
		return it
	}
	return nil
}

// reset forgets all entries and gives their memory back.
func (e *entries) reset() { *e = entries{} }

// each calls f with every slot in use, in the order of the slab, which depends
// only on the history of adds and removes. f may remove the slot it is given
// but must not add.
func (e *entries) each(f func(slot uint32)) {
	for c := 0; c < len(e.chunks); c++ {
		for i := firstItem(c); i < int(e.chunks[c].fresh); i++ {
			if e.chunks[c].items[i].state != stateFree {
				f(uint32(c<<chunkBits | i))
			}
			if c >= len(e.chunks) { // f removed the last entry of all
				return
			}
		}
	}
}
