package loop

import "time"

// Advance sets the loop's clock forward by d, timers included: what is due
// within d is due in the next turn. It is for tests that will not wait. It may
// be called from any goroutine, and takes effect before it returns when that is
// the loop's. d must not be negative. It returns ErrClosed once the loop has
// stopped.
func (e *Engine) Advance(d time.Duration) error {
	if d < 0 {
		panic("loop: a clock is never set back")
	}
	jump := func() {
		e.advanced.Add(int64(d))
		e.core.Rearm()
	}
	if e.OnLoop() {
		jump()
		return nil
	}
	return e.Post(jump)
}
