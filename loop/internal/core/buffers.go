package core

// Sizes of the buffers that are kept for reuse.
const (
	smallBuffer  = 4 << 10
	largeBuffer  = 64 << 10
	scratchLimit = 1 << 20

	keepInput   = 32 // of each size
	keepScratch = 8
)

// buffers are free lists of one loop. Idle streams own no buffer at all: what
// they need for a turn, or for the rest of a frame, they take from here.
type buffers struct {
	small, large, scratches [][]byte
}

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
	}
	return make([]byte, 0, n)
}

func (b *buffers) putInput(buf []byte) {
	switch cap(buf) {
	case smallBuffer:
		push(&b.small, buf)
	case largeBuffer:
		push(&b.large, buf)
	}
}

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
