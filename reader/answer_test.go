package reader

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

func TestReader_HandlerPanics_13_14(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.reader(Options{MaxInFlight: 5, Handler: func(m *Message) error {
		if string(m.Body) == "answered" {
			m.Finish()
		}
		panic("kaboom")
	}})
	b.send("answered")
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, RDY 5, FIN")
	b.send("open")
	w.Run(time.Second)
	b.wantTrace("RDY 0, REQ 90000")
	w.wantEvents("connect nsqd:4150", "backoff 1 3.584s callback panicked: kaboom")
}

func TestReader_AnswersByTheHandler_16_17_19_27(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var got []bool
	w.reader(Options{MaxInFlight: 9, Handler: func(m *Message) error {
		switch string(m.Body) {
		case "finish":
			got = append(got, m.Finish(), m.Finish(), m.Requeue(0), m.RequeueWithoutBackoff(0), m.Touch())
			return errBoom // too late: it is answered
		case "requeue":
			got = append(got, m.RequeueWithoutBackoff(0), m.Finish())
			if m.Attempts == 1 {
				return nil
			}
		case "touch":
			got = append(got, m.Touch(), m.Touch(), m.Responded())
		}
		return nil
	}})
	b.send("finish")
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, RDY 9, FIN")
	if want := "[true false false false false]"; fmt.Sprint(got) != want {
		t.Errorf("answers said %v, want %s", got, want)
	}
	got = nil
	b.waiting = nil
	b.send("touch")
	w.Run(time.Second)
	// Both touches are one; the handler's nil finishes at once, and the touch
	// that leaves with it would be for nothing.
	b.wantTrace("FIN")
	if want := "[true true false]"; fmt.Sprint(got) != want {
		t.Errorf("answers said %v, want %s", got, want)
	}
}

func TestReader_ExplicitDelayOfZero_27(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.reader(Options{MaxInFlight: 9, Handler: func(m *Message) error {
		if m.Attempts < 3 {
			m.RequeueWithoutBackoff(0)
			return Pending
		}
		return nil
	}})
	b.send("x")
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, RDY 9, REQ 0, REQ 0, FIN")
}

func TestReader_PendingAnsweredLater_11_12_16(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var kept []*Message
	r := w.reader(Options{MaxInFlight: 9, Handler: func(m *Message) error {
		kept = append(kept, m)
		return Pending
	}})
	b.send("a", "b", "c")
	w.until("three messages", func() bool { return len(kept) == 3 })
	b.wantTrace("SUB, RDY 1, RDY 9")
	if s := r.snapshot(); s.Unanswered != 3 || s.InFlight != 3 {
		t.Errorf("got %+v, want three unanswered", s)
	}
	w.l.Do(func() { // from a timer, say
		kept[0].Finish()
		kept[1].Finish()
		kept[2].Requeue(AutoDelay)
	})
	w.Run(10 * time.Millisecond)
	b.wantTrace("FIN, FIN, RDY 0, REQ 90000")
	if got := string(kept[0].Body) + string(kept[1].Body) + string(kept[2].Body); got != "abc" {
		t.Errorf("kept bodies read %q", got)
	}
}

func TestReader_TouchMovesTheDeadline_18_85(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var m *Message
	r := w.reader(Options{Handler: func(got *Message) error { m = got; return Pending }})
	b.send("x")
	w.until("a message", func() bool { return m != nil })
	first := m.Deadline()
	if d := first.Sub(w.Now()); d <= 59*time.Second || d > time.Minute {
		t.Errorf("deadline in %v, want a minute", d)
	}
	if d := m.HardDeadline().Sub(w.Now()); d <= 14*time.Minute || d > 15*time.Minute {
		t.Errorf("hard deadline in %v, want 15 minutes", d)
	}
	w.Run(50 * time.Second)
	w.l.Do(func() { m.Touch() })
	w.Run(50 * time.Second)
	if d := m.Deadline().Sub(first); d < 49*time.Second || d > 51*time.Second {
		t.Errorf("the deadline moved by %v, want 50 s", d)
	}
	if !m.Finish() {
		t.Error("a touched message could not be finished after its first deadline")
	}
	if !m.Deadline().IsZero() || !m.HardDeadline().IsZero() {
		t.Error("an answered message has a deadline")
	}
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, TOUCH, FIN")
	if b.finished() != 1 || r.snapshot().Expired != 0 {
		t.Error("the message was lost")
	}
}

