package reader

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

func TestReader_ShutdownInOrder_72(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var m *Message
	r := w.reader(Options{Handler: func(got *Message) error { m = got; return Pending }})
	b.send("x", "y")
	w.until("a message", func() bool { return m != nil })
	w.l.Do(r.leave)
	w.Run(time.Second)
	if b.open() != 1 || r.final.Load() != nil {
		t.Error("closed before the message was answered")
	}
	if !m.Finish() {
		t.Error("the answer had no effect")
	}
	w.until("the end", func() bool { return r.final.Load() != nil })
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, CLS, FIN")
	if b.open() != 0 || b.finished() != 1 || len(b.waiting) != 1 {
		t.Errorf("%d open, %d finished, %d waiting", b.open(), b.finished(), len(b.waiting))
	}
	w.wantEvents("connect nsqd:4150", "disconnect nsqd:4150")
}

func TestReader_ShutdownGivesBackWhatWasNotStarted_73(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var kept []*Message
	r := w.reader(Options{MaxInFlight: 3, Handler: func(got *Message) error { kept = append(kept, got); return Pending }})
	b.send(strings.Fields("a b c d e f")...)
	w.until("three messages", func() bool { return len(kept) == 3 })
	w.l.Do(func() { r.bound = 2; kept[0].Finish(); kept[1].Finish() }) // so that more come than it takes
	w.Run(100 * time.Millisecond)
	waiting := len(r.waiting)
	if waiting == 0 {
		t.Fatal("nothing waits")
	}
	w.l.Do(func() {
		r.leave()
		for _, m := range kept {
			m.Finish()
		}
	})
	w.until("the end", func() bool { return r.final.Load() != nil })
	w.Run(time.Second)
	if s := r.final.Load(); s.Returned != uint64(waiting) || s.Received != s.Handled+s.Returned || s.InFlight != 0 {
		t.Errorf("got %+v", s)
	}
	for _, p := range b.peers {
		if len(p.inFlight) > 0 {
			t.Errorf("%d messages are left in flight", len(p.inFlight))
		}
	}
}

// TestReader_ShutdownWaitsForCloseWait_72 lets nsqd take its time, and send one
// more message meanwhile.
func TestReader_ShutdownWaitsForCloseWait_72(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var m *Message
	r := w.reader(Options{Handler: func(got *Message) error { m = got; return Pending }})
	b.send("x")
	w.until("a message", func() bool { return m != nil })
	b.mock.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
		if b.script(c, cmd); cmd.Verb != wire.Cls {
			return false
		}
		c.Message("late", 1, time.Unix(0, 0), "x")
		return true
	}
	w.l.Do(func() { r.leave(); m.Finish() })
	w.Run(10 * time.Second)
	b.wantTrace("SUB, RDY 1, CLS, FIN, REQ 0")
	if b.open() != 1 {
		t.Error("closed before CLOSE_WAIT")
	}
	b.on(func() { b.mock.Conns[0].Respond(wire.CloseWait) })
	w.until("the end", func() bool { return r.final.Load() != nil })
	if s := r.final.Load(); s.Received != 2 || s.Returned != 1 || s.Finished != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestReader_NothingCountsAfterClose(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var m *Message
	r := w.reader(Options{Handler: func(got *Message) error { m = got; return Pending }})
	b.send("x")
	w.until("a message", func() bool { return m != nil })
	w.l.Do(func() {
		r.Close()
		if m.Finish() {
			t.Error("an answer after Close had an effect")
		}
	})
}

func TestReader_LoopShutdownDrainsAndIsCutOff_72(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var m *Message
	w.reader(Options{Handler: func(got *Message) error { m = got; return Pending }})
	b.send("x")
	w.until("a message", func() bool { return m != nil })
	if err := w.l.Shutdown(3 * time.Second); err == nil {
		t.Error("the loop ended though a message was not answered")
	}
	if m.Finish() {
		t.Error("an answer after the end had an effect")
	}
}

func TestReader_CloseDuringConnecting_69(t *testing.T) {
	for _, after := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond, 3 * time.Millisecond, 6 * time.Millisecond} {
		w := newWorld(t, looptest.Options{})
		b := w.broker("nsqd")
		r := w.reader(Options{})
		w.Run(after)
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
		w.Run(time.Minute)
		if b.open() != 0 || r.final.Load() == nil || r.life.Load() != lifeClosed {
			t.Errorf("closed after %v: %d connections are open", after, b.open())
		}
	}
}

func TestReader_CloseStopsReconnects_70_75(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.lookups.Name("lookup:4161", b.addr, "nowhere:4150")
	r := w.reader(Options{NSQDs: []string{b.addr, "other:4150"}, Lookupds: []string{"lookup:4161"}})
	w.connected(r, 1)
	b.on(b.mock.Cut)
	w.Run(time.Millisecond)
	w.l.Do(func() { r.Close() })
	dials, asked, errs := b.mock.Accepted, len(w.lookups.Asked), r.stats.Errors
	w.Run(10 * time.Minute)
	if b.mock.Accepted != dials || len(w.lookups.Asked) != asked || r.stats.Errors != errs {
		t.Error("the reader goes on after Close")
	}
	if b.open() != 0 || r.final.Load() == nil {
		t.Error("the reader did not end")
	}
}

func TestReader_CloseFromItsOwnHandler(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	calls := 0
	var r *Reader
	r = w.reader(Options{MaxInFlight: 10, Handler: func(m *Message) error {
		if calls++; calls == 5 {
			m.Finish() // given before Close, so it counts
			r.Close()
		}
		return nil
	}})
	b.send(strings.Fields("a b c d e f g h i j k l m n o p")...)
	w.Run(time.Minute)
	if calls != 5 {
		t.Errorf("the handler was called %d times, want 5", calls)
	}
	if b.finished() != 5 || b.open() != 0 {
		t.Errorf("%d finished, %d open", b.finished(), b.open())
	}
	for what, err := range map[string]error{
		"SetMaxInFlight": r.SetMaxInFlight(3),
		"Pause":          r.Pause(),
		"AddNSQD":        r.AddNSQD("x:1"),
		"RemoveNSQD":     r.RemoveNSQD(b.addr),
		"AddLookupd":     r.AddLookupd("x:1"),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", what, err)
		}
	}
}

func TestReader_ShutdownWithoutConnections_74(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	r := w.reader(Options{NSQDs: []string{"nowhere:4150"}})
	w.Run(10 * time.Second)
	w.l.Do(r.leave)
	w.l.Do(r.leave)
	w.Run(2 * time.Second)
	if r.final.Load() == nil {
		t.Error("the reader did not end")
	}
}
