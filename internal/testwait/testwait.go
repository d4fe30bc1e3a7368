// Package testwait waits in tests for what another goroutine or process brings
// about. What has a clock of its own waits on that instead.
package testwait

import (
	"testing"
	"time"
)

// patience is long enough for a machine that does much else.
const patience = 30 * time.Second

// Until waits until ok is true. It asks again every few milliseconds, on the
// caller's goroutine, and fails the test after half a minute.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, again := time.After(patience), time.NewTicker(2*time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-again.C:
		}
	}
}
