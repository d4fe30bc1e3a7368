package reader

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

// firstLetter is the key of the tests.
func firstLetter(m *Message) string { return string(m.Body[:1]) }

func TestReader_SerialByKey(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r, kept := w.hold(Options{MaxInFlight: 20, MaxBackoff: -1, SerialBy: func(m *Message) string {
		switch m.Body[0] {
		case '-':
			return ""
		case '!':
			panic("no key")
		}
		return firstLetter(m)
	}})
	b.send("a1", "a2", "b1", "a3", "-1", "-2", "!1", "!2")
	w.Run(time.Second)
	want := "a1 b1 -1 -2 !1 !2"
	check := func() {
		t.Helper()
		if got := bodies(*kept); got != want {
			t.Errorf("the handler has had %s, want %s", got, want)
		}
	}
	check()
	if s := r.snapshot(); s.Handled != 6 || s.Unanswered != 8 {
		t.Errorf("%+v", s)
	}
	w.l.Do(func() {
		(*kept)[0].Finish()
		check() // never inside the answer
	})
	w.Run(time.Millisecond)
	want += " a2"
	check()
	w.l.Do(func() { (*kept)[6].Requeue(0) }) // comes again, behind a3
	w.Run(time.Second)
	want += " a3"
	check()
	w.l.Do(func() { (*kept)[7].Discard() })
	w.Run(time.Second)
	want += " a2"
	check()
	w.l.Do(func() { (*kept)[8].Finish(); (*kept)[1].Finish() })
	w.Run(time.Second)
	if n := len(r.lines.byKey); n != 0 {
		t.Errorf("%d lines are kept for nobody", n)
	}
}

// What waits behind others is not handed on past a max in flight that was
// lowered meanwhile.
func TestReader_SerialByKeyKeepsALoweredMaxInFlight(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r, kept := w.hold(Options{MaxInFlight: 20, MaxBackoff: -1, SerialBy: firstLetter})
	b.send("a1")
	w.Run(time.Second)
	b.send("b1", "c1", "a2", "b2", "c2")
	w.Run(time.Second)
	w.l.Do(func() { r.SetMaxInFlight(1) })
	for i, want := range []string{"a1 b1 c1", "a1 b1 c1", "a1 b1 c1 a2", "a1 b1 c1 a2 b2"} {
		w.l.Do(func() { (*kept)[i].Finish() })
		w.Run(time.Second)
		if got := bodies(*kept); got != want {
			t.Errorf("after %d answers the handler has had %s, want %s", i+1, got, want)
		}
	}
	w.l.Do(func() { r.SetMaxInFlight(20) }) // and there is room for c2 at once
	w.Run(time.Second)
	if got := bodies(*kept); got != "a1 b1 c1 a2 b2 c2" {
		t.Errorf("the handler has had %s", got)
	}
}

func TestReader_SerialByKeySurvivesLossAndExpiry(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b, c := w.broker("nsqd1"), w.broker("nsqd2")
	r, kept := w.hold(Options{MaxInFlight: 20, MaxBackoff: -1, SerialBy: firstLetter})
	w.connected(r, 2)
	c.send("a1")
	w.Run(time.Second)
	b.send("a2", "a3")
	w.Run(time.Second)
	c.send("a4")
	w.Run(time.Second)
	b.on(b.mock.Cut) // a2 and a3, which wait, are lost
	w.Run(10 * time.Millisecond)
	if got := bodies(r.lines.byKey["a"].behind); got != "a4" {
		t.Errorf("behind it waits %s, want a4", got)
	}
	w.l.Do(func() { (*kept)[0].Finish() })
	w.Run(5 * time.Second)
	if got := bodies(*kept); got != "a1 a4" {
		t.Errorf("the handler has had %s", got)
	}
	w.Run(70 * time.Second) // a4 expires
	w.until("the rest", func() bool { return len(*kept) >= 3 })
	w.until("others behind it", func() bool { return len(r.lines.byKey["a"].behind) > 0 })
	behind := uint64(len(r.lines.byKey["a"].behind))
	w.l.Do(r.leave)
	w.l.Do(func() { (*kept)[2].Finish() })
	w.until("the end", func() bool { return r.final.Load() != nil })
	if s := r.final.Load(); s.Returned != behind || s.Handled != 3 {
		t.Errorf("%d returned, want %d: %+v", s.Returned, behind, s)
	}
}

// On workers no two handlers of a key run at once, be it that the first one's
// message has expired meanwhile.
func TestReader_SerialByKeyOnWorkers(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	const n, keys = 600, 7
	var running [keys]atomic.Int32
	var lock sync.Mutex
	order := map[int][]int{}
	r, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 60, Workers: 8,
		SerialBy: func(m *Message) string { return fmt.Sprint(number(m) % keys) },
		Handler: func(m *Message) error {
			i := number(m)
			if running[i%keys].Add(1) != 1 {
				t.Error("two at once")
			}
			defer running[i%keys].Add(-1)
			lock.Lock()
			order[i%keys] = append(order[i%keys], i)
			lock.Unlock()
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, n)
	await(t, b.l, "all messages finished", func() bool { return b.finished() == n })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for key, all := range order {
		for i := 1; i < len(all); i++ {
			if all[i] < all[i-1] {
				t.Fatalf("key %d: %d came before %d", key, all[i-1], all[i])
			}
		}
	}
}

func number(m *Message) (n int) {
	fmt.Sscan(string(m.Body), &n)
	return n
}

func TestReader_SerialByKeyWaitsForTheHandlersReturn(t *testing.T) {
	broker, addr := realBroker(t)
	onLoop(t, broker.l, func() { broker.setMsgTimeout(100 * time.Millisecond) })
	l := startLoop(t)
	started, release := make(chan string, 10), make(chan struct{})
	r, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 5, Workers: 3,
		SerialBy: func(*Message) string { return "one" },
		Handler: func(m *Message) error {
			started <- string(m.Body)
			<-release
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, broker, 1)
	<-started
	await(t, l, "the message expired and came again", func() bool { return r.stats.Expired > 0 && r.stats.Received > 1 })
	select {
	case <-started:
		t.Error("a second handler runs beside the first")
	default:
	}
	close(release)
	await(t, broker.l, "it finished", func() bool { return broker.finished() == 1 })
}

func TestReader_SerialByKeyInARange(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r, _, err := Messages(w.l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{b.addr}, MaxInFlight: 5, SerialBy: firstLetter,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.send("a1", "a2", "b1")
	w.Run(time.Second)
	next := func(want string) {
		t.Helper()
		if got := len(r.workers.queue) - r.workers.next; got == 0 {
			t.Fatalf("nothing waits, want %s", want)
		}
		j, _ := r.workers.pop()
		if string(j.m.Body) != want {
			t.Errorf("got %s, want %s", j.m.Body, want)
		}
		w.l.Do(func() { j.m.Finish() })
		w.Run(time.Second)
	}
	next("a1")
	next("b1")
	next("a2")
}
