//go:build !linux

package loop

import (
	"syscall"
	"time"
)

// limitUnacknowledged leaves it to the system how long it sends again what is
// not acknowledged: there is no portable way to limit that.
func limitUnacknowledged(string, syscall.RawConn, time.Duration) error { return nil }
