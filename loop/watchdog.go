package loop

import (
	"log/slog"
	"time"

	"github.com/nsqloop/nsqloop/loop/internal/core"
)

// watchdog reports callbacks that hold the loop.
//
// While callbacks run it looks four times per limit which one. The same one,
// seen twice with at least the limit between, is reported: so it can be named
// while it still runs, no shorter one is ever reported, and one that is longer
// by a quarter always is. When the loop sleeps, so does the watchdog. All that
// it costs the loop is the number of the callback in core.Probe, and now and
// then a timer that is set again.
type watchdog struct {
	probe *core.Probe
	limit time.Duration
	log   *slog.Logger
	timer *time.Timer

	seen     uint64    // the callback that ran at the last look
	since    time.Time // when it was first seen
	reported bool
}

func newWatchdog(p *core.Probe, limit time.Duration, log *slog.Logger) *watchdog {
	w := &watchdog{probe: p, limit: limit, log: log}
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Stop()
	p.Started = func() { w.timer.Reset(limit / 4) }
	return w
}

// look runs on a goroutine of the timer, never twice at once: only look itself
// sets the timer while Watched is true.
func (w *watchdog) look() {
	running := w.probe.Running()
	if running == 0 {
		w.seen = 0
		w.probe.Watched.Store(false)
		// A callback may have started since and found itself watched.
		if w.probe.Running() == 0 || !w.probe.Watched.CompareAndSwap(false, true) {
			return
		}
	}
	now := time.Now()
	switch {
	case running != w.seen:
		w.seen, w.since, w.reported = running, now, false
	case running != 0 && !w.reported && now.Sub(w.since) >= w.limit:
		if what := w.probe.Describe(running); what != "" {
			w.reported = true
			w.log.Warn("callback holds the loop", "callback", what, "for", now.Sub(w.since).Round(time.Millisecond),
				"remedy", "blocking work belongs in reader.Options.Workers or Loop.Go")
		}
	}
	w.timer.Reset(w.limit / 4)
}

func (w *watchdog) stop() { w.timer.Stop() }
