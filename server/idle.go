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
	armed  bool
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

// sweep lets those rest that were not used since the last sweep.
func (d *idle) sweep() {
	d.armed = false
	kept := d.topics[:0]
	for _, t := range d.topics {
		switch {
		case t.deleted:
		case t.used || t.syncing || t.unsynced:
			t.used = false
			kept = append(kept, t)
		default:
			t.awake = false
			t.j.Idle()
		}
	}
	clear(d.topics[len(kept):])
	d.topics = kept
	if len(kept) > 0 {
		d.arm()
	}
}

// stopTimer ends the sweeping.
func (d *idle) stopTimer() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
