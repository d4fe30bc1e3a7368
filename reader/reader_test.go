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

var errBoom = errors.New("boom")

// step publishes one message, lets the handler answer it in the given way and
// waits until the pause that may follow is over.
func (w *world) step(r *Reader, b *broker, handler *Handler, how byte) {
	w.t.Helper()
	handled := false
	*handler = func(*Message) error {
		handled = true
		return map[byte]error{'g': nil, 'b': errBoom, 'n': WithoutBackoff(nil), 'd': Discard(nil)}[how]
	}
	b.send("x")
	w.until("the message handled", func() bool { return handled })
	w.within(200*time.Second, "the end of the pause", func() bool { return r.throttle.phase != halted })
	w.Run(10 * time.Millisecond)
}

// traced is a reader of one broker, whose requeued messages stay away.
func traced(t *testing.T, maxInFlight int, o Options) (*world, *broker, *Reader, *Handler) {
	t.Helper()
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var handler Handler
	o.MaxInFlight = maxInFlight
	o.RequeueDelay, o.MaxRequeueDelay = time.Hour, time.Hour
	o.Handler = func(m *Message) error { return handler(m) }
	r := w.reader(o)
	w.connected(r, 1)
	return w, b, r, &handler
}

func TestReader_WireTraces(t *testing.T) {
	const req = "REQ 3600000"
	for _, tt := range []struct {
		name        string
		maxInFlight int
		steps       string
		want        string
	}{
		{"7, 31, 32: share after the first message", 5, "ggg", "SUB, RDY 1, RDY 5, FIN, FIN, FIN"},
		{"8, 214", 5, "gbg", "SUB, RDY 1, RDY 5, FIN, RDY 0, " + req + ", RDY 1, RDY 5, FIN"},
		{"220", 5, "gggbbgg", "SUB, RDY 1, RDY 5, FIN, FIN, FIN, RDY 0, " + req + ", RDY 1, RDY 0, " + req +
			", RDY 1, RDY 0, FIN, RDY 1, RDY 5, FIN"},
		{"221", 1, "bng", "SUB, RDY 1, RDY 0, " + req + ", RDY 1, RDY 0, " + req + ", RDY 1, FIN"},
		{"30: no backoff, no pause", 5, "gng", "SUB, RDY 1, RDY 5, FIN, " + req + ", FIN"},
		{"216: a probe without backoff repeats the pause", 5, "gbng", "SUB, RDY 1, RDY 5, FIN, RDY 0, " + req + ", RDY 1, RDY 0, " + req + ", RDY 1, RDY 5, FIN"},
		{"25, 26: discard finishes and is neutral", 5, "gdbdg", "SUB, RDY 1, RDY 5, FIN, FIN, RDY 0, " + req + ", RDY 1, RDY 0, FIN, RDY 1, RDY 5, FIN"},
		{"232: no backoff", -1, "bbg", "SUB, RDY 1, RDY 5, " + req + ", " + req + ", FIN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{}
			if tt.maxInFlight < 0 {
				tt.maxInFlight, o.MaxBackoff = 5, -1
			}
			w, b, r, handler := traced(t, tt.maxInFlight, o)
			for i := range tt.steps {
				w.step(r, b, handler, tt.steps[i])
			}
			b.wantTrace(tt.want)
		})
	}
}

// TestReader_RandomResults_217 compares fifty random results on one connection
// with what the rules say.
func TestReader_RandomResults_217(t *testing.T) {
	w, b, r, handler := traced(t, 5, Options{})
	want := []string{"SUB", "RDY 1", "RDY 5"}
	level := 0
	for i := range 60 {
		how := "gbn"[w.l.Rand().IntN(3)]
		if i >= 50 {
			how = 'g'
		}
		answer := "REQ 3600000"
		if how == 'g' {
			answer = "FIN"
		}
		was := level
		switch {
		case how == 'b':
			level++
		case how == 'g' && level > 0:
			level--
		}
		switch {
		case level > 0:
			if i == 0 {
				want = want[:len(want)-1] // the pause comes in the turn that earned the share
				want = append(want, "RDY 5")
			}
			want = append(want, "RDY 0", answer, "RDY 1")
		case was > 0:
			want = append(want, "RDY 5", answer)
		default:
			want = append(want, answer)
		}
		w.step(r, b, handler, how)
		if got := r.throttle.level(); got != level {
			t.Fatalf("after step %d (%c): level %d, want %d", i, how, got, level)
		}
	}
	b.wantTrace(strings.Join(want, ", "))
}

