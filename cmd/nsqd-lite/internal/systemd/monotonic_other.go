//go:build !linux

package systemd

import "time"

// Monotonic is 0: systemd is Linux's.
func Monotonic() time.Duration { return 0 }
