package journal

import (
	"cmp"
	"errors"
	"slices"
	"sort"
)

// Peeked is a message that was looked at. Body is borrowed until the function
// that was given it returns.
type Peeked struct {
	Seq       uint64
	Timestamp int64
	Due       int64 // as it was published, 0 when without a delay
	Body      []byte
}

// Peek looks at up to n committed messages from a spot on, in the order in
// which they were published, and stops when it has gone over most bytes. It
// moves nothing and counts nothing. Whether the messages were delivered or
// finished meanwhile makes no difference; they are shown while their segment
// exists. next is the spot behind what was shown.
func (j *Journal) Peek(from Spot, n int, most int64, f func(*Peeked)) (next Spot, err error) {
	w := walker{j: j, at: from.at}
	var r record
	for ; n > 0 && w.read < most; n-- {
		at, ok, err := w.next(&r)
		if err != nil || !ok {
			return Spot{w.at}, err
		}
		f(&Peeked{at.seq, r.timestamp, r.due, r.body})
	}
	return Spot{w.at}, nil
}

// beforeWindow is how far back from the end Before looks at first.
const beforeWindow = 64 << 10

// Before is the spot n messages before the end, or as many of them as stand in
// the last most bytes, of which it looks at 64 KiB at least. The last message
// is always among them, however long it is.
func (j *Journal) Before(n int, most int64) (Spot, error) {
	start := j.start()
	most = max(most, beforeWindow)
	for window := int64(beforeWindow); ; window *= 4 {
		at := j.near(j.end.pos - min(window, most))
		last, err := j.lastFrom(at, n)
		if err != nil {
			return Spot{j.end}, err
		}
		if len(last) == n || at.pos <= start.pos || len(last) > 0 && window >= most {
			if len(last) == 0 {
				return Spot{j.end}, nil
			}
			return Spot{last[0]}, nil
		}
		most = max(most, min(window, j.end.pos)) // one message can be longer than most
	}
}

// lastFrom returns the places of the last n messages, or of those of them that
// stand behind a place, in their order.
func (j *Journal) lastFrom(at place, n int) ([]place, error) {
	w := walker{j: j, at: at}
	var ring []place
	seen := 0
	var r record
	for {
		at, ok, err := w.next(&r)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if len(ring) < n {
			ring = append(ring, at)
		} else if n > 0 {
			ring[seen%n] = at
		}
		seen++
	}
	if seen > n && n > 0 {
		i := seen % n
		ring = slices.Concat(ring[i:], ring[:i])
	}
	return ring, nil
}

// Standing says what a message does at a cursor.
type Standing uint8

// The standings of a message.
const (
	Fresh    Standing = iota // waits for its first delivery
	Requeued                 // waits for another one
	Deferred                 // waits for its time
	InFlight                 // delivered and not answered
)

// Pending is a message of a cursor that was looked at.
type Pending struct {
	Peeked
	Standing Standing
	Attempts uint16
	At       int64  // in flight: its deadline; deferred: when it is due
	Since    int64  // in flight: when it was delivered
	Owner    uint32 // in flight: who has it
}

// heapVisits bounds how many entries of a cursor's heap Peek looks at: when
// very many are deferred, it may miss one in flight with an uncommon deadline.
const heapVisits = 4096

// Peek looks at up to n messages of one standing: fresh ones in the order of
// publishing, requeued ones in the order of their next delivery, others by
// their times. It stops when it has read most bytes, and tells if there is
// more. It moves nothing and counts nothing.
func (c *Cursor) Peek(which Standing, n int, most int64, f func(*Pending)) (more bool, err error) {
	if which == Fresh {
		return c.peekFresh(n, most, f)
	}
	slots := c.pending(which, n+1)
	ahead := new(readAhead)
	for i, slot := range slots {
		if i == n || most <= 0 {
			return true, nil
		}
		e := *c.out.get(slot)
		var r record
		err := c.j.readRecord(e.pos, ahead, &r)
		if errors.Is(err, errCorrupt) || err == nil && r.seq != e.seq {
			continue // it is reported when it is to be delivered
		}
		if err != nil {
			return false, err
		}
		most -= int64(r.size)
		p := Pending{Peeked: Peeked{r.seq, r.timestamp, r.due, r.body}, Standing: which, Attempts: e.attempts}
		if which != Requeued {
			p.At = e.at
		}
		if which == InFlight {
			p.Since, p.Owner = e.since, e.owner
		}
		f(&p)
	}
	return false, nil
}

// peekFresh is Peek for what was not delivered yet.
func (c *Cursor) peekFresh(n int, most int64, f func(*Pending)) (more bool, err error) {
	w := walker{j: c.j, at: c.read}
	gaps := c.gaps
	var r record
	for w.at.seq < c.j.front.seq {
		if len(gaps) > 0 && gaps[0].from <= w.at.seq {
			w.at, gaps = gaps[0].to, gaps[1:]
			continue
		}
		if n == 0 || w.read >= most {
			return c.fresh() > 0, nil
		}
		at, ok, err := w.next(&r)
		if err != nil || !ok || at.seq >= c.j.front.seq {
			return false, err
		}
		if r.flags&flagDeferred != 0 {
			continue // shown among the deferred ones
		}
		f(&Pending{Peeked: Peeked{at.seq, r.timestamp, 0, r.body}})
		n--
	}
	return false, nil
}

// pending returns the slots of up to n outstanding messages of one standing,
// in Peek's order.
func (c *Cursor) pending(which Standing, n int) []uint32 {
	var slots []uint32
	first := func(l *list) {
		i := 0
		for slot := l.head; slot != 0 && i < n; slot = c.out.get(slot).next {
			slots = append(slots, slot)
			i++
		}
	}
	if which == Requeued {
		first(&c.waiting)
		return slots
	}
	state := stateDeferred
	if which == InFlight {
		state = stateInFlight
		for i := range c.flights {
			first(&c.flights[i].list)
		}
	}
	found := 0
	c.heap.each(&c.out, heapVisits, func(slot uint32) bool {
		if c.out.get(slot).state == state {
			slots = append(slots, slot)
			found++
		}
		return found < n
	})
	sort.Slice(slots, func(a, b int) bool { return c.out.byTime(slots[a], slots[b]) < 0 })
	return slots[:min(n, len(slots))]
}

// byTime orders slots as the heap does.
func (e *entries) byTime(a, b uint32) int {
	x, y := e.get(a), e.get(b)
	return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.seq, y.seq))
}

// each calls f with the earliest entries, in order, until f returns false or
// it has been called most times.
func (h *dueHeap) each(e *entries, most int, f func(slot uint32) bool) {
	// What can come next: the children of those that have come. It is kept in
	// a heap of its own, of indexes.
	var next indexHeap
	if len(h.slots) > 0 {
		next = indexHeap{0}
	}
	less := func(a, b int) bool { return e.byTime(h.slots[a], h.slots[b]) < 0 }
	for ; len(next) > 0 && most > 0; most-- {
		i := next.pop(less)
		if !f(h.slots[i]) {
			return
		}
		for child := 4*i + 1; child < min(4*i+5, len(h.slots)); child++ {
			next.push(child, less)
		}
	}
}

// indexHeap is a binary heap of indexes.
type indexHeap []int

func (h *indexHeap) push(v int, less func(a, b int) bool) {
	*h = append(*h, v)
	s := *h
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if !less(s[i], s[parent]) {
			return
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
}

func (h *indexHeap) pop(less func(a, b int) bool) int {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(s) {
			return top
		}
		if child+1 < len(s) && less(s[child+1], s[child]) {
			child++
		}
		if !less(s[child], s[i]) {
			return top
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
}
