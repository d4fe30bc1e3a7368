package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// talker says what it is told and keeps what it hears.
type talker struct {
	c     loop.Conn
	says  []byte
	heard []byte
	over  bool
}

func (k *talker) OnOpen(c loop.Conn)  { k.c = c; c.Write(append([]byte(wire.MagicV2), k.says...)) }
func (k *talker) OnData(p []byte) int { k.heard = append(k.heard, p...); return len(p) }
func (k *talker) OnClose(error)       { k.over = true }

// pouring is a server in a world, on a disk in memory or none.
type pouring struct {
	w *looptest.World
	s *Server
	l *looptest.Loop // of the clients
}

func newPouring(t *testing.T, o Options) *pouring {
	t.Helper()
	g := &pouring{w: looptest.Test(t, looptest.Options{Seed: 7, Whole: true})}
	g.l = g.w.Loop("client")
	o.TCPAddress = ":4150"
	var err error
	if g.s, err = New(g.w.Loop("nsqd"), o); err != nil {
		t.Fatal(err)
	}
	g.w.Run(time.Millisecond)
	return g
}

// most steps until done, and returns by how much count grew in one step, which is a
// turn of one of the loops.
func (g *pouring) most(t *testing.T, count func() int, done func() bool) (most int) {
	t.Helper()
	before := count()
	for end := g.w.Now().Add(time.Hour); !done(); {
		if !g.w.Step() || g.w.Now().After(end) {
			t.Fatal("it does not end")
		}
		now := count()
		most, before = max(most, now-before), now
	}
	return most
}

// A client that pours publishes to new topics makes some of them in a turn. Its
// answers come in order.
func TestConn_MakesSomeTopicsInATurn(t *testing.T) {
	g := newPouring(t, Options{})
	const n = 300
	var says []byte
	for i := range n {
		says = wire.AppendPub(says, fmt.Sprintf("t%03d", i), []byte("x"))
	}
	k := &talker{says: append(says, "BOGUS\n"...)}
	g.l.Do(func() { g.l.Dial("nsqd:4150", loop.DialOptions{}, k) })
	most := g.most(t, func() int { return len(g.s.topics) }, func() bool { return k.over })
	if most > turnMost/makeCost {
		t.Errorf("%d topics in a turn, want %d at most", most, turnMost/makeCost)
	}
	want := strings.Repeat(wire.OKFrame, n) + string(wire.AppendError(nil, wire.Errorf(wire.CodeInvalid, "invalid command BOGUS")))
	if string(k.heard) != want {
		t.Errorf("heard %d bytes, want %d: ...%q", len(k.heard), len(want), k.heard[max(0, len(k.heard)-60):])
	}
}

// So does one that publishes to ever other topics.
func TestConn_ChangesSomeTopicsInATurn(t *testing.T) {
	g := newPouring(t, Options{})
	const n = 1000
	var says []byte
	g.w.Loop("nsqd").Do(func() {
		for i := range n {
			if _, err := g.s.createTopic(fmt.Sprintf("t%03d", i)); err != nil {
				t.Error(err)
			}
			says = wire.AppendPub(says, fmt.Sprintf("t%03d", i), []byte("x"))
		}
	})
	k := &talker{says: says}
	g.l.Do(func() { g.l.Dial("nsqd:4150", loop.DialOptions{}, k) })
	most := g.most(t, func() (sum int) {
		for _, tp := range g.s.topics {
			sum += int(tp.messages)
		}
		return sum
	}, func() bool { return len(k.heard) == n*len(wire.OKFrame) })
	if most > turnMost/touchCost {
		t.Errorf("%d topics in a turn, want %d at most", most, turnMost/touchCost)
	}
}

// A client that is set aside is not given up for silence, may be closed, and goes on
// where it was.
func TestConn_SetAside(t *testing.T) {
	b := newBare(t, Options{})
	c, bc := b.client()
	bc.patient = true
	var says []byte
	for i := range 25 {
		says = wire.AppendPub(says, fmt.Sprint("t", i), []byte("x"))
	}
	const each = turnMost / makeCost
	b.l.turn(func() { says = says[c.OnData(says):] })
	if !bc.yielded || len(b.s.topics) != each {
		t.Fatalf("yielded is %v, with %d topics", bc.yielded, len(b.s.topics))
	}
	b.l.sleep(10 * time.Minute)
	if bc.closed || bc.offered {
		t.Fatal("it was given up, for what the server has not read")
	}
	bc.yielded = false
	b.l.turn(func() { says = says[c.OnData(says):] })
	if !bc.yielded || len(b.s.topics) != 2*each {
		t.Fatalf("yielded is %v, with %d topics", bc.yielded, len(b.s.topics))
	}
	b.l.turn(func() { c.OnClose(io.EOF) })
	if len(b.s.conns) != 0 || b.s.budget.used.Load() != 2*each*topicCost+b.held() {
		t.Errorf("%d connections, %d bytes in the budget", len(b.s.conns), b.s.budget.used.Load())
	}
}