func TestReader_TouchesOfATurnAreOne(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var m *Message
	w.reader(Options{Handler: func(got *Message) error { m = got; return Pending }})
	b.send("x")
	w.until("a message", func() bool { return m != nil })
	for range 3 {
		w.l.Do(func() { m.Touch(); m.Touch() })
		w.Run(time.Second)
	}
	b.wantTrace("SUB, RDY 1, TOUCH, TOUCH, TOUCH")
}

// TestReader_DeadlinesAreKeptInOrder_83 touches a message so late that its
// hard deadline comes before the deadline of one that arrived after it.
func TestReader_DeadlinesAreKeptInOrder_83(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.mock.Identify = strings.Replace(b.mock.Identify, `"max_msg_timeout":900000`, `"max_msg_timeout":70000`, 1)
	var kept []*Message
	r := w.reader(Options{MaxInFlight: 5, Handler: func(m *Message) error { kept = append(kept, m); return Pending }})
	b.send("first")
	w.Run(20 * time.Second)
	b.send("second")
	w.Run(30 * time.Second)
	w.l.Do(func() { kept[0].Touch() })
	w.Run(19900 * time.Millisecond)
	if r.stats.Expired != 0 {
		t.Error("expired too early")
	}
	w.Run(200 * time.Millisecond)
	if r.stats.Expired != 1 || !kept[0].Responded() || kept[1].Responded() {
		t.Errorf("%d expired, want the first", r.stats.Expired)
	}
}

func TestReader_TouchStopsAtTheHardDeadline_85(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.mock.Identify = strings.Replace(b.mock.Identify, `"max_msg_timeout":900000`, `"max_msg_timeout":70000`, 1)
	var m *Message
	w.reader(Options{Handler: func(got *Message) error { m = got; return Pending }})
	b.send("x")
	w.until("a message", func() bool { return m != nil })
	hard := m.HardDeadline()
	w.Run(50 * time.Second)
	w.l.Do(func() { m.Touch() })
	w.Run(time.Millisecond)
	if !m.Deadline().Equal(hard) {
		t.Errorf("deadline %v, want the hard one, %v", m.Deadline(), hard)
	}
}

func TestReader_MessageExpiresHere_83(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.setMsgTimeout(10 * time.Second)
	var kept []*Message
	r := w.reader(Options{MaxInFlight: 2, Handler: func(m *Message) error { kept = append(kept, m); return Pending }})
	b.send("x", "y")
	w.until("both", func() bool { return len(kept) == 2 })
	w.l.Do(func() { kept[1].Touch() })
	w.Run(9 * time.Second)
	if s := r.snapshot(); s.InFlight != 2 || s.Expired != 0 {
		t.Errorf("before the deadline: %+v", s)
	}
	w.until("a redelivery", func() bool { return len(kept) == 3 })
	w.Run(time.Second)
	if s := r.snapshot(); s.InFlight != r.nodes[0].conn.inFlight || s.InFlight > 2 || s.Expired == 0 {
		t.Errorf("after the deadline: %+v", s)
	}
	if kept[0].Finish() || kept[0].Touch() || !kept[0].Responded() || !kept[0].Deadline().IsZero() {
		t.Error("an expired message took an answer")
	}
	if kept[2].Attempts != 2 || !kept[2].Finish() {
		t.Error("the second delivery could not be finished")
	}
	w.Run(time.Second)
	if b.finished() != 1 {
		t.Errorf("%d messages finished, want 1", b.finished())
	}
}

