package writer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/writer"
)

// A publish costs no allocation beyond what the caller passes, from Publish to
// its done function. The mock and the virtual network do allocate, so this
// counts on real sockets, over enough publishes for what a turn costs to
// vanish among them.
func TestWriter_AllocatesNothingPerPublish(t *testing.T) {
	l, s := startReal(t)
	w := mustRealWriter(t, l, s)
	body := make([]byte, 200)
	const n = 20_000
	ended := make(chan struct{}, n)
	done := func(r writer.Result) {
		if r.Err != nil {
			t.Error(r.Err)
		}
		ended <- struct{}{}
	}
	round := func() {
		for i := range n {
			w.Publish("t", body, done)
			if i >= 1000 {
				<-ended
			}
		}
		for range 1000 {
			<-ended
		}
	}
	round() // buffers grow
	if got := testing.AllocsPerRun(3, round); got/n > 0.01 {
		t.Errorf("%v allocations per publish, want 0", got/n)
	}
}

// A goroutine that publishes one message after the other finds the loop awake: to
// wake it would cost two allocations.
func TestWriter_SyncFindsTheLoopAwake(t *testing.T) {
	if testing.Short() {
		t.Skip("counts what a busy machine may change")
	}
	l, s := startReal(t)
	w := mustRealWriter(t, l, s)
	body := make([]byte, 200)
	const n = 3000
	round := func() {
		for range n {
			if err := w.PublishSync(t.Context(), "t", body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := testing.AllocsPerRun(3, round); got/n > 1.5 {
		t.Errorf("%v allocations per publish", got/n)
	}
}

// When the loop is closed without draining, what was sent is unknown, and
// every done is called.
func TestWriter_LoopIsClosed(t *testing.T) {
	l, s := startReal(t)
	w := mustRealWriter(t, l, s)
	results := make(chan writer.Result, 1000)
	for range 500 {
		w.Publish("t", []byte("x"), func(r writer.Result) { results <- r })
	}
	if err := l.(*loop.Engine).Close(); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if r := <-results; r.Outcome() == writer.Rejected {
			t.Errorf("got %v", r)
		}
	}
}

// A publish that has arrived is confirmed within the round trip: no timer is
// in the way.
func TestWriter_NeedsNoTimer(t *testing.T) {
	w := newWorldWith(t, looptest.Options{MinLatency: time.Millisecond, MaxLatency: time.Millisecond + 1})
	g := &given{world: w, t: t, rs: newResults()}
	g.s = append(g.s, g.mock(0))
	g.w = g.writer(writer.Options{NSQDs: []string{"a:4150"}})
	g.run(time.Second)
	for i := range 10 {
		name := fmt.Sprint(i)
		begin := w.Now()
		g.publish(name)
		if !w.RunUntil(func() bool { return g.rs.times[name] > 0 }, time.Second) {
			t.Fatal("not confirmed")
		}
		if took := w.Now().Sub(begin); took > 4*time.Millisecond {
			t.Errorf("took %v with 2 ms on the way", took)
		}
	}
}
