package reader

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

func TestReader_BuildingOpensNoSocket_6(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r := w.reader(Options{})
	if len(r.nodes) != 0 || b.mock.Accepted != 0 {
		t.Error("something was dialled before the loop has run")
	}
	w.connected(r, 1)
}

func TestReader_TwoOnOneLoop_64(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	a, b := w.broker("a"), w.broker("b")
	got := map[string]int{}
	for _, broker := range []*broker{a, b} {
		w.reader(Options{
			Topic: "topic-" + broker.addr[:1], Channel: "c", NSQDs: []string{broker.addr}, MaxInFlight: 3,
			Handler: func(m *Message) error { got[broker.addr]++; return nil },
		})
	}
	a.send("1", "2")
	b.send("1", "2", "3")
	w.until("all finished", func() bool { return a.finished() == 2 && b.finished() == 3 })
	if got["a:4150"] != 2 || got["b:4150"] != 3 {
		t.Errorf("handled %v", got)
	}
}

func TestReader_ConnectionEvents_67_68(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	a, b := w.broker("a"), w.broker("b")
	r := w.reader(Options{})
	w.connected(r, 2)
	got := strings.Join(w.events, " ")
	if got != "connect a:4150 connect b:4150" && got != "connect b:4150 connect a:4150" {
		t.Errorf("events %q", got)
	}
	w.events = nil
	b.on(b.mock.Stop)
	w.until("one connection", func() bool { return len(r.ready.slots) == 1 })
	w.Run(time.Millisecond)
	if w.events[0] != "disconnect b:4150" {
		t.Errorf("events %q", w.events)
	}
	w.events = nil
	a.on(a.mock.Cut)
	w.connected(r, 1)
	if w.events[0] != "disconnect a:4150" || !strings.Contains(strings.Join(w.events, " "), "connect a:4150") {
		t.Errorf("events %q", w.events)
	}
}

func TestReader_AddressesAreUnique_65_66_78(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.lookups.Name("lookup:4161", b.addr)
	r := w.reader(Options{NSQDs: []string{b.addr}, Lookupds: []string{"lookup:4161"}})
	w.connected(r, 1)
	w.Run(5 * time.Minute)
	if b.mock.Accepted != 1 {
		t.Errorf("%d connections were made to one address", b.mock.Accepted)
	}
	if err := r.AddNSQD(b.addr); !errors.Is(err, ErrDuplicate) {
		t.Errorf("adding it again: %v, want ErrDuplicate", err)
	}
	if err := r.RemoveNSQD("other:4150"); !errors.Is(err, ErrNotThere) {
		t.Errorf("removing another: %v, want ErrNotThere", err)
	}
	if err := r.AddNSQD("no port"); err == nil {
		t.Error("a bad address was added")
	}
}

func TestReader_RemoveNSQDAnswersWhatIsInFlight(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	a, b := w.broker("a"), w.broker("b")
	var m *Message
	r := w.reader(Options{MaxInFlight: 4, Handler: func(got *Message) error { m = got; return Pending }})
	w.connected(r, 2)
	a.send("x")
	w.until("a message", func() bool { return m != nil })
	if err := r.RemoveNSQD(a.addr); err != nil {
		t.Fatal(err)
	}
	w.Run(time.Second)
	a.wantTrace("SUB, RDY 1, RDY 2, CLS")
	if a.open() != 1 || !m.Finish() {
		t.Error("closed before the message was answered")
	}
	w.Run(time.Minute)
	a.wantTrace("FIN")
	if a.open() != 0 || a.mock.Accepted != 1 || a.finished() != 1 {
		t.Error("the removed nsqd is still connected")
	}
	b.send("y")
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, RDY 4")
	w.l.Do(func() { r.AddNSQD(a.addr) })
	w.until("both again", func() bool { return len(r.ready.slots) == 2 })
}

func TestReader_FailedDialIsReportedAndCanBeRemoved_79(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r := w.reader(Options{NSQDs: []string{b.addr, "nowhere:4150"}})
	w.connected(r, 1)
	w.until("an error", func() bool { return r.stats.Errors > 0 })
	w.Run(time.Millisecond)
	if got := strings.Join(w.events, "\n"); !strings.Contains(got, "error dial nowhere:4150: ") {
		t.Errorf("events %q", got)
	}
	if err := r.RemoveNSQD("nowhere:4150"); err != nil {
		t.Fatal(err)
	}
	w.Run(5 * time.Second)
	before := r.stats.Errors
	w.Run(5 * time.Minute)
	if r.stats.Errors != before || len(r.nodes) != 1 {
		t.Error("it is still dialled")
	}
}

