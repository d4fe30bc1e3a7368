package writer

import (
	"time"
)

// kind is how a publish is sent.
type kind uint8

const (
	kindPub kind = iota
	kindMPub
	kindDPub
)

// publish is one call, from the mailbox until it has ended. While it is sent
// and unanswered it stands in the ring of its connection: answers carry no id,
// so its place there is what matches them. It keeps its bodies, so that it can
// be sent again.
type publish struct {
	topic  string
	body   []byte   // kindPub, kindDPub
	bodies [][]byte // kindMPub
	delay  time.Duration
	size   int    // bytes of bodies
	start  int64  // when the loop took it up: Writer.now
	sent   int64  // when it was sent last
	seq    uint64 // the how manieth that the loop took up: see Flush
	number uint64 // that it, or its first message, was sent with last; 0: none
	done   func(Result)
	wait   *waiter // of PublishSync, and of PublishWait until there is room; nil otherwise
	copies *copies // of PublishAll; nil otherwise
	at     *conn   // where it was sent last; nil: nowhere
	avoid  *conn   // which could not store it
	err    error   // not nil: ended before it began, or what its last try came to

	together int32 // in a ring: how many left as one command, from this one on; 0 is 1
	copy     int32 // its index in copies
	tries    uint8 // how often it was sent
	kind     kind
	roomOnly bool // wait is for room only
	alone    bool // not to be batched again
	maybe    bool // the outcome of an earlier try, err, is unknown
	expired  bool // reported at its deadline; only its place in the order is left
}

// messages is how many messages the publish has.
func (p *publish) messages() int {
	if p.kind == kindMPub {
		return len(p.bodies)
	}
	return 1
}

// expire leaves nothing of p but its place.
func (p *publish) expire() {
	*p = publish{size: p.size, sent: p.sent, together: p.together, expired: true}
}

// ring is a first-in-first-out queue in a circular buffer that grows by
// doubling. Elements are cleared when they leave, so that nothing is kept
// alive.
type ring[T any] struct {
	buf  []T // its length is a power of two, or zero
	head int // index of the first element
	n    int
}

// ringKeep is the number of elements up to which an empty ring keeps its
// buffer: beyond, a burst would hold its memory for ever.
const ringKeep = 8192

func (r *ring[T]) len() int { return r.n }

// at is the i-th element, 0 being the oldest.
func (r *ring[T]) at(i int) *T { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

// push adds a zero element and returns it, to be filled in place.
func (r *ring[T]) push() *T {
	if r.n == len(r.buf) {
		r.grow()
	}
	r.n++
	return r.at(r.n - 1)
}

func (r *ring[T]) grow() {
	bigger := make([]T, max(16, 2*len(r.buf)))
	n := copy(bigger, r.buf[r.head:])
	copy(bigger[n:], r.buf[:r.head])
	r.buf, r.head = bigger, 0
}

// pop drops the oldest element.
func (r *ring[T]) pop() {
	if r.n == 0 {
		panic("writer: pop from an empty ring")
	}
	clear(r.buf[r.head : r.head+1])
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	if r.n == 0 {
		r.head = 0
		if len(r.buf) > ringKeep {
			r.buf = nil
		}
	}
}