func TestReader_Attempts_20_21_24(t *testing.T) {
	for _, tt := range []struct {
		name     string
		max      int
		attempts uint16
		handled  int
		givenUp  int
	}{
		{"20 the last one", 0, 5, 1, 0},
		{"21 one more", 0, 6, 0, 1},
		{"23 any number", -1, 100, 1, 0},
		{"24 unsigned", -1, 40000, 1, 0},
		{"24 unsigned, too many", 5, 40000, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, looptest.Options{})
			b := w.broker("nsqd")
			handled, givenUp := 0, 0
			r := w.reader(Options{
				MaxAttempts: tt.max,
				Handler: func(m *Message) error {
					handled++
					if m.Attempts != tt.attempts {
						t.Errorf("attempts %d, want %d", m.Attempts, tt.attempts)
					}
					return nil
				},
				OnGiveUp: func(m *Message) {
					givenUp++
					if m.Responded() {
						t.Error("answered before the hook")
					}
				},
			})
			b.send("x")
			b.all[0].attempts = tt.attempts - 1
			w.until("the end", func() bool { return b.finished() == 1 })
			if handled != tt.handled || givenUp != tt.givenUp {
				t.Errorf("handled %d and gave up %d times, want %d and %d", handled, givenUp, tt.handled, tt.givenUp)
			}
			if s := r.snapshot(); s.Received != 1 || s.Handled != uint64(handled) || s.GivenUp != uint64(givenUp) {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestReader_GiveUpIsNeutral_234(t *testing.T) {
	w, b, r, handler := traced(t, 5, Options{OnGiveUp: func(m *Message) { panic("hooks may") }})
	for _, how := range "gb" {
		w.step(r, b, handler, byte(how))
	}
	b.trace = nil
	m := &stored{id: "hopeless", body: "x", attempts: 99}
	b.on(func() { b.waiting = append(b.waiting, m); b.dispatch() })
	w.Run(time.Second)
	b.wantTrace("RDY 0, FIN")
	if m.finished != 1 || r.throttle.level() != 1 || r.stats.GivenUp != 1 {
		t.Errorf("finished %d times, level %d, given up %d, want 1 of each", m.finished, r.throttle.level(), r.stats.GivenUp)
	}
}

// TestReader_FailingMessageIsGivenUp_22 publishes four messages, one of which
// always fails.
func TestReader_FailingMessageIsGivenUp_22(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	handled, givenUp := 0, 0
	r := w.reader(Options{
		MaxAttempts: 5, RequeueDelay: -1, MaxBackoff: -1,
		Handler: func(m *Message) error {
			handled++
			if string(m.Body) == "bad" {
				return errBoom
			}
			return nil
		},
		OnGiveUp: func(m *Message) { givenUp++ },
	})
	b.send("good", "good", "bad", "good")
	w.until("all finished", func() bool { return b.finished() == 4 })
	if handled != 8 || givenUp != 1 {
		t.Errorf("handled %d and gave up %d times, want 8 and 1", handled, givenUp)
	}
	if s := r.snapshot(); s.Received != s.Handled+s.GivenUp { // statement 77
		t.Errorf("got %+v", s)
	}
}

func TestReader_MessageFields(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var m *Message
	w.reader(Options{Handler: func(got *Message) error { m = got; return nil }})
	sent := w.Now()
	b.send("body")
	w.until("a message", func() bool { return m != nil })
	if string(m.Body) != "body" || m.Attempts != 1 || m.NSQD != "nsqd:4150" ||
		m.ID.String() != wire.ID(mocknsqd.ID(b.all[0].id)).String() || m.Timestamp.Before(sent) {
		t.Errorf("got %v %q %d %s at %v", m.ID, m.Body, m.Attempts, m.NSQD, m.Timestamp)
	}
}

func TestReader_RefusedAnswersAreEvents_82_235(t *testing.T) {
	for _, counts := range []bool{false, true} {
		w := newWorld(t, looptest.Options{})
		b := w.broker("nsqd")
		var errs []error
		var m *Message
		r := w.reader(Options{
			FinishErrorsBackOff: counts,
			OnError:             func(err error) { errs = append(errs, err) },
			Handler:             func(got *Message) error { m = got; return Pending },
		})
		b.send("x")
		w.until("a message", func() bool { return m != nil })
		b.on(func() { b.take(b.peers[0].inFlight[0]) }) // nsqd thinks otherwise
		w.l.Do(func() { m.Finish() })
		w.until("an error", func() bool { return len(errs) > 0 })
		if !errors.Is(errs[0], client.ErrFinFailed) || !strings.Contains(errs[0].Error(), "nsqd:4150") {
			t.Errorf("got error %v", errs[0])
		}
		w.Run(time.Second)
		if b.open() != 1 || r.snapshot().Refused != 1 {
			t.Error("the connection is gone")
		}
		if got := r.throttle.level() > 0; got != counts {
			t.Errorf("counts as failure: %v, want %v", got, counts)
		}
	}
}