func TestReader_DirectNodeThatIsDownAtTheStart_197(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.on(b.mock.Stop)
	r := w.reader(Options{})
	w.Run(20 * time.Second)
	b.on(b.start)
	w.within(4*time.Second, "a connection", func() bool { return len(r.ready.slots) == 1 })
}

// TestReader_ComesBackWithinASecond_196 measures from the end of an outage to
// the next message.
func TestReader_ComesBackWithinASecond_196(t *testing.T) {
	for _, outage := range []time.Duration{0, 200 * time.Millisecond, 2 * time.Second, 10 * time.Second, 75 * time.Second} {
		w := newWorld(t, looptest.Options{})
		b := w.broker("nsqd")
		r := w.reader(Options{MaxInFlight: 5})
		w.connected(r, 1)
		w.Run(10 * time.Second)
		b.on(b.mock.Stop)
		w.Run(outage)
		b.on(b.start)
		b.send("x")
		w.within(time.Second, fmt.Sprintf("a message after %v", outage), func() bool { return b.finished() == 1 })
	}
}

// TestReader_RedialsSlowDown_196 counts the dials of a long outage.
func TestReader_RedialsSlowDown_196(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	accept := false
	b.mock.OnAccept = func(*mocknsqd.Conn) bool { return accept }
	r := w.reader(Options{})
	w.Run(time.Hour)
	if n := b.mock.Accepted; n < 550 || n > 800 {
		t.Errorf("dialled %d times in an hour, want about 650: two a second in the first minute, and then less and less", n)
	}
	accept = true
	w.within(time.Minute, "a connection", func() bool { return len(r.ready.slots) == 1 })
	w.Run(2 * time.Second)
	before := b.mock.Accepted
	b.on(b.mock.Cut)
	w.within(100*time.Millisecond, "a quick redial", func() bool { return b.mock.Accepted == before+1 })
}

// TestReader_LeavesARefusingNSQDAlone counts the connections to an nsqd that is
// there and refuses the subscription.
func TestReader_LeavesARefusingNSQDAlone(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.subReply = func(c *mocknsqd.Conn) bool { c.Fail(wire.CodeSubFailed, "SUB failed: full"); return true }
	w.reader(Options{})
	w.Run(time.Hour)
	if n := b.mock.Accepted; n < 100 || n > 220 {
		t.Errorf("%d connections in an hour, want about 150", n)
	}
}