func TestReader_BackoffEvents_236(t *testing.T) {
	w, b, r, handler := traced(t, 5, Options{})
	for _, how := range "gbbgg" {
		w.step(r, b, handler, byte(how))
	}
	w.wantEvents("connect nsqd:4150",
		"backoff 1 3.584s boom", "backoff 2 7.168s boom", "backoff 1 3.584s <nil>", "resume")
	if s := r.snapshot(); s.Pauses != 3 || s.Backoff || s.Level != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestReader_PauseAndResume_45_47_48(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r := w.reader(Options{MaxInFlight: 5})
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	b.send("early")
	w.Run(time.Minute)
	b.wantTrace("SUB")
	w.l.Do(func() { r.Resume() })
	w.Run(time.Second)
	b.wantTrace("RDY 1, RDY 5, FIN")
	w.l.Do(func() { r.Pause() })
	w.Run(time.Second)
	b.send("meanwhile")
	w.Run(time.Minute)
	b.wantTrace("RDY 0")
	if !r.snapshot().Paused {
		t.Error("not paused")
	}
	w.l.Do(func() { r.Resume() })
	w.Run(time.Second)
	b.wantTrace("RDY 5, FIN")
}

func TestReader_PausedReaderGetsNoRequeuedMessage_46(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	calls := 0
	var r *Reader
	r = w.reader(Options{Handler: func(m *Message) error {
		calls++
		r.Pause()
		return RequeueAfter(0, nil)
	}})
	b.send("x")
	w.Run(5 * time.Minute)
	if calls != 1 {
		t.Errorf("handled %d times, want once", calls)
	}
}

func TestReader_SetMaxInFlight_43(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r := w.reader(Options{MaxInFlight: 5})
	w.connected(r, 1)
	b.send("x")
	w.Run(time.Second)
	w.l.Do(func() { r.SetMaxInFlight(0) })
	w.Run(time.Second)
	b.send("y")
	w.Run(time.Minute)
	b.wantTrace("SUB, RDY 1, RDY 5, FIN, RDY 0")
	w.l.Do(func() { r.SetMaxInFlight(3) })
	w.Run(time.Second)
	b.wantTrace("RDY 1, RDY 3, FIN")
	if err := r.SetMaxInFlight(-1); err == nil {
		t.Error("a negative max in flight was taken")
	}
}

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

// TestReader_TheSeedsReader is pynsq's asynchronous example: messages are
// cached, and every third one answers them all.
func TestReader_TheSeedsReader(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var cache []*Message
	w.reader(Options{MaxInFlight: 9, Handler: func(m *Message) error {
		cache = append(cache, m)
		if len(cache) >= 3 {
			for _, c := range cache {
				c.Finish()
			}
			cache = nil
		}
		return Pending
	}})
	for i := range 30 {
		b.send(fmt.Sprint(i))
	}
	w.until("all finished", func() bool { return b.finished() == 30 })
}

func TestReader_StarvedBatchesNeverStall_61(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	for i := range 3 {
		w.broker(fmt.Sprintf("nsqd%d", i))
	}
	var batch []*Message
	var r *Reader
	r = w.reader(Options{MaxInFlight: 8, Handler: func(m *Message) error {
		batch = append(batch, m)
		if r.Starved() {
			for _, m := range batch {
				m.Finish()
			}
			batch = nil
		}
		return Pending
	}})
	w.connected(r, 3)
	for _, b := range w.brokers {
		for i := range 20 {
			b.send(fmt.Sprint(i))
		}
	}
	w.Run(5 * time.Second)
	total := 0
	for _, b := range w.brokers {
		total += b.finished()
	}
	if left := 60 - total; left >= 8 {
		t.Errorf("%d messages are left: the batches stalled", left)
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

func TestReader_HeartbeatsNeverTouchBackoff_233(t *testing.T) {
	w, b, r, handler := traced(t, 5, Options{})
	w.step(r, b, handler, 'g')
	w.step(r, b, handler, 'b')
	level := r.throttle.level()
	for range 10 {
		b.on(func() { b.mock.Conns[0].Heartbeat() })
		w.Run(time.Second)
	}
	if r.throttle.level() != level || r.ready.sum() != 1 {
		t.Error("a heartbeat had an effect")
	}
}

func TestReader_HandlerNeverHasMoreThanMaxInFlight(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	a := w.broker("a")
	a.send(strings.Split(strings.Repeat("x ", 50), " ")...)
	var kept []*Message
	r := w.reader(Options{MaxInFlight: 6, Handler: func(m *Message) error {
		kept = append(kept, m)
		if len(kept) > 6 {
			t.Errorf("the handler has %d messages", len(kept))
		}
		return Pending
	}})
	w.until("six messages", func() bool { return len(kept) == 6 })
	// The budget shrinks while nsqd is sending: what comes in excess waits.
	w.l.Do(func() { kept[0].Finish(); kept = kept[1:]; r.SetMaxInFlight(5) })
	w.Run(time.Second)
	if got := r.snapshot(); got.Unanswered > 5 {
		t.Errorf("the handler has %d messages, want at most 5", got.Unanswered)
	}
	for range 100 {
		w.l.Do(func() {
			for _, m := range kept {
				m.Finish()
			}
			kept = nil
		})
		w.Run(20 * time.Millisecond)
	}
	if got := a.finished(); got != len(a.all) {
		t.Errorf("%d of %d finished", got, len(a.all))
	}
}

func TestReader_AnswersCostNoAllocation(t *testing.T) {
	w := newWorld(t, looptest.Options{Whole: true})
	b := w.broker("nsqd")
	b.mock.Quiet = true
	r := w.reader(Options{MaxInFlight: 100})
	w.connected(r, 1)
	c := r.nodes[0].conn
	m := wire.Message{Attempts: 1, Body: make([]byte, 200)}
	var allocs float64
	w.l.Do(func() {
		c.OnMessage(m)
		// The connection's output grows to what 2000 FINs take; after that
		// there is nothing but the blocks.
		for range 2000 {
			c.OnMessage(m)
		}
		allocs = testing.AllocsPerRun(2000, func() { c.OnMessage(m) })
	})
	if allocs != 0 {
		t.Errorf("%v allocations per message", allocs)
	}
}
