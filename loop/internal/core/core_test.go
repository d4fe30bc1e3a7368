package core

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestCore_TurnOrder(t *testing.T) {
	c, h := newCore(nil)
	var got []string
	s, sock := opened(c, &fakeHandler{})
	sock.onWrite = func() error { got = append(got, "output"); return nil }
	c.After(time.Millisecond, func() {
		got = append(got, "timer")
		c.AtTurnEnd(func() { got = append(got, "end of timer") })
		s.Write([]byte("2"))
	})
	h.since += int64(time.Millisecond)
	c.Begin()
	c.AtTurnEnd(func() { got = append(got, "end of event"); s.Write([]byte("3")) })
	c.Run([]func(){
		func() { got = append(got, "event 1"); s.Write([]byte("1")) },
		func() { got = append(got, "event 2") },
	})
	c.End()
	want := []string{"event 1", "event 2", "timer", "end of event", "end of timer", "output"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	check(t, "writes", fmt.Sprint(sock.writes), "[123]")
}

func TestCore_ClockIsReadOnceInATurn(t *testing.T) {
	c, h := newCore(nil)
	before := h.clocks
	turn(c, func() {
		now := c.Now()
		h.since += 5
		check(t, "now", c.Now(), now)
		c.After(0, func() {})
	})
	check(t, "readings", h.clocks-before, 1)
}

func TestCore_LostInsideAWriteIsToldInTheNextTurn(t *testing.T) {
	c, h := newCore(nil)
	handler := &fakeHandler{}
	s, sock := opened(c, handler)
	broken := errors.New("broken pipe")
	sock.onWrite = func() error { s.Lost(broken); return broken }
	turn(c, func() { s.Write([]byte("x")) })
	check(t, "OnClose in the turn", handler.closed, 0)
	check(t, "turns asked for", h.wakes, 1)
	check(t, "closes of a socket that is closed", sock.closed, 0)
	turn(c, func() {})
	check(t, "OnClose", handler.closed, 1)
	check(t, "error", handler.err, broken)
	turn(c, func() { s.Lost(nil); s.Abort(nil); s.Close() })
	turn(c, func() {})
	check(t, "OnClose", handler.closed, 1)
}

func TestCore_WriteErrorWithoutLostEndsTheStream(t *testing.T) {
	c, _ := newCore(nil)
	handler := &fakeHandler{}
	s, sock := opened(c, handler)
	broken := errors.New("broken pipe")
	sock.onWrite = func() error { return broken }
	turn(c, func() { s.Write([]byte("x")) })
	turn(c, func() {})
	check(t, "error", handler.err, broken)
	check(t, "socket closed", sock.closed, 1)
}

func TestCore_AlarmIsMovedOnlyWhenItWouldBeLate(t *testing.T) {
	c, h := newCore(nil)
	timer := c.After(time.Second, func() {})
	for range 100 { // as a deadline that every message moves
		h.since += int64(time.Millisecond)
		turn(c, func() { timer.Reset(time.Second) })
	}
	check(t, "alarms", len(h.arms), 1)
	turn(c, func() { c.After(time.Millisecond, func() {}) })
	check(t, "alarms", len(h.arms), 2)
	h.advance(c, time.Millisecond)
	check(t, "alarms after the earliest has run", len(h.arms), 3)
	check(t, "alarm", h.arms[2], timer.at)
}

func TestCore_FinishTellsOldestFirst(t *testing.T) {
	c, _ := newCore(nil)
	var got []int
	for i := range 5 {
		opened(c, &fakeHandler{onClose: func(error) { got = append(got, i) }})
	}
	c.Finish(nil)
	if !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
		t.Errorf("order: %v", got)
	}
	check(t, "over", c.Over(), true)
	check(t, "timer after the end", c.After(0, func() {}).Stop(), false)
}

func TestCore_FinishSendsWhatWasGathered(t *testing.T) {
	c, _ := newCore(nil)
	s, sock := opened(c, &fakeHandler{})
	c.Finish([]func(){func() { s.Write([]byte("last")) }})
	check(t, "writes", fmt.Sprint(sock.writes), "[last]")
}

func TestCore_FinishEndsThoughHandlersDialForEver(t *testing.T) {
	c, _ := newCore(nil)
	dials := 0
	var again func(error)
	again = func(error) {
		dials++
		new(Stream).Dial(c, &fakeHandler{onClose: again}, func() {})
	}
	again(nil)
	c.Finish(nil)
	if dials < 10 || dials > 10*finishRounds {
		t.Errorf("%d dials", dials)
	}
}

func TestCore_DropCallsNobody(t *testing.T) {
	c, _ := newCore(nil)
	handler := &fakeHandler{onClose: func(error) { t.Error("OnClose") }}
	s, _ := opened(c, handler)
	l := &countLayer{}
	turn(c, func() { s.Upgrade(l) })
	c.After(0, func() { t.Error("timer") })
	c.Drop()
	check(t, "layers closed", l.closes, 1)
	turn(c, func() { s.Receive([]byte("x")) })
}

func TestDrains_PanicCountsAsDone(t *testing.T) {
	c, h := newCore(nil)
	var d Drains
	var posted []func()
	var got []string
	d.Add(func(done func()) { got = append(got, "first"); done() })
	d.Add(func(done func()) { panic("no") })
	d.Run(c, func(f func()) { posted = append(posted, f) }, func() { got = append(got, "finished") })
	for len(posted) > 0 {
		f := posted[0]
		posted = posted[1:]
		f()
	}
	check(t, "order", fmt.Sprint(got), "[first finished]")
	check(t, "panics", len(h.panics), 1)
}

func TestQueue_RingsOncePerTurn(t *testing.T) {
	var q Queue
	q.SetLimit(2)
	rings, piles := 0, 0
	push := func(n int) {
		for range n {
			ring, piled, ok := q.Push(func() {})
			if ring {
				rings++
			}
			if piled {
				piles++
			}
			check(t, "accepted", ok, true)
		}
	}
	push(5)
	check(t, "rings", rings, 1)
	check(t, "pile-ups", piles, 1)
	all := q.Take()
	check(t, "taken", len(all), 5)
	clear(all)
	push(3)
	check(t, "rings during a turn", rings, 1)
	check(t, "pile-ups", piles, 2)
	check(t, "another turn", q.Done(all), true)
	all = q.Take()
	check(t, "taken", len(all), 3)
	clear(all)
	check(t, "another turn", q.Done(all), false)
	push(1)
	check(t, "rings", rings, 2)
	check(t, "left at the end", len(q.Close()), 1)
	_, _, ok := q.Push(func() {})
	check(t, "accepted after the end", ok, false)
	check(t, "ring after the end", q.Ring(), false)
}

func TestQueue_RingDuringATurnIsNotLost(t *testing.T) {
	var q Queue
	check(t, "first ring", q.Ring(), true)
	check(t, "second ring", q.Ring(), false)
	all := q.Take() // answers both
	check(t, "another turn", q.Done(all), false)
	all = q.Take()
	check(t, "ring during the turn", q.Ring(), false)
	check(t, "another turn", q.Done(all), true)
}
