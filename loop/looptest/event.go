package looptest

import "math"

// event is something that happens at a time.
type event interface{ fire() }

// call is an event that is a function.
type call func()

func (f call) fire() { f() }

// events is a heap of what will happen, by time, then by the order in which it
// was caused.
type events struct {
	all []timed
	seq uint64
}

type timed struct {
	at  int64
	seq uint64
	do  event
}

func (h *events) next() int64 {
	if len(h.all) == 0 {
		return math.MaxInt64
	}
	return h.all[0].at
}

func (h *events) less(i, j int) bool {
	a, b := &h.all[i], &h.all[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (h *events) push(at int64, e event) {
	h.seq++
	h.all = append(h.all, timed{at, h.seq, e})
	for i := len(h.all) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.less(i, parent) {
			break
		}
		h.all[i], h.all[parent] = h.all[parent], h.all[i]
		i = parent
	}
}

func (h *events) pop() (timed, bool) {
	if len(h.all) == 0 {
		return timed{}, false
	}
	top, end := h.all[0], len(h.all)-1
	h.all[0] = h.all[end]
	h.all[end] = timed{}
	h.all = h.all[:end]
	for i := 0; ; {
		child := 2*i + 1
		if child >= end {
			break
		}
		if child+1 < end && h.less(child+1, child) {
			child++
		}
		if !h.less(child, i) {
			break
		}
		h.all[i], h.all[child] = h.all[child], h.all[i]
		i = child
	}
	return top, true
}
