package server

import (
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// idleAfter is how long a topic has nothing to do, at least, before its journal
// closes its files and gives memory back: ten thousand topics must not hold ten
// thousand descriptors.
const idleAfter = 10 * time.Second

// idle lets topics rest that have nothing to do. There is one timer for all of
// them, and none when all rest.
type idle struct {
	s      *Server
	topics []*topic // in use since they last rested
	timer  loop.Timer
	armed  bool // timer runs, or a sweep
}

// use is told that t has something to do.
func (d *idle) use(t *topic) {
	t.used = true
	if t.awake || d.s.closed {
		return
	}
	t.awake = true
	d.topics = append(d.topics, t)
	if !d.armed {
		d.arm()
	}
}

func (d *idle) arm() {
	d.armed = true
	if d.timer == nil {
		d.timer = d.s.l.After(idleAfter, d.sweep)
	} else {
		d.timer.Reset(idleAfter)
	}
}

// sweep lets those rest that were not used since the last sweep. They may be
// thousands, with a file or two to be closed each.
func (d *idle) sweep() {
	all := d.topics
	d.topics = nil // those that are kept come back
	d.s.chores.begin(func() (cost int, last bool) {
		for len(all) > 0 && cost < pieceMost {
			t := all[0]
			all = all[1:]
			cost += d.look(t)
		}
		return cost, len(all) == 0
	}, func(error) {
		d.armed = false
		if len(d.topics) > 0 && !d.s.closed {
			d.arm()
		}
	})
}

// look lets t rest unless it was used, and says what that has cost.
func (d *idle) look(t *topic) (cost int) {
	switch {
	case t.deleted:
	case t.used || t.syncing || t.unsynced:
		t.used = false
		d.topics = append(d.topics, t)
	default:
		t.awake = false
		t.j.Idle()
		return restCost
	}
	return 1
}

// stopTimer ends the sweeping.
func (d *idle) stopTimer() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
