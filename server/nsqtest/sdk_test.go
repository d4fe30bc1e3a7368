package nsqtest_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// consumer is a reader on a loop of its own whose messages the test answers.
type consumer struct {
	t        *testing.T
	r        *reader.Reader
	messages chan *reader.Message
}

func consume(t *testing.T, addr string, change func(*reader.Options)) *consumer {
	t.Helper()
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &consumer{t: t, messages: make(chan *reader.Message, 1000)}
	o := reader.Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 100, MaxAttempts: -1, MaxBackoff: -1,
		Handler: func(m *reader.Message) error {
			c.messages <- m
			return reader.Pending
		},
	}
	if change != nil {
		change(&o)
	}
	if c.r, err = reader.New(l, o); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// next is the next message.
func (c *consumer) next() *reader.Message {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(20 * time.Second):
		c.t.Fatalf("no message; the reader: %+v", c.r.Stats())
		return nil
	}
}

// all waits for these bodies, in any order, each any number of times.
func (c *consumer) all(bodies ...string) {
	c.t.Helper()
	missing := map[string]bool{}
	for _, b := range bodies {
		missing[b] = true
	}
	for len(missing) > 0 {
		m := c.next()
		delete(missing, string(m.Body))
		m.Finish()
	}
}

// deferred waits until a message is deferred.
func (c *consumer) deferred(s *nsqtest.Server) {
	c.t.Helper()
	testwait.Until(c.t, "a deferred message", func() bool { return s.Channel("t", "c").DeferredCount == 1 })
}

func TestServer_RestartKeepsWhatWasAcknowledged(t *testing.T) {
	s := nsqtest.Start(t)
	tcp, http := s.TCPAddr(), s.HTTPAddr()
	c := consume(t, s.TCPAddr(), nil)
	s.Publish("t", "finished", "in flight", "requeued")
	for range 3 {
		switch m := c.next(); string(m.Body) {
		case "finished":
			m.Finish()
		case "requeued":
			m.Requeue(time.Hour)
		}
	}
	s.WaitFinished("t", "c", 1)
	c.deferred(s)
	s.Kill()
	s.Kill() // does nothing
	s.Restart()
	if s.TCPAddr() != tcp || s.HTTPAddr() != http {
		t.Errorf("addresses %s, %s; they were %s, %s", s.TCPAddr(), s.HTTPAddr(), tcp, http)
	}
	m := c.next()
	if string(m.Body) != "in flight" || m.Attempts != 2 {
		t.Errorf("received %s, attempt %d, want what was in flight, for the second time", m.Body, m.Attempts)
	}
	m.Finish()
	s.WaitFinished("t", "c", 2) // the one before the restart counts
	s.Publish("t", "new")
	if m := c.next(); string(m.Body) != "new" {
		t.Errorf("received %s, want what is new", m.Body)
	}
	s.Restart() // without Kill
	if got := s.Channel("t", "c").DeferredCount; got != 1 {
		t.Errorf("%d deferred after the second restart, want 1", got)
	}
}

func TestServer_AdvanceLetsTimePass(t *testing.T) {
	s := nsqtest.Start(t)
	c := consume(t, s.TCPAddr(), nil)
	s.Publish("t", "message")
	c.next().Requeue(50 * time.Minute)
	c.deferred(s)
	s.Advance(49 * time.Minute)
	if got := s.Channel("t", "c").DeferredCount; got != 1 {
		t.Errorf("%d deferred after 49 of 50 minutes, want 1", got)
	}
	for range 10 { // more than twice the heartbeat interval, again and again
		s.Advance(time.Minute + time.Second)
	}
	m := c.next()
	if m.Attempts < 2 {
		t.Errorf("attempt %d, want one more", m.Attempts)
	}
	s.Advance(time.Minute) // the message timeout
	if again := c.next(); again.ID != m.ID || again.Attempts != m.Attempts+1 {
		t.Errorf("received %s, attempt %d, want the message again", again.ID, again.Attempts)
	}
	if st := c.r.Stats(); st.Connections != 1 || st.NSQDs[0].Dials != 0 {
		t.Errorf("the connection did not last: %+v", st)
	}
	if got := s.Channel("t", "c"); got.TimeoutCount == 0 || got.ClientCount != 1 {
		t.Errorf("%d timed out, %d clients", got.TimeoutCount, got.ClientCount)
	}
}

func TestServer_WaitDepth(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("t", "a", "b")
	s.WaitDepth("t", "", 2)
	c := consume(t, s.TCPAddr(), func(o *reader.Options) { o.MaxInFlight = 1 })
	m := c.next()
	s.WaitDepth("t", "c", 1)
	m.Finish()
	s.WaitDepth("t", "c", 0)
}

