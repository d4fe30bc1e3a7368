package reader

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

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

func TestReader_Logs_5_38(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.mock.Identify = strings.Replace(b.mock.Identify, `"max_rdy_count":2500`, `"max_rdy_count":10`, 1)
	var out strings.Builder
	r := w.reader(Options{Topic: "orders", Channel: "billing", MaxInFlight: 20, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	b.send("x")
	w.connected(r, 1)
	b.on(func() { b.waiting = append(b.waiting, &stored{id: "y", body: "y", attempts: 9}); b.dispatch() })
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, RDY 10, FIN, FIN")
	for _, want := range []string{
		"level=INFO msg=subscribed topic=orders channel=billing nsqd=nsqd:4150",
		"level=WARN msg=\"nsqd accepts a smaller ready count than max in flight\" topic=orders channel=billing nsqd=nsqd:4150 max_rdy_count=10 max_in_flight=20",
		"level=ERROR msg=\"message given up\" topic=orders channel=billing nsqd=nsqd:4150 id=y000000000000000 attempts=10 bytes=1",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, out.String())
		}
	}
}

func TestReader_OldNSQDAcceptsReadyCountsUpTo2500_39(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.mock.Identify = "OK"
	w.reader(Options{MaxInFlight: 3000})
	b.send("x")
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, RDY 2500, FIN")
}