// held is what the messages of all topics hold.
func (b *bare) held() (n int64) {
	for _, t := range b.s.topics {
		n += t.held
	}
	return n
}

// Where reading cannot be put off, everything is done at once.
func TestConn_GoesOnWhereReadingCannotBePutOff(t *testing.T) {
	b := newBare(t, Options{})
	c, bc := b.client()
	var says []byte
	for i := range 25 {
		says = wire.AppendPub(says, fmt.Sprint("t", i), []byte("x"))
	}
	b.data(c, says)
	if string(bc.out) != strings.Repeat(wire.OKFrame, 25) {
		t.Errorf("heard %q", bc.out)
	}
}

// postCounter is a loop that counts what was posted.
type postCounter struct {
	*looptest.Loop
	posts atomic.Int64
}

func (l *postCounter) Post(f func()) error {
	defer l.posts.Add(1)
	return l.Loop.Post(f)
}

// newCounted is a server on a loop that counts.
func newCounted(t *testing.T) (*pouring, *postCounter) {
	t.Helper()
	g := &pouring{w: looptest.Test(t, looptest.Options{Seed: 7})}
	l := &postCounter{Loop: g.w.Loop("nsqd")}
	var err error
	if g.s, err = New(l, Options{}); err != nil {
		t.Fatal(err)
	}
	g.w.Run(time.Millisecond)
	l.posts.Store(0)
	return g, l
}

// Many who make topics and channels over HTTP at the same time make some in a turn.
func TestHTTP_MakesSomeTopicsInATurn(t *testing.T) {
	for _, path := range []string{"/pub?topic=t%03d", "/topic/create?topic=t%03d", "/channel/create?topic=one&channel=c%03d"} {
		g, l := newCounted(t)
		var one *topic
		g.w.Loop("nsqd").Do(func() { one, _ = g.s.createTopic("one") })
		h := newHTTPServer(g.s, nil)
		h.log = slog.New(slog.DiscardHandler) // the access log posts too
		const n = 100
		var all sync.WaitGroup
		answers := make([]int, n)
		for i := range n {
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("POST", fmt.Sprintf("http://localhost"+path, i), strings.NewReader("x")))
				answers[i] = w.Code
			})
		}
		testwait.Until(t, "all have asked", func() bool { return l.posts.Load() >= n })
		count := func() int { return len(g.s.topics) + len(one.channels) }
		most := g.most(t, count, func() bool { return count() == n+1 })
		g.w.Run(time.Second)
		all.Wait()
		if most > turnMost/makeCost {
			t.Errorf("%s: %d in a turn, want %d at most", path, most, turnMost/makeCost)
		}
		if i := slices.IndexFunc(answers, func(code int) bool { return code != http.StatusOK }); i >= 0 {
			t.Errorf("%s: answered with %d", path, answers[i])
		}
	}
}

// Many topics are let rest in many turns.
func TestIdle_LetsSomeTopicsRestInATurn(t *testing.T) {
	w := newWorld(t, Options{})
	const n = 200
	for i := range n {
		w.publish(fmt.Sprint("t", i), "x")
	}
	w.sleep(idleAfter) // they were used
	most, awake := 0, 0
	for _, tp := range w.s.topics {
		if tp.awake {
			awake++
		}
	}
	if awake != n {
		t.Fatalf("%d topics are awake, want %d", awake, n)
	}
	w.l.each = func() {
		now := 0
		for _, tp := range w.s.topics {
			if tp.awake {
				now++
			}
		}
		most, awake = max(most, awake-now), now
	}
	w.sleep(idleAfter)
	w.l.each = nil
	if awake != 0 || most > turnMost/restCost+pieceMost/restCost {
		t.Errorf("%d are awake; %d at most went to rest in a turn", awake, most)
	}
}

// The figures of many topics are gathered in many turns.
func TestStats_TakesSomeTopicsInATurn(t *testing.T) {
	g, l := newCounted(t)
	const n = 3000
	g.w.Loop("nsqd").Do(func() {
		for i := range n {
			if _, err := g.s.createTopic(fmt.Sprintf("t%04d", i)); err != nil {
				t.Error(err)
			}
		}
	})
	l.posts.Store(0)
	got := make(chan Stats, 1)
	go func() {
		st, err := g.s.Stats(StatsOptions{})
		if err != nil {
			t.Error(err)
		}
		got <- st
	}()
	testwait.Until(t, "it has asked", func() bool { return l.posts.Load() > 0 })
	g.w.Run(time.Second)
	if st := <-got; len(st.Topics) != n {
		t.Errorf("%d topics", len(st.Topics))
	}
	if turns := l.posts.Load(); turns < n*showCost/turnMost {
		t.Errorf("in %d turns", turns)
	}
}

