package loop

import "time"

// stopwatch measures callbacks, of which one ends where the next one starts.
type stopwatch struct {
	tell    func(took time.Duration)
	started time.Time
	running bool
}

// press ends the callback that runs, if one does, and starts the next one.
func (w *stopwatch) press(starts bool) {
	now := time.Now()
	if w.running {
		w.tell(now.Sub(w.started))
	}
	w.started, w.running = now, starts
}
