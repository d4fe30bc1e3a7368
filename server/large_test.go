package server

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal"
)

// pieces are options with which two short messages are a piece, and five are
// stored in three.
func pieces(o Options) Options {
	o.MaxBytesPerFile = 1 << 10
	return o
}

// many are messages a0, a1 and so on.
func many(prefix string, n int) (bodies [][]byte) {
	for i := range n {
		bodies = append(bodies, fmt.Append(nil, prefix, i))
	}
	return bodies
}

// arrivals are those messages as they arrive.
func arrivals(prefix string, n int) (frames []string) {
	for _, body := range many(prefix, n) {
		frames = append(frames, string(body)+"/1")
	}
	return frames
}

// amid runs f when a part of the publish that begins in this turn is stored.
func (w *world) amid(f func()) {
	turns := 2
	var wait func()
	wait = func() {
		switch {
		case turns > 0:
			turns--
			_ = w.l.Post(wait)
		case w.s.larges.now == nil:
			w.t.Error("nothing is being stored any more")
		default:
			f()
		}
	}
	w.l.posted = append(w.l.posted, wait)
}

// feed has a client say something in the turn that runs.
func (p *peer) feed(b []byte) {
	p.bc.in = append(p.bc.in, b...)
	p.bc.in = p.bc.in[p.c.OnData(p.bc.in):]
}

func TestLarge_NoTurnStoresMoreThanAPiece(t *testing.T) {
	for _, path := range []string{"", t.TempDir()} {
		w := newWorld(t, Options{DataPath: path})
		w.publish("t", "first")
		const n = 100_000
		var last, most, seen int
		var look func()
		look = func() {
			now := w.s.byName["t"].j.Uncommitted()
			most, last = max(most, now-last), now
			if seen++; w.s.larges.now != nil || seen < 5 {
				_ = w.l.Post(look)
			}
		}
		p := w.dial()
		w.l.posted = append(w.l.posted, look)
		bodies := slices.Repeat([][]byte{[]byte("x")}, n)
		p.send(wire.AppendMPub(nil, "t", bodies))
		p.want("OK")
		if want := largePiece/(1+largeMessage) + 1; most == 0 || most > want {
			t.Errorf("%d messages were stored in a turn, want %d at most", most, want)
		}
		if got := w.topic("t").MessageCount; got != n+1 {
			t.Errorf("%d messages, want %d", got, n+1)
		}
		if st := w.s.snapshot(StatsOptions{}); len(st.Producers) == 0 || st.Producers[len(st.Producers)-1].PubCounts[0].Count != n {
			t.Errorf("the publisher's counts are %+v", st.Producers)
		}
	}
}

// What follows it on the connection comes after it, and others do not wait.
func TestLarge_OrderOfItsConnection(t *testing.T) {
	w := newWorld(t, pieces(Options{DataPath: t.TempDir()}))
	s := w.subscribe("t", "c", 100)
	p, other := w.dial(), w.dial()
	w.amid(func() {
		other.feed(wire.AppendPub(nil, "u", []byte("x")))
		s.want() // nothing is delivered of what is not kept
	})
	answered := false
	w.l.posted = append(w.l.posted, func() {
		_ = w.l.Post(func() {
			_ = w.l.Post(func() { _ = w.l.Post(func() { answered = w.s.larges.now != nil && len(other.frames()) == 1 }) })
		})
	})
	p.send(wire.AppendPub(wire.AppendMPub(nil, "t", many("a", 40)), "t", []byte("after")))
	p.want("OK", "OK")
	s.want(append(arrivals("a", 40), "after/1")...)
	if !answered {
		t.Error("a publish to another topic had to wait")
	}
}

// All of it is refused when a part cannot be stored, and so is what others have
// published to the topic meanwhile; and the next one is stored.
func TestLarge_IsRefusedAsOne(t *testing.T) {
	d, o := onDisk(t, pieces(Options{}))
	w := newWorld(t, o)
	s := w.subscribe("t", "c", 100)
	p, other := w.dial(), w.dial()
	w.amid(func() {
		other.feed(wire.AppendPub(nil, "t", []byte("meanwhile")))
		d.Fail(failing("write", errFull))
	})
	p.send(wire.AppendMPub(nil, "t", many("a", 40)))
	for _, x := range []*peer{p, other} {
		if got := x.frames(); len(got) != 1 || !strings.Contains(got[0], errFull.Error()) || !strings.HasPrefix(got[0], "E_") || !x.closed() {
			t.Errorf("answered %q, want the disk's words, and the end", got)
		}
	}
	d.Fail(nil)
	w.publish("t", "later")
	s.want("later/1")
	if st := w.topic("t"); st.MessageCount != 1 {
		t.Errorf("%d messages, want 1", st.MessageCount)
	}
	w.stop()
	d.Kill()
	w.start(o)
	w.subscribe("t", "c", 100).want("later/2")
}