// fails runs f with a tb that fails on its own, and returns what it said.
func fails(t *testing.T, s *nsqtest.Server, f func()) string {
	t.Helper()
	tb := &failing{TB: t}
	restore := s.SetTB(tb)
	defer restore()
	var wait sync.WaitGroup
	wait.Go(f)
	wait.Wait()
	if tb.said == "" {
		t.Error("it did not fail")
	}
	return tb.said
}

// Who waits in vain learns how the channel stands, and what was said last.
func TestServer_WaitsSayWhatTheyFound(t *testing.T) {
	s := nsqtest.Start(t)
	s.SetPatience(20 * time.Millisecond)
	s.Publish("t", "a", "b", "c")
	said := fails(t, s, func() { s.WaitFinished("x", "c", 1) })
	if !strings.HasPrefix(said, "no 1 finished on x/c after 20ms: there is no topic x\nthe last of the protocol:\nnothing: nobody has connected\n") {
		t.Error(said)
	}
	said = fails(t, s, func() { s.WaitDepth("t", "", 1) })
	if !strings.Contains(said, "no depth 1 of t after 20ms: topic t has depth 3 and no channel\n") {
		t.Error(said)
	}
	said = fails(t, s, func() { s.WaitDeferred("t", "c", 0) })
	if !strings.Contains(said, "no 0 deferred on t/c after 20ms: topic t has depth 3 and no channel\n") {
		t.Error(said)
	}
	c := consume(t, s.TCPAddr(), func(o *reader.Options) { o.MaxInFlight = 2; o.Client.UserAgent = "a test" })
	c.next().Finish()
	c.next()
	c.next().Requeue(time.Hour)
	c.deferred(s)
	said = fails(t, s, func() { s.WaitFinished("t", "other", 1) })
	if !strings.Contains(said, "topic t has depth 0 and no channel other, but c\n") {
		t.Error(said)
	}
	said = fails(t, s, func() { s.WaitDepth("t", "", 1) })
	if !strings.Contains(said, "topic t has depth 0, channels c\n") {
		t.Error(said)
	}
	for what, wait := range map[string]func(){
		"no 2 in flight on t/c after 20ms: t/c has 1 finished, ": func() { s.WaitInFlight("t", "c", 2) },
		"no 0 in flight on t/c after 20ms: ":                     func() { s.WaitInFlight("t", "c", 0) },
		"no 2 deferred on t/c after 20ms: ":                      func() { s.WaitDeferred("t", "c", 2) },
	} {
		if said := fails(t, s, wait); !strings.HasPrefix(said, what) {
			t.Errorf("%s\nwant %q first", said, what)
		}
	}
	said = fails(t, s, func() { s.WaitFinished("t", "c", 3) })
	for _, want := range []string{
		"t/c has 1 finished, depth 0, in flight 1, deferred 1, requeued 1, timed out 0, 1 clients\n  client 127.0.0.1:",
		", in flight 1, delivered 3, finished 1, requeued 1\nthe last of the protocol:\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%s\nwant %q in it", said, want)
		}
	}
}

// Who waits for what comes goes on when it has come.
func TestServer_WaitsForWhatIsInFlightOrDeferred(t *testing.T) {
	s := nsqtest.Start(t)
	c := consume(t, s.TCPAddr(), func(o *reader.Options) { o.MaxInFlight = 2 })
	s.Publish("t", "a", "b")
	s.WaitInFlight("t", "c", 2)
	c.next().Requeue(time.Hour)
	s.WaitDeferred("t", "c", 1)
	c.next().Finish()
	s.WaitInFlight("t", "c", 0)
	s.Advance(time.Hour)
	c.next()
	s.WaitDeferred("t", "c", 0)
	s.WaitInFlight("t", "c", 1)
}

// Without a server the test ends and says so.
func TestServer_CallsAfterKill(t *testing.T) {
	s := nsqtest.Start(t)
	s.Kill()
	for _, f := range []func(){func() { s.Publish("t", "a") }, func() { s.Stats() }, func() { s.Advance(0) }, func() { s.WaitDepth("t", "", 0) }} {
		if said := fails(t, s, f); !strings.Contains(said, "is not running") {
			t.Error(said)
		}
	}
}

// The log is bounded, and what is kept is the end of it.
func TestServer_KeepsTheLastOfTheLog(t *testing.T) {
	s := nsqtest.Start(t)
	for i := range 60_000 {
		s.Log(fmt.Appendf(nil, "%d: something of fifty bytes or so to fill the log\n", i))
	}
	kept := s.LogText()
	if n := len(kept); n > 2<<20 || n < 1<<20 {
		t.Errorf("%d bytes are kept, want 1 to 2 MiB", n)
	}
	if lines := strings.Split(kept, "\n"); !strings.HasPrefix(lines[len(lines)-2], "59999: ") {
		t.Errorf("the last line: %q", lines[len(lines)-2])
	}
}

// failing is a TB whose failures are kept.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) {
	f.said = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }
