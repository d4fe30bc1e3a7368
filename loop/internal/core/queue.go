package core

import "sync"

// Queue holds posted functions, first in first out. It is safe for concurrent
// use: it is the one door into a loop from other goroutines, and its mutex the
// one lock on the way.
type Queue struct {
	mu     sync.Mutex // guards all fields
	q      []func()
	spare  []func()
	rung   bool // a turn was asked for, or runs
	again  bool // another one was asked for since Take
	closed bool
	limit  int
}

// keep is the capacity beyond which an emptied queue is given back.
const keep = 1 << 16

// SetLimit makes Push report when more than n functions wait.
func (q *Queue) SetLimit(n int) { q.limit = n }

// Push adds f. ring: the caller must ask for a turn; otherwise one was asked
// for already, or the one that runs will see to it. piled: the queue has just
// grown past its limit. ok is false, and f is not taken, when the queue is
// closed.
func (q *Queue) Push(f func()) (ring, piled, ok bool) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false, false, false
	}
	q.q = append(q.q, f)
	ring = !q.rung
	q.rung = true
	piled = q.limit > 0 && len(q.q) == q.limit+1
	q.mu.Unlock()
	return ring, piled, true
}

// Ring asks for a turn that begins after this call. It reports whether the
// caller must ask for it, as Push does.
func (q *Queue) Ring() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.rung || q.closed {
		q.again = true
		return false
	}
	q.rung = true
	return true
}

// Take returns the functions pushed so far, and answers every Ring so far. So
// it must come before the turn reads the clock: an alarm that rings while the
// turn begins would otherwise be taken for answered by a turn that is too
// early for it. What Take returned must be given back with Done.
func (q *Queue) Take() []func() {
	q.mu.Lock()
	all := q.q
	q.q, q.spare = q.spare, nil
	q.rung, q.again = true, false
	q.mu.Unlock()
	return all
}

// Done ends a turn that began with Take, and gives its slice back, to be
// filled again; the elements must be nil. It reports whether another turn must
// follow, which the caller must ask for.
func (q *Queue) Done(all []func()) (again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if cap(all) <= keep {
		q.spare = all[:0]
	}
	q.rung = q.again || len(q.q) > 0
	return q.rung
}

// Close refuses all later functions and returns those that are left.
func (q *Queue) Close() []func() {
	q.mu.Lock()
	all := q.q
	q.q, q.spare, q.closed = nil, nil, true
	q.mu.Unlock()
	return all
}
