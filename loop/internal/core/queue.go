package core

import "sync"

// Queue holds posted functions, first in first out. It is safe for concurrent
// use: it is the one door into a loop from other goroutines, and its mutex the
// one lock on the way.
type Queue struct {
	mu     sync.Mutex // guards all fields
	q      []func()
	spare  []func()
	rung   bool
	closed bool
	limit  int
}

// keep is the capacity beyond which an emptied queue is given back.
const keep = 1 << 16

// SetLimit makes Push report when more than n functions wait.
func (q *Queue) SetLimit(n int) { q.limit = n }

// Push adds f. ring: nobody has asked for a turn since the last Take, so the
// caller must. piled: the queue has just grown past its limit. ok is false,
// and f is not taken, when the queue is closed.
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

// Ring reports whether the caller must ask for a turn, as Push does.
func (q *Queue) Ring() bool {
	q.mu.Lock()
	ring := !q.rung && !q.closed
	if ring {
		q.rung = true
	}
	q.mu.Unlock()
	return ring
}

// Take returns the functions pushed so far. They must be given back with Done.
func (q *Queue) Take() []func() {
	q.mu.Lock()
	all := q.q
	q.q, q.spare = q.spare, nil
	q.rung = false
	q.mu.Unlock()
	return all
}

// Done gives the slice of the last Take back, to be filled again. Its elements
// must be nil.
func (q *Queue) Done(all []func()) {
	if cap(all) > keep {
		return
	}
	q.mu.Lock()
	q.spare = all[:0]
	q.mu.Unlock()
}

// Close refuses all later functions and returns those that are left.
func (q *Queue) Close() []func() {
	q.mu.Lock()
	all := q.q
	q.q, q.spare, q.closed = nil, nil, true
	q.mu.Unlock()
	return all
}

// Len is the number of functions that wait.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.q)
}
