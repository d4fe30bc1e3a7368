package reader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocklookupd"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
	"github.com/nsqloop/nsqloop/writer"
)

// groupWorld is a world with servers, whose topics are real.
type groupWorld struct {
	*world
	writers []*writer.Writer // one for each server
	handled map[string]int   // by topic
	addrs   []string
	log     strings.Builder

	publisher *looptest.Loop
	published int
	kept      []string // the bodies that a server has acknowledged
}

func newGroupWorld(t *testing.T, o looptest.Options, servers int) *groupWorld {
	t.Helper()
	w := &groupWorld{world: newWorld(t, o), handled: map[string]int{}}
	w.publisher = w.Loop("publisher")
	for i := range servers {
		addr := fmt.Sprintf("nsqd%d:4150", i)
		if _, err := server.New(w.Loop(addr[:5]), server.Options{TCPAddress: ":4150"}); err != nil {
			t.Fatal(err)
		}
		pub, err := writer.New(w.publisher, writer.Options{NSQDs: []string{addr}})
		if err != nil {
			t.Fatal(err)
		}
		w.addrs, w.writers = append(w.addrs, addr), append(w.writers, pub)
	}
	return w
}

// group makes a group that counts what it handles.
func (w *groupWorld) group(o GroupOptions) *Group {
	w.t.Helper()
	o.Channel = "c"
	if o.NSQDs == nil && o.Lookupds == nil {
		o.NSQDs = w.addrs
	}
	inner := o.Handler
	o.Handler = func(m *Message) error {
		w.handled[m.Topic()]++
		if inner == nil {
			return nil
		}
		return inner(m)
	}
	o.HTTPClient = &http.Client{Transport: w.lookups}
	o.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	g, err := NewGroup(w.l, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

// publish publishes n messages to a topic of a server.
func (w *groupWorld) publish(server int, topic string, n int) {
	w.publisher.Do(func() {
		for range n {
			w.published++
			body := fmt.Sprint(w.published)
			w.writers[server].Publish(topic, []byte(body), func(res writer.Result) {
				if res.Err == nil {
					w.kept = append(w.kept, body)
				}
			})
		}
	})
}

// check asserts that the budget is kept, down to the connections.
func (w *groupWorld) check(g *Group) {
	w.t.Helper()
	topics, ready := 0, 0
	for _, m := range g.members {
		topics += m.slot.count
		ready += m.reader.ready.sum()
		if m.reader.ready.max != m.slot.count {
			w.t.Errorf("topic %s has %d, was given %d", m.reader.o.Topic, m.reader.ready.max, m.slot.count)
		}
		inFlight := 0
		for _, n := range m.reader.nodes {
			if n.conn != nil {
				inFlight += n.conn.inFlight
			}
		}
		if inFlight != m.slot.inFlight {
			w.t.Errorf("topic %s has %d in flight, the group counts %d", m.reader.o.Topic, inFlight, m.slot.inFlight)
		}
	}
	if topics > g.ready.max || ready > g.ready.max {
		w.t.Errorf("topics have %d, connections %d, of %d", topics, ready, g.ready.max)
	}
}

func TestGroup_OneBudgetForManyTopics(t *testing.T) {
	w := newGroupWorld(t, looptest.Options{Seed: 1}, 2)
	var g *Group
	var kept []*Message
	g = w.group(GroupOptions{Options: Options{MaxInFlight: 20, Handler: func(m *Message) error {
		w.check(g)
		if len(kept) >= 20 {
			t.Errorf("%d messages in flight", len(kept))
		}
		kept = append(kept, m)
		w.l.After(100*time.Millisecond, func() { // fifty a second, and 20 at once
			kept = slices.DeleteFunc(kept, func(k *Message) bool { return k == m })
			m.Finish()
		})
		return Pending
	}}, Topics: []string{"a", "b", "c"}})
	w.Run(time.Second)
	for _, m := range g.members { // one for each nsqd, before anything has come
		if m.slot.count != 2 {
			t.Errorf("topic %s may have %d in flight, want 2", m.reader.o.Topic, m.slot.count)
		}
	}
	w.publish(0, "a", 4000)
	w.publish(1, "a", 4000)
	w.publish(0, "b", 1)
	w.Run(3 * time.Second)
	if w.handled["a"] < 100 || w.handled["b"] != 1 {
		t.Errorf("handled %v", w.handled)
	}
	w.Run(15 * time.Second) // b is quiet: a may have what it leaves
	if n := g.member("a").slot.count; n < 16 {
		t.Errorf("the busy topic may have %d of 20 in flight", n)
	}
	w.publish(0, "c", 500)
	w.Run(time.Second)
	if n := g.member("c").slot.count; n < 6 {
		t.Errorf("a topic that has come alive may have %d of 20 in flight", n)
	}
	var s GroupStats
	w.l.Do(func() { s = g.Stats() })
	if s.MaxInFlight != 20 || len(s.Topics) != 3 || s.Topics[0].Topic != "a" || s.InFlight == 0 || s.Paused {
		t.Errorf("%+v", s)
	}
	w.Run(time.Minute)
	w.check(g)
	if w.handled["a"] != 8000 || w.handled["b"] != 1 || w.handled["c"] != 500 {
		t.Errorf("handled %v", w.handled)
	}
}

func TestGroup_MoreTopicsThanBudgetTakeTurns(t *testing.T) {
	w := newGroupWorld(t, looptest.Options{Seed: 1}, 1)
	var topics []string
	for i := range 10 {
		topics = append(topics, fmt.Sprintf("t%d", i))
	}
	g := w.group(GroupOptions{Options: Options{MaxInFlight: 3}, Topics: topics})
	w.Run(time.Second)
	for _, topic := range topics {
		w.publish(0, topic, 10)
	}
	for range 30 {
		w.Run(5 * time.Second)
		w.check(g)
	}
	for _, topic := range topics {
		if w.handled[topic] != 10 {
			t.Errorf("topic %s: %d messages", topic, w.handled[topic])
		}
	}
}

func TestGroup_PauseAndBudgetChange(t *testing.T) {
	w := newGroupWorld(t, looptest.Options{Seed: 1}, 1)
	g := w.group(GroupOptions{Options: Options{MaxInFlight: 8}, Topics: []string{"a", "b"}})
	w.Run(time.Second)
	sum := func() (n int) {
		for _, m := range g.members {
			n += m.reader.ready.sum()
		}
		return n
	}
	w.publish(0, "a", 1)
	w.publish(0, "b", 1)
	w.Run(time.Second)
	for _, step := range []struct {
		what string
		do   func() error
		want int
	}{
		{"at first", func() error { return nil }, 8},
		{"paused", g.Pause, 0},
		{"resumed", g.Resume, 8},
		{"more", func() error { return g.SetMaxInFlight(20) }, 20},
		{"less", func() error { return g.SetMaxInFlight(3) }, 3},
		{"nothing", func() error { return g.SetMaxInFlight(0) }, 0},
		{"one each", func() error { return g.SetMaxInFlight(8) }, 2},
	} {
		w.l.Do(func() {
			if err := step.do(); err != nil {
				t.Error(err)
			}
		})
		if got := sum(); got != step.want {
			t.Errorf("%s: the ready counts add up to %d, want %d", step.what, got, step.want)
		}
		w.check(g)
	}
	if err := g.SetMaxInFlight(-1); err == nil {
		t.Error("a negative budget was accepted")
	}
	w.l.Do(func() { g.Close() })
	w.Run(time.Second)
	for _, err := range []error{g.Pause(), g.Resume(), g.SetMaxInFlight(1)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if len(g.members) != 0 {
		t.Errorf("%d readers are left", len(g.members))
	}
}

// names makes nsqlookupd name topics, each at the given addresses.
func (w *groupWorld) names(topics []string, addrs ...string) {
	w.lookups.Answers["l:4161"] = func() (int, string) {
		return 200, strings.Replace(mocklookupd.Producers(addrs...), "{", fmt.Sprintf(`{"topics":[%s],`, strings.Join(quoted(topics), ",")), 1)
	}
}

func quoted(all []string) (q []string) {
	for _, s := range all {
		q = append(q, fmt.Sprintf("%q", s))
	}
	return q
}

func (g *Group) names() (all []string) {
	for _, m := range g.members {
		all = append(all, m.reader.o.Topic)
	}
	return all
}

func TestGroup_TopicsThatMatchComeAndGo(t *testing.T) {
	w := newGroupWorld(t, looptest.Options{Seed: 1}, 1)
	w.names([]string{"orders.eu", "users", "orders.us"}, w.addrs...)
	var told []string
	tell := func(what string) func(*Reader) {
		return func(r *Reader) { told = append(told, what+r.Stats().Topic) }
	}
	g := w.group(GroupOptions{
		OnJoin: tell("+"), OnLeave: tell("-"),
		Options: Options{MaxInFlight: 8, Lookupds: []string{"l:4161"}, LookupdPollInterval: 10 * time.Second},
		Topics:  []string{"fixed"},
		Match:   regexp.MustCompile(`^orders\.`).MatchString,
	})
	want := func(want string) {
		t.Helper()
		if got := strings.Join(g.names(), " "); got != want {
			t.Errorf("consumed are %s, want %s", got, want)
		}
	}
	w.Run(time.Second)
	want("fixed orders.eu orders.us")
	w.publish(0, "orders.us", 3)
	w.publish(0, "users", 3)
	w.Run(time.Second)
	if w.handled["orders.us"] != 3 || w.handled["users"] != 0 {
		t.Errorf("handled %v", w.handled)
	}
	w.names([]string{"orders.us", "orders.asia"}, w.addrs...)
	w.Run(14 * time.Second)
	want("fixed orders.eu orders.us orders.asia")
	w.Run(time.Minute)
	want("fixed orders.eu orders.us orders.asia") // its nsqd is there
	w.SetFaults(looptest.Faults{Refuse: 1})
	w.l.Do(func() {
		for _, n := range g.member("orders.eu").reader.nodes {
			n.conn.client.Close()
		}
	})
	w.lookups.Answers["l:4161"] = func() (int, string) {
		return 200, `{"topics":["orders.us","orders.asia"],"producers":[]}`
	}
	w.Run(time.Minute)
	want("fixed orders.us orders.asia")
	w.check(g)
	w.lookups.Answers["l:4161"] = func() (int, string) { return 500, "oops" }
	w.Run(time.Minute)
	want("fixed orders.us orders.asia")
	if !strings.Contains(w.log.String(), "topic left: nobody has it") {
		t.Error("it is not logged")
	}
	w.l.Do(func() { g.Close() })
	w.Run(time.Second)
	slices.Sort(told[5:]) // connections close as they like
	if got := strings.Join(told, " "); got != "+fixed +orders.eu +orders.us +orders.asia -orders.eu -fixed -orders.asia -orders.us" {
		t.Errorf("told of %s", got)
	}
}

// While the loop shuts down, and waits for what is in flight, no topic joins.
func TestGroup_NoTopicJoinsAtTheEnd(t *testing.T) {
	w := newGroupWorld(t, looptest.Options{Seed: 1}, 1)
	w.names([]string{"a"}, w.addrs...)
	var joined []string
	w.group(GroupOptions{
		OnJoin: func(r *Reader) { joined = append(joined, r.Stats().Topic) },
		Options: Options{Lookupds: []string{"l:4161"}, LookupdPollInterval: time.Second, Handler: func(m *Message) error {
			w.l.After(20*time.Second, func() { m.Finish() })
			return Pending
		}},
		Match: func(string) bool { return true },
	})
	w.publish(0, "a", 1)
	w.Run(2 * time.Second)
	w.names([]string{"a", "b"}, w.addrs...)
	if err := w.l.Shutdown(time.Minute); err != nil {
		t.Error(err)
	}
	if got := strings.Join(joined, " "); got != "a" {
		t.Errorf("joined have %s", got)
	}
}

func TestGroup_MaxTopics(t *testing.T) {
	w := newGroupWorld(t, looptest.Options{Seed: 1}, 1)
	w.names([]string{"t1", "bad topic", "t2", "t3", "t4"}, w.addrs...)
	var failed []string
	g := w.group(GroupOptions{
		Options:   Options{Lookupds: []string{"l:4161"}, LookupdPollInterval: 10 * time.Second, OnError: func(err error) { failed = append(failed, err.Error()) }},
		Match:     func(string) bool { return true },
		MaxTopics: 3,
	})
	w.Run(time.Minute)
	if got := strings.Join(g.names(), " "); got != "t1 t2 t3" {
		t.Errorf("consumed are %s", got)
	}
	if n := strings.Count(w.log.String(), "too many"); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
	w.lookups.Answers["l:4161"] = func() (int, string) { return 500, "oops" }
	w.Run(time.Minute)
	if !slices.ContainsFunc(failed, func(s string) bool { return strings.HasPrefix(s, "looking for topics: ") }) {
		t.Errorf("reported are %q", failed)
	}
}

func TestGroup_OptionsThatBreakARule(t *testing.T) {
	l := startLoop(t)
	good := GroupOptions{
		Options: Options{Channel: "c", Handler: func(*Message) error { return nil }, Lookupds: []string{"localhost:4161"}},
		Topics:  []string{"a"},
	}
	for want, change := range map[string]func(o *GroupOptions){
		"Topic: want it empty":          func(o *GroupOptions) { o.Topic = "a" },
		"Topics, Match: want":           func(o *GroupOptions) { o.Topics = nil },
		"Match: want Lookupds":          func(o *GroupOptions) { o.Match, o.Lookupds = func(string) bool { return true }, nil },
		"MaxTopics -1: want":            func(o *GroupOptions) { o.MaxTopics = -1 },
		"Topics: want at most":          func(o *GroupOptions) { o.Topics, o.MaxTopics = []string{"a", "b"}, 1 },
		"Topics: a is there twice":      func(o *GroupOptions) { o.Topics = []string{"a", "a"} },
		"Channel: ":                     func(o *GroupOptions) { o.Channel = "" },
		`Topics: E_BAD_TOPIC topic nam`: func(o *GroupOptions) { o.Topics = []string{"a", "b c"} },
		"MaxInFlight -1: want":          func(o *GroupOptions) { o.MaxInFlight = -1 },
		"Handler: want a function":      func(o *GroupOptions) { o.Handler = nil },
		"NSQDs, Lookupds: want at lea":  func(o *GroupOptions) { o.Lookupds = nil },
	} {
		o := good
		change(&o)
		if _, err := NewGroup(l, o); err == nil || !strings.HasPrefix(err.Error(), "group options: "+want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := l.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := NewGroup(l, good); !errors.Is(err, ErrClosed) {
		t.Errorf("on a loop that has stopped: %v", err)
	}
}

func TestGroup_ShutdownOnARealLoop(t *testing.T) {
	s := nsqtest.Start(t)
	l := startLoop(t)
	handled := make(chan string, 100)
	g, err := NewGroup(l, GroupOptions{
		Options: Options{Channel: "c", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 10, Workers: 2, Handler: func(m *Message) error {
			handled <- m.Topic()
			return nil
		}},
		Topics: []string{"a", "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Publish("a", "1")
	s.Publish("b", "2")
	got := []string{<-handled, <-handled}
	slices.Sort(got)
	if got[0] != "a" || got[1] != "b" {
		t.Errorf("handled %v", got)
	}
	onLoop(t, l, func() {
		if err := g.Shutdown(t.Context()); err == nil {
			t.Error("a Shutdown on the loop was accepted")
		}
	})
	if s := g.Stats(); len(s.Topics) != 2 {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if s := g.Stats(); len(s.Topics) != 0 {
		t.Errorf("after the end: %+v", s)
	}
	if err := errors.Join(g.Shutdown(ctx), g.Close()); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestGroup_ShutdownIsCutOff(t *testing.T) {
	s := nsqtest.Start(t)
	l := startLoop(t)
	handled := make(chan bool, 10)
	g, err := NewGroup(l, GroupOptions{
		Options: Options{Channel: "c", NSQDs: []string{s.TCPAddr()}, Handler: func(m *Message) error { handled <- true; return Pending }},
		Topics:  []string{"a"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Publish("a", "1")
	<-handled
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Shutdown(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "topic a") {
		t.Errorf("cut off: %v", err)
	}
}

func TestGroup_BeforeTheLoopRuns(t *testing.T) {
	for _, end := range []func(g *Group) error{(*Group).Close, func(g *Group) error { return g.Shutdown(t.Context()) }} {
		w := newGroupWorld(t, looptest.Options{Seed: 1}, 1)
		g := w.group(GroupOptions{Topics: []string{"a"}})
		if err := end(g); err != nil {
			t.Error(err)
		}
		w.Run(time.Second)
		if len(g.members) != 0 || g.first[0].reader.final.Load() == nil {
			t.Error("it has started")
		}
	}
}