// Whatever is made, deleted or published while figures are gathered: they are those
// of what was there all the time, each topic's of one moment.
func TestInventory_WhileTopicsChange(t *testing.T) {
	w := newWorld(t, Options{})
	const n = 500
	w.do(func() {
		for i := range n {
			tp, err := w.s.createTopic(fmt.Sprintf("t%03d", i))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a", "b"} {
				if _, err := tp.createChannel(name); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	p, q := w.dial(), w.dial()
	p.pub("t000", "x")
	q.pub("t000", "x")
	var v *inventory
	w.do(func() { v = w.s.newInventory(StatsOptions{}) })
	gone := map[string]bool{}
	for pieces, last := 1, false; !last; pieces++ {
		had := len(v.st.Topics)
		w.do(func() { _, last = v.piece() })
		if seen := 3 * (len(v.st.Topics) - had); seen*showCost > pieceMost+3*showCost {
			t.Fatalf("%d figures in a piece", seen)
		}
		if !last {
			for _, tp := range w.s.topics {
				if tp.name[0] == 't' {
					w.publish(tp.name, "x")
				}
			}
			w.do(func() {
				for _, i := range []int{pieces, n - pieces} { // one that was looked at, one that was not
					name := fmt.Sprintf("t%03d", i)
					if tp := w.s.topic(name); tp != nil {
						gone[name] = i > n/2
						_ = w.s.deleteTopic(tp)
					}
				}
				_, _ = w.s.createTopic(fmt.Sprintf("new%d", pieces))
			})
			q.hangUp()
		}
	}
	if !slices.IsSortedFunc(v.st.Topics, func(a, b TopicStats) int { return strings.Compare(a.TopicName, b.TopicName) }) {
		t.Error("topics are not sorted")
	}
	missing := 0
	for _, notSeen := range gone {
		if notSeen {
			missing++
		}
	}
	if len(v.st.Topics) != n-missing || missing == 0 || len(v.st.Producers) != 1 {
		t.Errorf("%d topics and %d producers, want %d and 1", len(v.st.Topics), len(v.st.Producers), n-missing)
	}
	moments := map[uint64]bool{}
	for _, tp := range v.st.Topics {
		if gone[tp.TopicName] || tp.TopicName[0] != 't' {
			t.Errorf("topic %s is shown", tp.TopicName)
		}
		moments[tp.MessageCount] = true
		for _, ch := range tp.Channels {
			if ch.MessageCount != tp.MessageCount {
				t.Errorf("topic %s has %d messages, its channel %s %d", tp.TopicName, tp.MessageCount, ch.ChannelName, ch.MessageCount)
			}
		}
	}
	if len(moments) < 3 {
		t.Errorf("topics of %d moments: nothing was published meanwhile", len(moments))
	}
}

// A topic with very many channels is looked at in several turns, too.
func TestInventory_OfManyChannels(t *testing.T) {
	w := newWorld(t, Options{E2EProcessingLatencyPercentiles: []float64{0.5}})
	const n = 3 * channelsWhole
	w.do(func() {
		tp, err := w.s.createTopic("t")
		for i := range n {
			if err == nil {
				_, err = tp.createChannel(fmt.Sprintf("c%04d", i))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	var all []*peer
	for i := range 3 {
		all = append(all, w.subscribe("t", fmt.Sprintf("c%04d", i*channelsWhole), 1))
	}
	w.publish("t", "x")
	for _, p := range all {
		p.fin(p.message("x", 1))
	}
	var v *inventory
	w.do(func() { v = w.s.newInventory(StatsOptions{}) })
	for pieces, last := 1, false; !last; pieces++ {
		w.do(func() { _, last = v.piece() })
		if got := len(v.st.Topics[0].Channels); got > pieces*channelsWhole {
			t.Fatalf("%d channels in %d pieces", got, pieces)
		}
		if pieces == 1 {
			w.do(func() {
				tp := w.s.topic("t")
				tp.deleteChannel(tp.channel("c0001"))
				tp.deleteChannel(tp.channel(fmt.Sprintf("c%04d", n-1)))
			})
		}
	}
	if st := v.st.Topics[0]; len(st.Channels) != n-1 || st.E2E.Count != 3 {
		t.Errorf("%d channels, latencies of %d messages; want %d and 3", len(st.Channels), st.E2E.Count, n-1)
	}
}

// Chores that are not done when the server stops say so, each once.
func TestChores_EndWithTheServer(t *testing.T) {
	b := newBare(t, Options{})
	var told []error
	done := func(err error) { told = append(told, err) }
	more := 0
	b.l.turn(func() {
		b.s.chores.begin(func() (int, bool) { more++; return turnMost, false }, done)
		b.s.chores.begin(func() (int, bool) { return 0, true }, done)
		b.l.Post(func() {}) // the first has its piece in the turn before it
		b.l.Post(func() { _ = b.s.Close() })
	})
	if more == 0 || len(told) != 2 {
		t.Fatalf("%d pieces, told %v", more, told)
	}
	b.l.turn(func() { b.s.chores.begin(func() (int, bool) { more = -1; return 0, true }, done) })
	if more < 0 || len(told) != 3 || !errors.Is(told[2], ErrClosed) {
		t.Errorf("after the stop: told %v", told)
	}
}
