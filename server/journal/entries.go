package journal

import "math/bits"

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

	tableMin  = 16   // slots the table starts with
	tableKeep = 8192 // slots, 32 KiB, up to which the table never shrinks

	// Sequences that differ in these low bits alone are neighbours in the table.
	runBits = 6
	runMask = 1<<runBits - 1

	// Sequences that differ above these bits are strangers in the table.
	farBits = 28
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

	table []uint32 // 0 is empty; the length is a power of two
	shift uint8    // 64 - log2(len(table))
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
	if 2*(e.n+1) > len(e.table) {
		e.resize(max(tableMin, 2*len(e.table)))
	}
	i := e.place(seq)
	if s := e.table[i]; s != 0 && e.get(s).seq == seq {
		return 0
	}
	slot := e.take()
	*e.get(slot) = entry{seq: seq}
	e.insert(i, slot)
	e.n++
	return slot
}

// find returns the slot of the entry for seq, 0 when there is none.
func (e *entries) find(seq uint64) uint32 {
	if e.n == 0 {
		return 0
	}
	mask := len(e.table) - 1
	for i := e.home(seq); ; i = (i + 1) & mask {
		slot := e.table[i]
		if slot == 0 || e.get(slot).seq == seq {
			return slot
		}
	}
}

// remove forgets the entry at slot, which must be in no list and no heap. It
// panics when nothing is there.
func (e *entries) remove(slot uint32) {
	it := e.get(slot)
	if slot == 0 || it.state == stateFree {
		panic("journal: the slot is free already")
	}
	e.unhash(slot, it.seq)
	e.give(slot)
	e.n--
	if len(e.table) > tableKeep && 8*e.n < len(e.table) {
		e.resize(len(e.table) / 2)
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

// home returns where seq belongs in the table. Runs of 64 consecutive
// sequences stay together, so that answers in order walk along cache lines.
// The runs are spread by multiplying with the golden ratio, which places
// consecutive ones evenly, so that they hardly ever overlap. The high bits,
// the same for 268 million messages, are mixed thoroughly, so that
// sequences far apart do not meet by their spacing.
func (e *entries) home(seq uint64) int {
	run, far := seq>>runBits, seq>>farBits
	far *= 0xff51afd7ed558ccd
	far = (far ^ far>>32) * 0xc4ceb9fe1a85ec53
	run = (run*0x9e3779b97f4a7c15 + far) >> e.shift
	return (int(run) + int(seq&runMask)) & (len(e.table) - 1)
}

// place returns where seq is in the table or, when it is not, where it is to
// be inserted. Slots that touch are in the order of their homes, so that
// forgetting one need not look beyond the first that is at home.
func (e *entries) place(seq uint64) int {
	mask := len(e.table) - 1
	i := e.home(seq)
	for far := 0; e.table[i] != 0; far++ {
		other := e.get(e.table[i]).seq
		if other == seq || (i-e.home(other))&mask < far {
			break
		}
		i = (i + 1) & mask
	}
	return i
}

// insert puts slot at index i of the table and moves what is there on.
func (e *entries) insert(i int, slot uint32) {
	for mask := len(e.table) - 1; slot != 0; i = (i + 1) & mask {
		e.table[i], slot = slot, e.table[i]
	}
}

// unhash takes the slot of seq out of the table. The slots behind it that are
// not at home move up instead of leaving a mark, so that lookups stay as short
// as the load allows however many entries have come and gone.
func (e *entries) unhash(slot uint32, seq uint64) {
	mask := len(e.table) - 1
	hole := e.home(seq)
	for e.table[hole] != slot {
		hole = (hole + 1) & mask
	}
	for {
		i := (hole + 1) & mask
		if e.table[i] == 0 || e.home(e.get(e.table[i]).seq) == i {
			break
		}
		e.table[hole] = e.table[i]
		hole = i
	}
	e.table[hole] = 0
}

// resize makes a table of size slots, a power of two, and fills it.
func (e *entries) resize(size int) {
	e.table = make([]uint32, size)
	e.shift = uint8(64 - bits.TrailingZeros(uint(size)))
	e.each(func(slot uint32) {
		e.insert(e.place(e.get(slot).seq), slot)
	})
}
