package loop

import "time"

// After runs f once, d from now.
func (e *Engine) After(d time.Duration, f func()) Timer { return e.core.After(d, f) }

// Every runs f each d. It panics when d is not positive.
func (e *Engine) Every(d time.Duration, f func()) Timer { return e.core.Every(d, f) }
