// Package exampletest runs the examples in tests: it collects what they print,
// and waits for it.
package exampletest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package and sees to it that no goroutine is left.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m,
		// gnet keeps one pool of workers for the process, which nothing of
		// ours uses.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// patience is how long a test waits.
const patience = 30 * time.Second

// Running is an example that runs.
type Running struct {
	t    *testing.T
	stop context.CancelFunc
	end  chan error

	mu      sync.Mutex // the example writes, the test reads
	said    strings.Builder
	changed chan struct{} // closed, and made again, by Write
}

// Start runs an example until it returns or the test ends. The example prints to
// out, and ends when its context does.
func Start(t *testing.T, run func(ctx context.Context, out *Running) error) *Running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &Running{t: t, stop: stop, end: make(chan error, 1), changed: make(chan struct{})}
	go func() { r.end <- run(ctx, r) }()
	t.Cleanup(func() { r.Stop() })
	return r
}

// Write is io.Writer's.
func (r *Running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
	return r.said.Write(p)
}

// String is what was printed so far.
func (r *Running) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

// Wait waits until each of these has been printed.
func (r *Running) Wait(texts ...string) {
	r.t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	for _, want := range texts {
		for {
			r.mu.Lock()
			said, changed := r.said.String(), r.changed
			r.mu.Unlock()
			if strings.Contains(said, want) {
				break
			}
			select {
			case <-changed:
			case err := <-r.end:
				r.end <- err
				if strings.Contains(r.String(), want) {
					continue
				}
				r.t.Fatalf("it has ended (%v), and did not print %q but\n%s", err, want, r)
			case <-end.C:
				r.t.Fatalf("it did not print %q but\n%s", want, r)
			}
		}
	}
}

// End waits until the example returns by itself.
func (r *Running) End() {
	r.t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	select {
	case err := <-r.end:
		r.end <- nil
		if err != nil {
			r.t.Errorf("it returns %v", err)
		}
	case <-end.C:
		r.t.Fatalf("it does not end; it has printed\n%s", r)
	}
}

// Stop ends the example's context and waits until it returns. Later calls do
// nothing.
func (r *Running) Stop() {
	r.t.Helper()
	r.stop()
	r.End()
}

// Again waits for a condition. what names it.
func Again(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-end.C:
			t.Fatalf("not %s after %v", what, patience)
		}
	}
}