// A fsync that fails meanwhile may have dropped what was stored so far.
func TestLarge_IsRefusedWithAFailedFsync(t *testing.T) {
	d, o := onDisk(t, pieces(Options{Sync: SyncAlways}))
	w := newWorld(t, o)
	s := w.subscribe("t", "c", 100)
	p := w.dial()
	var broken bool
	w.amid(func() {
		d.Fail(failing("sync", errFull))
		w.l.Post(func() {
			top := w.s.byName["t"]
			top.unsynced = true
			w.s.fsync.topics = append(w.s.fsync.topics, top)
			broken = true
		})
	})
	p.send(wire.AppendMPub(nil, "t", many("a", 40)))
	if got := p.frames(); !broken || len(got) != 1 || !strings.HasPrefix(got[0], "E_MPUB_FAILED") || !p.closed() {
		t.Fatalf("answered %q, want E_MPUB_FAILED, and the end", got)
	}
	d.Fail(nil)
	w.publish("t", "later")
	s.want("later/1")
}

// A kill in the middle leaves the beginning of it, in order, or nothing; and
// nobody was told that it is there.
func TestLarge_KilledAmidIt(t *testing.T) {
	for _, sync := range []Sync{SyncAlways, SyncInterval, SyncNever} {
		d, o := onDisk(t, pieces(Options{Sync: sync}))
		w := newWorld(t, o)
		w.subscribe("t", "c", 0)
		p := w.dial()
		killed := 0
		w.amid(func() { d.Kill(); killed = len(p.frames()) + 1 })
		p.send(wire.AppendMPub(nil, "t", many("a", 40)))
		if killed != 1 {
			t.Fatalf("%d frames before the kill, want none", killed-1)
		}
		w.l.turn(func() { _ = w.s.Close() })
		w.start(o)
		s := w.subscribe("t", "c", 100)
		got := s.frames()
		if len(got) == 0 || len(got) >= 40 || !slices.Equal(got, arrivals("a", 40)[:len(got)]) {
			t.Errorf("after a kill there is %q, want a part of it", got)
		}
	}
}

func TestLarge_TopicDeletedAmidIt(t *testing.T) {
	w := newWorld(t, pieces(Options{DataPath: t.TempDir()}))
	w.publish("t", "x")
	p := w.dial()
	w.amid(func() {
		if err := w.s.deleteTopic(w.s.byName["t"]); err != nil {
			t.Error(err)
		}
	})
	p.send(wire.AppendMPub(nil, "t", many("a", 40)))
	p.wantClosed("E_MPUB_FAILED MPUB failed exiting")
	if got := w.names(); got != "" {
		t.Errorf("topics %q are left", got)
	}
	p = w.dial()
	p.send(wire.AppendMPub(nil, "t", many("b", 40)))
	p.want("OK")
	w.subscribe("t", "c", 100).want(arrivals("b", 40)...)
}

// A channel that is made meanwhile gets all of it, and waits for nothing.
func TestLarge_ChannelMadeAmidIt(t *testing.T) {
	w := newWorld(t, pieces(Options{DataPath: t.TempDir()}))
	w.subscribe("t", "before", 0)
	p, s := w.dial(), w.dial()
	w.amid(func() {
		s.feed(wire.AppendRdy(wire.AppendSub(nil, "t", "c"), 100))
		s.want("OK")
	})
	p.send(wire.AppendMPub(nil, "t", many("a", 40)))
	p.want("OK")
	s.want(arrivals("a", 40)...)
}

// They are stored one after the other, in the order in which they came, whoever
// they come from; one whose client leaves is not waited for.
func TestLarge_OneAfterTheOther(t *testing.T) {
	w := newWorld(t, pieces(Options{DataPath: t.TempDir()}))
	s := w.subscribe("t", "c", 1000)
	a, b, gone, c := w.dial(), w.dial(), w.dial(), w.dial()
	var told error = errors.New("not told")
	w.amid(func() {
		b.feed(wire.AppendMPub(nil, "t", many("b", 30)))
		gone.feed(wire.AppendMPub(nil, "t", many("gone", 30)))
		w.s.byName["t"].publish(many("h", 30), 0, func(err error) { told = err })
		c.feed(wire.AppendPub(wire.AppendMPub(nil, "t", many("c", 30)), "t", []byte("z")))
		gone.c.OnClose(nil)
	})
	a.send(wire.AppendMPub(nil, "t", many("a", 30)))
	a.want("OK")
	b.want("OK")
	c.want("OK", "OK")
	s.want(slices.Concat(arrivals("a", 30), arrivals("b", 30), arrivals("h", 30), arrivals("c", 30), []string{"z/1"})...)
	if told != nil || w.s.larges.busy() {
		t.Errorf("told %v, busy %v", told, w.s.larges.busy())
	}
	if n := w.s.byName["t"].generation; n < 4 {
		t.Errorf("the generation is %d: several were stored in one", n)
	}
}

// Those that follow one another on a connection are in generations of their own:
// nobody waits for the last.
func TestLarge_PipelinedAreAnsweredOneByOne(t *testing.T) {
	w := newWorld(t, pieces(Options{DataPath: t.TempDir()}))
	p := w.dial()
	p.pub("t", "x")
	p.want("OK")
	var in []byte
	for range 10 {
		in = wire.AppendMPub(in, "t", many("a", 10))
	}
	before := w.s.byName["t"].generation
	p.send(in)
	p.want(slices.Repeat([]string{"OK"}, 10)...)
	if n := w.s.byName["t"].generation - before; n < 10 {
		t.Errorf("10 of them were in %d generations", n)
	}
}

