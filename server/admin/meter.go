package admin

import "time"

// counter names a number that only grows, of one nsqd.
type counter struct{ node, topic, channel, what string }

// gauge is what is known of a counter.
type gauge struct {
	value uint64
	at    time.Time
	rate  float64 // per second, smoothed
	seen  bool    // since the last sweep
}

// meter makes rates of counters. It belongs to the loop.
type meter map[counter]*gauge

// rate notes the value of a counter and returns how many per second have been
// added of late. A value that is lower than before is that of a server which
// has started again: what it has counted since is not known to be new.
func (m meter) rate(c counter, value uint64, now time.Time) float64 {
	g := m[c]
	if g == nil {
		m[c] = &gauge{value: value, at: now, seen: true}
		return 0
	}
	g.seen = true
	seconds := now.Sub(g.at).Seconds()
	if seconds < 0.2 {
		return g.rate // too close to the last one to say anything
	}
	var added float64
	if value > g.value {
		added = float64(value - g.value)
	}
	current := added / seconds
	// Half of the news in a second, nearly all in five.
	weight := min(1, seconds*0.5)
	g.rate += (current - g.rate) * weight
	if current == 0 && g.rate < 0.05 {
		g.rate = 0
	}
	g.value, g.at = value, now
	return g.rate
}

// sweep forgets what was not seen since the last sweep.
func (m meter) sweep() {
	for c, g := range m {
		if !g.seen {
			delete(m, c)
		}
		g.seen = false
	}
}