// TestReader_WarnsOncePerOutage reads the log of two outages.
func TestReader_WarnsOncePerOutage(t *testing.T) {
	var out testwait.Buffer
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r := w.reader(Options{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	for range 2 {
		w.connected(r, 1)
		b.on(b.mock.Stop)
		w.Run(10 * time.Second)
		b.on(b.start)
	}
	w.connected(r, 1)
	warned := strings.Count(out.String(), `level=WARN msg="no connection: will try until there is one"`)
	again := strings.Count(out.String(), `level=DEBUG msg="still no connection"`)
	if warned != 2 || again < 20 {
		t.Errorf("%d warnings and %d repetitions of them, want 2 and 20 or more", warned, again)
	}
}

// TestReader_FlappingConnectionIsNoStorm cuts each connection at once.
func TestReader_FlappingConnectionIsNoStorm(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.subReply = func(c *mocknsqd.Conn) bool { c.OK(); c.Close(); return true }
	w.reader(Options{})
	w.Run(time.Minute)
	if n := b.mock.Accepted; n > 130 { // two a second
		t.Errorf("%d connections in a minute", n)
	}
}

func TestReader_RefusedSubscription(t *testing.T) {
	for _, tt := range []struct {
		code wire.Code
		is   error
		most int // dials in a minute
	}{
		{wire.CodeBadChannel, client.ErrBadChannel, 4},
		{wire.CodeUnauthorized, client.ErrUnauthorized, 4},
		{wire.CodeSubFailed, client.ErrSubFailed, 80}, // the channel is full: somebody may leave
	} {
		w := newWorld(t, looptest.Options{})
		b := w.broker("nsqd")
		b.subReply = func(c *mocknsqd.Conn) bool { c.Fail(tt.code, "no"); return true }
		var errs []error
		r := w.reader(Options{OnError: func(err error) { errs = append(errs, err) }})
		w.Run(time.Minute)
		if len(errs) == 0 || !errors.Is(errs[0], tt.is) || !strings.Contains(errs[0].Error(), "subscribe to topic/channel") {
			t.Errorf("%s: errors %v", tt.code, errs)
		}
		if n := b.mock.Accepted; n < 2 || n > tt.most {
			t.Errorf("%s: dialled %d times in a minute, want 2 to %d", tt.code, n, tt.most)
		}
		if len(w.events) > 0 {
			t.Errorf("%s: events %q for a connection that never was", tt.code, w.events)
		}
		b.subReply = nil
		w.connected(r, 1)
	}
}

func TestReader_SubscriptionIsAwaited(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.subReply = func(c *mocknsqd.Conn) bool { return true } // silence
	var errs []error
	r := w.reader(Options{OnError: func(err error) { errs = append(errs, err) }})
	w.Run(3 * time.Second)
	b.wantTrace("SUB") // no RDY yet
	if s := r.snapshot(); s.Connections != 0 || s.NSQDs[0].State != "subscribing" {
		t.Errorf("got %+v", s)
	}
	w.until("an error", func() bool { return len(errs) > 0 })
	if !errors.Is(errs[0], client.ErrTimeout) {
		t.Errorf("got error %v, want ErrTimeout", errs[0])
	}
	b.subReply = nil
	w.connected(r, 1)
}

func TestReader_ProtocolViolationsCloseTheConnection(t *testing.T) {
	for name, violate := range map[string]func(c *mocknsqd.Conn) bool{
		"message before OK": func(c *mocknsqd.Conn) bool { c.Message("x", 1, time.Unix(0, 0), "x"); return true },
		"not OK":            func(c *mocknsqd.Conn) bool { c.Respond("WAT"); return true },
	} {
		w := newWorld(t, looptest.Options{})
		b := w.broker("nsqd")
		b.subReply = violate
		var errs []error
		r := w.reader(Options{OnError: func(err error) { errs = append(errs, err) }})
		w.until("an error", func() bool { return len(errs) > 0 })
		if !errors.Is(errs[0], client.ErrProtocol) {
			t.Errorf("%s: got error %v, want ErrProtocol", name, errs[0])
		}
		b.subReply = nil
		w.connected(r, 1)
	}
}

func TestReader_AnswerAfterTheConnectionDied_81(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var m *Message
	r := w.reader(Options{Handler: func(got *Message) error { m = got; return Pending }})
	b.send("x")
	w.until("a message", func() bool { return m != nil })
	b.on(b.mock.Stop)
	w.until("the loss", func() bool { return len(r.ready.slots) == 0 })
	if m.Finish() || m.Requeue(0) || m.Touch() || !m.Responded() || !m.Deadline().IsZero() {
		t.Error("an answer to nobody had an effect")
	}
	if s := r.snapshot(); s.InFlight != 0 || s.Unanswered != 0 {
		t.Errorf("got %+v", s)
	}
}

// TestReader_ConnectionDiesBetweenAnswerAndTurn answers from outside the loop,
// which sees the connection's end first.
func TestReader_ConnectionDiesBetweenAnswerAndTurn_81(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var m *Message
	r := w.reader(Options{Handler: func(got *Message) error { m = got; return Pending }})
	b.send("x")
	w.until("a message", func() bool { return m != nil })
	w.Links("reader", "nsqd")[0].Reset()
	if !m.Finish() {
		t.Error("the answer was not taken")
	}
	w.Run(time.Millisecond)
	if r.stats.Lost != 1 || r.stats.Finished != 0 {
		t.Errorf("lost %d and finished %d, want 1 and 0", r.stats.Lost, r.stats.Finished)
	}
}

func TestReader_DisconnectDuringBackoff_222(t *testing.T) {
	w, b, r, handler := traced(t, 5, Options{})
	for _, how := range "gb" {
		w.step(r, b, handler, byte(how))
	}
	b.trace = nil
	b.on(b.mock.Cut)
	w.until("the loss", func() bool { return len(r.ready.slots) == 0 })
	w.connected(r, 1)
	w.step(r, b, handler, 'g')
	b.wantTrace("SUB, RDY 1, RDY 5, FIN")
}

// TestReader_ManyConnectionsThroughBackoff_218_219 plays random results on five
// nsqd, one of which is cut every fifth step.
func TestReader_ManyConnectionsThroughBackoff_218_219(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	for i := range 5 {
		w.broker(fmt.Sprintf("nsqd%d", i))
	}
	var r *Reader
	published := 0
	r = w.reader(Options{MaxInFlight: 10, RequeueDelay: 10 * time.Millisecond, MaxAttempts: -1, Handler: func(m *Message) error {
		if sum := r.ready.sum(); r.throttle.level() > 0 && r.throttle.phase == probing && sum > 1 {
			t.Errorf("the ready counts add up to %d while probing", sum)
		}
		if w.l.Rand().IntN(4) == 0 {
			return errBoom
		}
		return nil
	}})
	w.connected(r, 5)
	for i := range 50 {
		b := w.brokers[w.l.Rand().IntN(5)]
		if i%5 == 4 {
			b.on(b.mock.Cut)
		}
		b.send("x")
		published++
		w.Run(time.Second)
		if sum := r.ready.sum(); r.throttle.phase == halted && sum != 0 {
			t.Errorf("the ready counts add up to %d in a pause", sum)
		}
	}
	w.within(time.Hour, "all finished", func() bool {
		n := 0
		for _, b := range w.brokers {
			n += b.finished()
		}
		return n == published
	})
}

// TestReader_BlockedHandlerKeepsTheConnection_76 blocks a worker while four
// heartbeats come.
func TestReader_BlockedHandlerKeepsTheConnection_76(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.setMsgTimeout(10 * time.Minute)
	started, release := make(chan struct{}), make(chan struct{})
	r := w.reader(Options{Workers: 1, Handler: func(m *Message) error {
		close(started)
		<-release
		return nil
	}})
	b.send("x")
	w.until("a message", func() bool { return r.stats.Handled == 1 })
	<-started
	w.Run(2 * time.Minute)
	if b.open() != 1 || b.mock.Accepted != 1 {
		t.Error("the connection was lost")
	}
	close(release)
	for b.finished() == 0 { // until the worker has posted
		w.Run(time.Millisecond)
		runtime.Gosched()
	}
	w.l.Do(func() { r.Close() })
	w.until("the end", func() bool { return r.final.Load() != nil })
}

// TestReader_WorkersSkipWhatIsLost blocks the worker until the connection of
// the message behind is gone.
func TestReader_WorkersSkipWhatIsLost(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	started, release := make(chan struct{}, 3), make(chan struct{})
	r := w.reader(Options{Workers: 1, MaxInFlight: 2, Handler: func(m *Message) error {
		started <- struct{}{}
		<-release
		return nil
	}})
	b.send("x", "y")
	w.until("two messages", func() bool { return r.stats.Handled == 2 })
	<-started
	b.on(b.mock.Stop)
	w.until("the loss", func() bool { return len(r.ready.slots) == 0 })
	close(release)
	for idle := false; !idle; runtime.Gosched() {
		r.workers.lock.Lock()
		idle = r.workers.idle == 1
		r.workers.lock.Unlock()
	}
	w.l.Do(func() { r.Close() })
	<-r.workers.ended
	if len(started) != 0 {
		t.Error("the handler was called for a message that is lost")
	}
	w.until("the end", func() bool { return r.final.Load() != nil })
}

func TestReader_OthersGrowAtOnce_59(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	a, b := w.broker("a"), w.broker("b")
	r := w.reader(Options{MaxInFlight: 10})
	w.connected(r, 2)
	a.send("x")
	b.send("x")
	w.Run(time.Second)
	a.trace = nil
	b.on(b.mock.Stop)
	w.Run(10 * time.Millisecond)
	a.wantTrace("RDY 10")
}

func TestReader_OneSlowDialDelaysNoOther_201(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	w.broker("slow")
	b := w.broker("quick")
	w.Partition("reader", "slow")
	r := w.reader(Options{})
	b.send("x")
	w.within(100*time.Millisecond, "a message", func() bool { return b.finished() == 1 })
	w.Heal("reader", "slow")
	w.within(5*time.Second, "both", func() bool { return len(r.ready.slots) == 2 })
}