// Whose turn it is and who leaves before it comes is not waited for.
func TestLarge_CalledAndGone(t *testing.T) {
	w := newWorld(t, pieces(Options{}))
	s := w.subscribe("t", "c", 1000)
	a, gone, b := w.dial(), w.dial(), w.dial()
	left := false
	var leave func()
	leave = func() {
		if left = w.s.larges.called == gone.c; left {
			gone.c.OnClose(nil)
		} else if w.s.larges.busy() {
			_ = w.l.Post(leave)
		}
	}
	w.amid(func() {
		gone.feed(wire.AppendMPub(nil, "t", many("gone", 30)))
		b.feed(wire.AppendMPub(nil, "t", many("b", 30)))
		leave()
	})
	a.send(wire.AppendMPub(nil, "t", many("a", 30)))
	if !left {
		t.Fatal("it was not called")
	}
	b.want("OK")
	s.want(slices.Concat(arrivals("a", 30), arrivals("b", 30))...)
}

// A server that stops stores what it has begun, and refuses what waits.
func TestLarge_StopAmidIt(t *testing.T) {
	o := pieces(Options{DataPath: t.TempDir()})
	w := newWorld(t, o)
	w.subscribe("t", "c", 0)
	var told []error
	tell := func(err error) { told = append(told, err) }
	var taken <-chan struct{}
	b := w.dial()
	w.amid(func() {
		b.feed(wire.AppendMPub(nil, "t", many("b", 30)))
		taken = w.s.byName["t"].publish(many("h", 30), 0, tell)
		if err := w.s.Close(); err != nil {
			t.Error(err)
		}
	})
	w.do(func() { w.s.byName["t"].publish(many("a", 30), 0, tell) })
	if len(told) != 2 || told[0] != nil || !errors.Is(told[1], errGone) {
		t.Errorf("told %v, want nil and %v", told, errGone)
	}
	<-taken
	w.start(o)
	w.subscribe("t", "c", 1000).want(arrivals("a", 30)...)
}

// The same publish, sent again on another connection while it is being stored, is
// stored once and answered with that.
func TestLarge_RepeatedAmidIt(t *testing.T) {
	w := newWorld(t, pieces(Options{DataPath: t.TempDir()}))
	s := w.subscribe("t", "c", 1000)
	p, again := w.as(somePublisher), w.dial()
	join := wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true,"lite_publisher":"`+somePublisher+`"}`))
	all := numbered("t 1 a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15 a16 a17 a18 a19")
	w.amid(func() { again.feed(append(join, all...)) })
	p.send(all)
	if got := again.frames(); len(got) != 2 || got[1] != "OK" {
		t.Errorf("answered %q, want what is granted, and OK", got)
	}
	s.want(arrivals("a", 20)...)
	if w.s.larges.busy() {
		t.Error("the next one would wait for ever")
	}
}

// Over HTTP it is the same, and the body is the server's until it is taken.
func TestLarge_HTTP(t *testing.T) {
	s := startHTTP(t, pieces(Options{DataPath: t.TempDir()}))
	var lines, want strings.Builder
	for _, body := range many("a", 1000) {
		fmt.Fprintf(&lines, "%s\n", body)
		fmt.Fprintf(&want, "%s/1 ", body)
	}
	if got := ask(t, s, "POST", "/mpub?topic=t", lines.String()); got.status != 200 || got.body != "OK" {
		t.Fatalf("answered %d %q", got.status, got.body)
	}
	if err := s.Publish("t", many("b", 1000)...); err != nil {
		t.Fatal(err)
	}
	var depth int64
	if err := s.call(func() { depth = s.byName["t"].j.Depth() }); err != nil || depth != 2000 {
		t.Errorf("%d messages, want 2000; %v", depth, err)
	}
}

// Who asks over HTTP may go before it is stored; until it is, the body is not used
// for anything else.
func TestLarge_HTTPClientGone(t *testing.T) {
	s := startHTTP(t, pieces(Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := httptest.NewRequest("POST", "/mpub?topic=t", nil).WithContext(ctx)
	bodies := many("a", 5000)
	if err := s.http.publish(r, "t", bodies, 0, nil); err == nil {
		t.Fatal("a client that has gone was told that it is stored")
	}
	for _, body := range bodies {
		body[0] = 'X'
	}
	if err := s.Publish("t", []byte("last")); err != nil {
		t.Fatal(err)
	}
	var seen, changed int
	err := s.call(func() {
		j := s.byName["t"].j
		_, err := j.Peek(j.Frontier(), 10_000, 1<<20, func(p *journal.Peeked) {
			seen++
			if p.Body[0] == 'X' {
				changed++
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	if err != nil || seen != 5001 || changed != 0 {
		t.Errorf("%d messages, of which %d were changed, want 5001 and none; %v", seen, changed, err)
	}
}
