package client

import "fmt"

// Silence is counted in ticks of half an interval. The fifth tick in a row
// without a byte comes 2 to 2.5 intervals after the last one. Counting, and
// not comparing times, keeps a loop that was held up by a callback from taking
// its own deafness for the peer's silence: however late, it is one tick.
const (
	ticksPerInterval = 2
	ticksStale       = 2*ticksPerInterval + 1
)

// listenForSilence starts the check, driven by the heartbeat interval that was
// asked for, which is the one in effect: nsqd refuses an IDENTIFY whose
// interval it does not grant.
func (c *Conn) listenForSilence() {
	if c.o.HeartbeatInterval > 0 {
		c.silenceTimer = c.loop.Every(c.o.HeartbeatInterval/ticksPerInterval, c.onSilenceTick)
	}
}

func (c *Conn) onSilenceTick() {
	c.silentTicks++
	if c.silentTicks < ticksStale {
		return
	}
	c.Abort(fmt.Errorf("%w for more than two heartbeat intervals of %v", ErrStale, c.o.HeartbeatInterval))
}
