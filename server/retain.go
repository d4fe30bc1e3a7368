package server

import (
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// retainEvery is how often the age of finished files is looked at.
const retainEvery = 10 * time.Second

// retain deletes finished files that are old enough, also of topics that have
// nothing to do. Without RetainAge it has no timer: size is looked at when a
// file begins.
type retain struct {
	s     *Server
	timer loop.Timer
}

// start begins to look.
func (r *retain) start() {
	if r.s.o.RetainAge > 0 && r.s.path != nil {
		r.timer = r.s.l.After(retainEvery, r.sweep)
	}
}

// sweep looks once.
func (r *retain) sweep() {
	now := r.s.now()
	for _, t := range r.s.topics {
		if t.onDisk && t.j.Segments() > 1 {
			t.j.Prune(now)
			r.s.idle.use(t) // that may have opened a file
			if t.j.AwaitsSync() {
				r.s.fsync.cover(t, true)
				r.s.turn.schedule()
			}
		}
	}
	r.timer.Reset(retainEvery)
}

// stopTimer ends it.
func (r *retain) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
	}
}
