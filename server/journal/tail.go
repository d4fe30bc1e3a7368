package journal

import "sync"

// Sizes of tail blocks. A journal starts with a small one, so that ten
// thousand quiet topics stay cheap, and goes on with large ones.
const (
	smallBlock = 8 << 10
	largeBlock = 128 << 10

	// tailKeep is how many blocks of committed records stay in memory for
	// the cursors that keep up.
	tailKeep = 2

	// blocksKept bounds the free list.
	blocksKept = 64
)

// Blocks is a free list of tail blocks, shared by the journals of a server. The
// zero value is ready to use. It is safe for concurrent use, because journals
// are opened and closed side by side; the lock is taken once per block, not per
// message.
type Blocks struct {
	mu           sync.Mutex
	small, large [][]byte
}

// take returns an empty block with room for n bytes.
func (p *Blocks) take(n int, large bool) []byte {
	if n > largeBlock {
		return make([]byte, 0, n) // a block for one record
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	free, size := &p.small, smallBlock
	if large || n > smallBlock {
		free, size = &p.large, largeBlock
	}
	if last := len(*free) - 1; last >= 0 {
		b := (*free)[last]
		*free = (*free)[:last]
		return b
	}
	return make([]byte, 0, size)
}

// give takes a block back.
func (p *Blocks) give(b []byte) {
	free := &p.small
	switch cap(b) {
	case smallBlock:
	case largeBlock:
		free = &p.large
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(*free) < blocksKept {
		*free = append(*free, b[:0])
	}
}

// block holds the records from position start on.
type block struct {
	start int64
	buf   []byte
}

func (b *block) end() int64 { return b.start + int64(len(b.buf)) }

// reserve makes room for a record of n bytes at the journal's very end.
func (j *Journal) reserve(n int) []byte {
	last := len(j.blocks) - 1
	if last < 0 || cap(j.blocks[last].buf)-len(j.blocks[last].buf) < n {
		j.blocks = append(j.blocks, block{start: j.tail.pos, buf: j.pool.take(n, last >= 0 || j.busy)})
		last++
	}
	b := &j.blocks[last]
	at := len(b.buf)
	b.buf = b.buf[:at+n]
	return b.buf[at:]
}

// inMemory returns the bytes from pos to the end of its block, nil when pos
// is only in the file.
func (j *Journal) inMemory(pos int64) []byte {
	for i := len(j.blocks) - 1; i >= 0; i-- {
		if b := &j.blocks[i]; pos >= b.start {
			if pos >= b.end() {
				return nil
			}
			return b.buf[pos-b.start:]
		}
	}
	return nil
}

// trim gives back the blocks that nobody is about to read: all but the last
// few committed ones, or all of them when every cursor has caught up, or there is
// none.
func (j *Journal) trim() {
	keep := tailKeep
	if j.behind == 0 && j.follows() || len(j.cursors) == 0 {
		keep = 0
	}
	j.dropBlocks(j.end.pos, keep)
}

// dropBlocks gives back the blocks that end before a position, but for the last
// keep.
func (j *Journal) dropBlocks(pos int64, keep int) {
	n := 0
	for n < len(j.blocks)-keep && j.blocks[n].end() <= pos {
		j.pool.give(j.blocks[n].buf)
		n++
	}
	if n > 0 {
		left := copy(j.blocks, j.blocks[n:])
		clear(j.blocks[left:])
		j.blocks = j.blocks[:left]
	}
}

// cutTail forgets what was appended and not committed.
func (j *Journal) cutTail() {
	for last := len(j.blocks) - 1; last >= 0; last-- {
		b := &j.blocks[last]
		if b.end() <= j.end.pos {
			break
		}
		if b.start < j.end.pos {
			b.buf = b.buf[:j.end.pos-b.start]
			break
		}
		j.pool.give(b.buf)
		*b = block{}
		j.blocks = j.blocks[:last]
	}
}
