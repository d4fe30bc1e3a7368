package loop

import "time"

// TakeAddr is takeAddr, for tests.
var TakeAddr = takeAddr

// Descriptor is the file descriptor of an Engine's connection.
func Descriptor(c Conn) int { return c.(*conn).sock.gc.Fd() }

// SetGrace is how long a Shutdown that was cut off waits for a callback. It must
// be called before the loop is started.
func (e *Engine) SetGrace(d time.Duration) { e.grace = d }

// Grace is the same when nobody has set it.
const Grace = graceDefault
