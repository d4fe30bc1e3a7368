package admin

import (
	"cmp"
	"sort"
	"time"
)

const (
	historyStep    = 5 * time.Second
	historySamples = 180 // 15 min
	historyMost    = 500 // topics and channels that have one; about 2 MB
	historySwaps   = 16  // of them that may change places per step
)

// point is what is remembered of a topic or channel, each step. Rates are
// messages per second.
type point struct {
	in, out, depth, inFlight, requeues, timeouts float32
}

// busy is how much there is to see.
func (p *point) busy() float32 { return p.in + p.out + p.requeues + p.timeouts + min(p.depth, 1) }

// ring is the last quarter of an hour of a topic or channel.
type ring struct {
	points [historySamples]point
	from   int // the step at which it began
	busy   float32
}

// name names a topic, or a channel when it has one; neither is the sum of all.
type name struct{ topic, channel string }

// history remembers the busiest topics and channels. It belongs to the loop.
type history struct {
	rings map[name]*ring
	step  int // steps so far
	last  time.Time
}

func newHistory() *history { return &history{rings: map[name]*ring{}} }

// due says whether a step has passed at now.
func (h *history) due(now time.Time) bool {
	return h.step == 0 || now.Sub(h.last) >= historyStep-pollEach/2
}

// add remembers a step. Those that are not in points have been idle. Missed
// steps are filled with the same: nothing was heard then.
func (h *history) add(now time.Time, points map[name]point) {
	steps := 1
	if h.step > 0 {
		steps = min(historySamples, max(1, int((now.Sub(h.last)+historyStep/2)/historyStep)))
	}
	h.last = now
	h.settle(points)
	for range steps {
		for key, r := range h.rings {
			r.points[h.step%historySamples] = points[key]
		}
		h.step++
	}
}

// settle decides who is remembered.
func (h *history) settle(points map[name]point) {
	for key, r := range h.rings {
		p, there := points[key]
		if !there {
			delete(h.rings, key)
			continue
		}
		r.busy += (p.busy() - r.busy) / 16
	}
	var waiting []name
	for key, p := range points {
		if h.rings[key] == nil && (p.busy() > 0 || len(points) <= historyMost || key == name{}) {
			waiting = append(waiting, key)
		}
	}
	sort.Slice(waiting, func(i, j int) bool {
		a, b := waiting[i], waiting[j]
		pa, pb := points[a], points[b]
		return cmp.Or(cmp.Compare(pb.busy(), pa.busy()), cmp.Compare(a.topic, b.topic), cmp.Compare(a.channel, b.channel)) < 0
	})
	for i, key := range waiting {
		p := points[key]
		if len(h.rings) >= historyMost && (i >= historySwaps || !h.makeRoom(p.busy())) {
			return
		}
		h.rings[key] = &ring{from: h.step, busy: p.busy()}
	}
}

// makeRoom forgets the idlest, if it is idler by half than busy.
func (h *history) makeRoom(busy float32) bool {
	var idlest name
	for key, r := range h.rings {
		if at := h.rings[idlest]; key != (name{}) && (idlest == name{} || r.busy < at.busy) {
			idlest = key
		}
	}
	if idlest == (name{}) || h.rings[idlest].busy*2 > busy {
		return false
	}
	delete(h.rings, idlest)
	return true
}

// of returns the points of a topic or channel, the oldest first; nil when it is
// not remembered.
func (h *history) of(key name) []point {
	r := h.rings[key]
	if r == nil {
		return nil
	}
	n := min(h.step-r.from, historySamples)
	points := make([]point, 0, n)
	for i := h.step - n; i < h.step; i++ {
		points = append(points, r.points[i%historySamples])
	}
	return points
}

// rising says whether a depth has grown from minute to minute for five minutes,
// and by how much.
func (h *history) rising(key name) (by float32, rising bool) {
	const minute = int(time.Minute / historyStep)
	points := h.of(key)
	if len(points) < 5*minute {
		return 0, false
	}
	points = points[len(points)-5*minute:]
	var means [5]float32
	for i, p := range points {
		means[i/minute] += p.depth / float32(minute)
	}
	for i := 1; i < len(means); i++ {
		if means[i] <= means[i-1] {
			return 0, false
		}
	}
	by = means[4] - means[0]
	return by, by >= 10
}
