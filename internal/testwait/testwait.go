// Package testwait waits in tests for what another goroutine or process brings
// about. What has a clock of its own waits on that instead.
package testwait

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is long enough for a machine that does much else.
const patience = 30 * time.Second

// Until waits until ok is true. It asks again every few milliseconds, on the
// caller's goroutine, and fails the test after half a minute.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !until(ok) {
		t.Fatalf("never: %s", what)
	}
}

func until(ok func() bool) bool {
	deadline, again := time.After(patience), time.NewTicker(2*time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-deadline:
			return false
		case <-again.C:
		}
	}
	return true
}

// Buffer keeps what is written to it, as a log or a program's output. It may be
// read while others write.
type Buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write is io.Writer's. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Await waits as Until does for want to be written.
func (b *Buffer) Await(t testing.TB, want string) {
	t.Helper()
	if !until(func() bool { return strings.Contains(b.String(), want) }) {
		t.Fatalf("nobody has written %q:\n%s", want, b)
	}
}
