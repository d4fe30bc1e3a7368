package core

import "time"

// Timer is a function with a deadline in the heap of its core.
type Timer struct {
	core   *Core
	f      func()
	at     int64  // nanoseconds on the host's clock
	seq    uint64 // equal deadlines run in the order in which they were set
	period int64  // of Every; 0 for After
	index  int    // place in the heap plus one; 0: not waiting
}

// After runs f once, d from now.
func (c *Core) After(d time.Duration, f func()) *Timer {
	t := &Timer{core: c, f: f}
	t.set(d)
	return t
}

// Every runs f each d, which must be positive.
func (c *Core) Every(d time.Duration, f func()) *Timer {
	if d <= 0 {
		panic("loop: Every needs a positive interval")
	}
	t := &Timer{core: c, f: f, period: int64(d)}
	t.set(d)
	return t
}

// Stop prevents the next run and reports whether there was one to prevent.
func (t *Timer) Stop() bool {
	if t.index == 0 {
		return false
	}
	t.core.timers.remove(t)
	return true
}

// Reset lets the function run d from now, and after Every each d.
func (t *Timer) Reset(d time.Duration) {
	if t.period > 0 {
		if d <= 0 {
			panic("loop: Reset of a timer made by Every needs a positive interval")
		}
		t.period = int64(d)
	}
	t.set(d)
}

func (t *Timer) set(d time.Duration) {
	c := t.core
	if c.over {
		return
	}
	if !c.busy { // before the loop has started, or from outside a simulation
		c.now, c.since = c.cfg.Host.Clock()
	}
	at := c.since + max(int64(d), 0)
	if at < c.since {
		at = never - 1
	}
	c.timers.set(t, at)
	if !c.busy {
		c.rearm()
	}
}

// expire runs the timers that were due when the turn began. One that is set
// meanwhile waits for the next turn, so that a function which sets itself
// again with no delay cannot keep the loop for itself.
func (c *Core) expire() {
	for limit := c.timers.seq; c.timers.next() <= c.since; {
		t := c.timers.all[0]
		if t.seq > limit {
			return
		}
		if t.period > 0 {
			c.timers.set(t, t.following(c.since))
		} else {
			c.timers.remove(t)
		}
		c.call(KindTimer, t.f)
	}
}

// following is the first multiple of the period after now, counted from the
// deadline that is being served: late runs do not shift later ones.
func (t *Timer) following(now int64) int64 {
	late := now - t.at
	return t.at + (late/t.period+1)*t.period
}

// heap is a 4-ary heap of timers that know their place in it: half as deep as
// a binary one, and moving a deadline does not search.
type heap struct {
	all []*Timer
	seq uint64
}

// next is the earliest deadline.
func (h *heap) next() int64 {
	if len(h.all) == 0 {
		return never
	}
	return h.all[0].at
}

// set moves t to the deadline at, adding it when it was not waiting.
func (h *heap) set(t *Timer, at int64) {
	h.seq++
	t.at, t.seq = at, h.seq
	if t.index == 0 {
		h.all = append(h.all, t)
		t.index = len(h.all)
	}
	if i := t.index - 1; !h.up(i) {
		h.down(i)
	}
}

func (h *heap) remove(t *Timer) {
	i, end := t.index-1, len(h.all)-1
	last := h.all[end]
	h.all[end] = nil
	h.all = h.all[:end]
	t.index = 0
	if i == end {
		return
	}
	h.put(i, last)
	if !h.up(i) {
		h.down(i)
	}
}

func (h *heap) put(i int, t *Timer) {
	h.all[i] = t
	t.index = i + 1
}

func before(a, b *Timer) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// up moves the timer at i towards the root and reports whether it moved.
func (h *heap) up(i int) bool {
	t, start := h.all[i], i
	for i > 0 {
		parent := (i - 1) / 4
		if !before(t, h.all[parent]) {
			break
		}
		h.put(i, h.all[parent])
		i = parent
	}
	h.put(i, t)
	return i != start
}

func (h *heap) down(i int) {
	t := h.all[i]
	for {
		child := 4*i + 1
		if child >= len(h.all) {
			break
		}
		least := child
		for j := child + 1; j < min(child+4, len(h.all)); j++ {
			if before(h.all[j], h.all[least]) {
				least = j
			}
		}
		if !before(h.all[least], t) {
			break
		}
		h.put(i, h.all[least])
		i = least
	}
	h.put(i, t)
}
