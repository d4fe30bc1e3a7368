package loop_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// A timer of an hour runs at once when an hour is skipped, one of two hours does
// not, and intervals count on from where they are.
func TestAdvance_SkipsTime(t *testing.T) {
	l := start(t, loop.Options{})
	ran := make(chan string, 10)
	var began time.Time
	onLoop(t, l, func() {
		began = l.Now()
		l.After(time.Hour, func() { ran <- "hour" })
		l.After(2*time.Hour, func() { ran <- "two hours" })
		l.Every(25*time.Minute, func() { ran <- "interval" })
	})
	if err := l.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	wait := func(want string) {
		t.Helper()
		select {
		case got := <-ran:
			if got != want {
				t.Errorf("%s ran, want %s", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s has not run", want)
		}
	}
	wait("interval") // the second of the two that were missed is not made up for
	wait("hour")
	onLoop(t, l, func() {
		if passed := l.Now().Sub(began); passed < time.Hour || passed > 2*time.Hour {
			t.Errorf("%v have passed, want an hour and a little", passed)
		}
		if err := l.Advance(16 * time.Minute); err != nil { // on the loop too
			t.Error(err)
		}
	})
	wait("interval")
	select {
	case got := <-ran:
		t.Errorf("%s ran too early", got)
	default:
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Advance(time.Hour); !errors.Is(err, loop.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// onLoop runs f on the loop and waits for it.
func onLoop(t *testing.T, l running, f func()) {
	t.Helper()
	done := make(chan struct{})
	if err := l.Post(func() { f(); close(done) }); err != nil {
		t.Fatal(err)
	}
	<-done
}
