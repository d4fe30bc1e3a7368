package core

import (
	"math/bits"
	"sync"
)

// Sizes of the buffers that are kept for reuse.
const (
	smallBuffer  = 4 << 10
	largeBuffer  = 64 << 10
	scratchLimit = 1 << 20

	keepInput   = 32 // of each size
	keepScratch = 8

	// Beyond largeBuffer there is a size for each power of two, up to this:
	// room for the longest command that peers may send by NSQ's defaults, and
	// what comes with it. What is larger still is left to the garbage collector.
	hugeMost  = 16 << 20
	hugeSizes = 8 // 128 KiB to 16 MiB
)

// buffers are free lists of one loop. Idle streams own no buffer at all: what
// they need for a turn, or for the rest of a frame, they take from here.
type buffers struct {
	small, large, scratches [][]byte

	// huge are by size. A few of them are as much as all others together: so
	// the garbage collector takes those away that were not needed for a while.
	huge [hugeSizes]sync.Pool
}

// hugeBuffer is what lies in a pool.
type hugeBuffer struct{ b []byte }

// scratch returns an empty buffer for output, or for what a layer makes.
func (b *buffers) scratch() []byte {
	if n := len(b.scratches); n > 0 {
		buf := b.scratches[n-1]
		b.scratches = b.scratches[:n-1]
		return buf
	}
	return make([]byte, 0, smallBuffer)
}

// putScratch takes a buffer back. It may have grown since; a huge one is left
// to the garbage collector.
func (b *buffers) putScratch(buf []byte) {
	if cap(buf) < smallBuffer || cap(buf) > scratchLimit || len(b.scratches) == keepScratch {
		return
	}
	b.scratches = append(b.scratches, buf[:0])
}

// input returns an empty buffer for at least n bytes of unconsumed input.
func (b *buffers) input(n int) []byte {
	switch {
	case n <= smallBuffer:
		return pop(&b.small, smallBuffer)
	case n <= largeBuffer:
		return pop(&b.large, largeBuffer)
	case n > hugeMost:
		return make([]byte, 0, n)
	}
	i := hugeSize(n)
	if h, ok := b.huge[i].Get().(*hugeBuffer); ok {
		return h.b
	}
	return make([]byte, 0, 2*largeBuffer<<i)
}

func (b *buffers) putInput(buf []byte) {
	switch n := cap(buf); {
	case n == smallBuffer:
		push(&b.small, buf)
	case n == largeBuffer:
		push(&b.large, buf)
	case n > largeBuffer && n <= hugeMost && n&(n-1) == 0:
		b.huge[hugeSize(n)].Put(&hugeBuffer{buf[:0]})
	}
}

// hugeSize is the place in huge of the buffers that have room for n bytes.
func hugeSize(n int) int { return bits.Len(uint(n-1) / (2 * largeBuffer)) }

func pop(list *[][]byte, size int) []byte {
	if n := len(*list); n > 0 {
		buf := (*list)[n-1]
		*list = (*list)[:n-1]
		return buf
	}
	return make([]byte, 0, size)
}

func push(list *[][]byte, buf []byte) {
	if len(*list) < keepInput {
		*list = append(*list, buf[:0])
	}
}
