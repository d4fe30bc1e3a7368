package loop_test

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// Each callback is told once, with how long it took; the time between turns
// belongs to none.
func TestOnCallback_HearsOfEach(t *testing.T) {
	made := time.Now()
	took := make(chan time.Duration, 1000)
	l := start(t, loop.Options{OnCallback: func(d time.Duration) { took <- d }})
	onLoop(t, l, func() {})
	const long = 30 * time.Millisecond
	onLoop(t, l, func() {
		began := time.Now()
		for time.Since(began) < long { // it holds the loop
		}
	})
	idle := time.NewTimer(2 * long)
	<-idle.C
	onLoop(t, l, func() {})
	onLoop(t, l, func() {}) // the one before it has been told
	var sum, most time.Duration
	n := 0
	for len(took) > 0 {
		d := <-took
		sum, most, n = sum+d, max(most, d), n+1
	}
	if most < long || n < 3 {
		t.Errorf("the longest of %d callbacks took %v, want %v or more of 3 or more", n, most, long)
	}
	if passed := time.Since(made); sum > passed-2*long {
		t.Errorf("%v of callbacks in %v, of which %v were idle", sum, passed, 2*long)
	}
}
