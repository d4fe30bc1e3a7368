package reader

import (
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// meter counts messages against Options.MaxRate. It is pure: times (unix
// nanoseconds) come in. It fills at the rate, up to a tenth of a second's
// worth, and each message takes one. What comes when it is empty makes a debt,
// so that the rate holds over time whatever is on its way when the ready
// counts fall.
type meter struct {
	rate  float64 // messages per second; 0 is no limit
	level float64 // how many messages may come now
	at    int64   // when level was true
}

// most is what the meter holds when it is full.
func (m *meter) most() float64 { return max(1, m.rate/10) }

// fill brings the level up to now.
func (m *meter) fill(now int64) {
	m.level = min(m.most(), m.level+m.rate*time.Duration(now-m.at).Seconds())
	m.at = now
}

// set changes the rate, with a meter that is full.
func (m *meter) set(rate float64, now int64) {
	m.rate, m.at = rate, now
	m.level = m.most()
}

// take notes a message and reports whether no other should come.
func (m *meter) take(now int64) (dry bool) {
	m.fill(now)
	m.level--
	return m.level < 1
}

// wait is how long it takes until the meter is full; 0 when it is.
func (m *meter) wait(now int64) time.Duration {
	m.fill(now)
	missing := m.most() - m.level
	if missing <= 0 {
		return 0
	}
	// Rounded up, for a timer that comes a nanosecond early comes for nothing.
	return time.Duration(missing/m.rate*float64(time.Second)) + time.Microsecond
}

// limiter is what a reader needs to keep a rate.
type limiter struct {
	meter
	timer loop.Timer // until the meter is full; nil while messages flow
}

// onMetered counts a message that has come, and stops the next ones when the
// rate is used up. It does so by the ready counts: nothing waits here for its
// time to come, and no message's time runs out meanwhile.
func (r *Reader) onMetered(now int64) {
	if r.limit.take(now) && r.limit.timer == nil {
		r.ready.hold(true, now)
		r.limit.timer = r.loop.After(r.limit.wait(now), r.onRefilled)
	}
}

// onRefilled lets messages flow again.
func (r *Reader) onRefilled() {
	now := r.now()
	if d := r.limit.wait(now); d > 0 { // more came than might
		r.limit.timer.Reset(d)
		return
	}
	r.release()
}

// release ends what onMetered began.
func (r *Reader) release() {
	if r.limit.timer != nil {
		r.limit.timer.Stop()
		r.limit.timer = nil
	}
	r.ready.hold(false, r.now())
	r.sendReady()
}

// SetMaxRate changes Options.MaxRate; 0 ends the limit.
func (r *Reader) SetMaxRate(perSecond float64) error {
	if !(perSecond >= 0) { // NaN neither
		return fmt.Errorf("max rate %v: want messages per second, or 0 for no limit", perSecond)
	}
	return r.do(func() {
		if r.leaving {
			return
		}
		r.limit.set(perSecond, r.now())
		r.release()
	})
}
