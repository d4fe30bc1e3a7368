package reader

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// holding is a group whose messages are answered when the test says so.
type holding struct {
	*groupWorld
	g    *Group
	kept map[string][]*Message // by topic
	told []string
}

func newHolding(t *testing.T, o GroupOptions) *holding {
	t.Helper()
	h := &holding{groupWorld: newGroupWorld(t, looptest.Options{Seed: 1}, 1), kept: map[string][]*Message{}}
	tell := func(what string) func(*Reader) {
		return func(r *Reader) { h.told = append(h.told, what+r.Stats().Topic) }
	}
	o.OnJoin, o.OnLeave = tell("+"), tell("-")
	o.Handler = func(m *Message) error {
		h.kept[m.Topic()] = append(h.kept[m.Topic()], m)
		return Pending
	}
	h.g = h.group(o)
	return h
}

// set sets the topics, and lets what follows at once happen.
func (h *holding) set(topics ...string) {
	h.t.Helper()
	h.l.Do(func() {
		if err := h.g.SetTopics(topics); err != nil {
			h.t.Error(err)
		}
	})
	h.Run(time.Second)
	h.check(h.g)
}

// finish answers all that is kept of a topic.
func (h *holding) finish(topic string) {
	h.l.Do(func() {
		for _, m := range h.kept[topic] {
			m.Finish()
		}
		h.kept[topic] = nil
	})
	h.Run(time.Second)
	h.check(h.g)
}

// want asserts which topics there are, and the messages in flight of each.
func (h *holding) want(want string) {
	h.t.Helper()
	var got []string
	for _, m := range h.g.members {
		got = append(got, fmt.Sprintf("%s %d of %d", m.reader.o.Topic, m.slot.inFlight, m.slot.count))
	}
	if s := strings.Join(got, ", "); s != want {
		h.t.Errorf("there are %s; want %s", s, want)
	}
}

// A topic that is taken away gets nothing more, its messages may be answered,
// and what it gives up the others have at once.
func TestGroupSetTopics_TheBudgetFollows(t *testing.T) {
	h := newHolding(t, GroupOptions{Options: Options{MaxInFlight: 12}, Topics: []string{"a", "b"}})
	for _, topic := range []string{"a", "b", "c"} {
		h.publish(0, topic, 100)
	}
	h.Run(time.Second)
	h.want("a 6 of 6, b 6 of 6")
	h.set("b")
	h.want("a 6 of 0, b 6 of 6")
	h.finish("b")
	h.want("a 6 of 0, b 6 of 6") // what a has in flight is not there for b
	for range 2 {
		h.l.Do(func() { h.kept["a"][0].Finish(); h.kept["a"] = h.kept["a"][1:] })
	}
	h.Run(time.Second)
	h.want("a 4 of 0, b 8 of 8")
	h.set("b", "c")
	h.want("a 4 of 0, b 8 of 6, c 0 of 0") // c has to wait for room, too
	h.finish("a")
	h.finish("b")
	h.want("b 6 of 6, c 6 of 6")
	if got := strings.Join(h.told, " "); got != "+a +b +c -a" {
		t.Errorf("told of %s", got)
	}
	h.set("b", "c") // nothing changes
	h.want("b 6 of 6, c 6 of 6")
	h.set()
	h.finish("b")
	h.finish("c")
	h.want("")
	h.set("a")
	h.want("a 12 of 12")
	if n := h.handled["a"]; n != 6+12 {
		t.Errorf("%d messages of a handled, want those before it went and those since", n)
	}
}

// One that comes back while its messages are in flight is consumed again after
// them.
func TestGroupSetTopics_BackAgainBeforeItHasEnded(t *testing.T) {
	h := newHolding(t, GroupOptions{Options: Options{MaxInFlight: 4}, Topics: []string{"a"}})
	h.publish(0, "a", 100)
	h.Run(time.Second)
	h.set()
	h.set("a")
	h.want("a 4 of 0")
	h.set("a", "b")
	h.want("a 4 of 0, b 0 of 0")
	h.finish("a")
	h.want("b 0 of 1, a 2 of 2")                      // equal parts, and b has not had one yet
	h.l.Do(func() { h.g.member("a").reader.Close() }) // by the program, which had it from OnJoin
	h.Run(time.Second)
	h.want("b 0 of 1")
	if got := strings.Join(h.told, " "); got != "+a +b -a +a -a" {
		t.Errorf("told of %s", got)
	}
}

// With fewer messages than topics, one that ends takes no turn.
func TestGroupSetTopics_TurnsGoOn(t *testing.T) {
	h := newHolding(t, GroupOptions{Options: Options{MaxInFlight: 2, Client: client.Options{MsgTimeout: 10 * time.Minute}}, Topics: []string{"a", "b", "c", "d"}})
	for _, topic := range []string{"a", "b", "c", "d"} {
		h.publish(0, topic, 1)
	}
	h.within(time.Minute, "two messages", func() bool { return len(h.handled) == 2 })
	var busy, free []string
	for _, topic := range []string{"a", "b", "c", "d"} {
		if h.handled[topic] > 0 {
			busy = append(busy, topic)
		} else {
			free = append(free, topic)
		}
	}
	h.set(append(free, busy[0])...)
	h.finish(busy[1])
	h.within(time.Minute, "the others' turn", func() bool {
		if h.g.member(busy[1]) != nil {
			t.Errorf("topic %s is still there", busy[1])
		}
		for _, topic := range free {
			if len(h.kept[topic]) > 0 {
				h.finish(topic)
			}
		}
		return h.handled[free[0]] == 1 && h.handled[free[1]] == 1
	})
}

// What Match finds does not go because it is no longer named by the program, and
// comes when it goes.
func TestGroupSetTopics_AndMatch(t *testing.T) {
	w := newGroupWorld(t, looptest.Options{Seed: 1}, 1)
	w.names([]string{"m.1", "m.2", "x"}, w.addrs...)
	g := w.group(GroupOptions{
		Options:   Options{Lookupds: []string{"l:4161"}, LookupdPollInterval: 10 * time.Second},
		Topics:    []string{"m.1", "x"},
		Match:     func(topic string) bool { return strings.HasPrefix(topic, "m.") },
		MaxTopics: 3,
	})
	step := func(want string, set ...string) {
		t.Helper()
		w.l.Do(func() {
			if err := g.SetTopics(set); err != nil {
				t.Error(err)
			}
		})
		w.Run(time.Second)
		if got := strings.Join(g.names(), " "); got != want {
			t.Errorf("after %v there are %s, want %s", set, got, want)
		}
		w.check(g)
	}
	w.Run(time.Second)
	step("m.1 x m.2", "m.1", "x")
	step("m.1 m.2")
	step("m.1 m.2 y", "y", "z") // and z waits for room
	if n := strings.Count(w.log.String(), "too many"); n != 1 {
		t.Errorf("logged %d times that there are too many, want once", n)
	}
	step("m.1 m.2")
	step("m.1 m.2 z", "z")
	w.lookups.Answers["l:4161"] = func() (int, string) { return 200, `{"topics":[],"producers":[]}` }
	w.SetFaults(looptest.Faults{Refuse: 1})
	w.l.Do(func() {
		for _, m := range g.members {
			for _, n := range m.reader.nodes {
				n.conn.client.Close()
			}
		}
	})
	w.Run(time.Minute)
	if got := strings.Join(g.names(), " "); got != "z" { // nobody has it, but the program wants it
		t.Errorf("there are %s, want z", got)
	}
	if n := strings.Count(w.log.String(), "nobody has it"); n != 2 {
		t.Errorf("logged %d times that nobody has a topic, want of m.1 and m.2", n)
	}
}

func TestGroupSetTopics_Refuses(t *testing.T) {
	h := newHolding(t, GroupOptions{Topics: []string{"a"}, MaxTopics: 2})
	set := func(topics ...string) (err error) {
		h.l.Do(func() { err = h.g.SetTopics(topics) })
		return err
	}
	h.Run(time.Second)
	for want, topics := range map[string][]string{
		"set topics: Topics: want at most MaxTopics, 2, not 3": {"b", "c", "d"},
		"set topics: Topics: b is there twice":                 {"b", "b"},
		"set topics: Topics: E_BAD_TOPIC ":                     {"b", "b c"},
	} {
		if err := set(topics...); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v, want %q", topics, err, want)
		}
	}
	h.want("a 0 of 1")
	h.l.Do(func() { h.g.Close() })
	if err := set("b"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Whoever sets topics may keep the slice, and need not wait for the loop.
func TestGroupSetTopics_BeforeTheLoopRuns(t *testing.T) {
	s := nsqtest.Start(t)
	handled := make(chan string, 10)
	l := startLoop(t)
	hold := make(chan struct{})
	if err := l.Post(func() { <-hold }); err != nil {
		t.Fatal(err)
	}
	g, err := NewGroup(l, GroupOptions{
		Options: Options{Channel: "c", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 10, Workers: 1, Handler: func(m *Message) error {
			handled <- m.Topic()
			return nil
		}},
		Topics: []string{"a", "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"a", "b", "c"} {
		s.Publish(topic, "1")
	}
	topics := []string{"b", "c"}
	if err := g.SetTopics(topics); err != nil {
		t.Error(err)
	}
	topics[0], topics[1] = "x", "y"
	close(hold)
	got := []string{<-handled, <-handled}
	slices.Sort(got)
	if got[0] != "b" || got[1] != "c" {
		t.Errorf("handled %v", got)
	}
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A loop that is closed takes no topic in.
func TestGroupSetTopics_NothingJoinsWhenTheLoopIsClosed(t *testing.T) {
	h := newHolding(t, GroupOptions{Options: Options{MaxInFlight: 4}, Topics: []string{"a"}})
	h.publish(0, "a", 100)
	h.Run(time.Second)
	h.set()
	h.set("a")
	h.l.Close()
	h.want("")
	if strings.Contains(h.log.String(), "level=WARN") {
		t.Errorf("logged:\n%s", h.log.String())
	}
	if got := strings.Join(h.told, " "); got != "+a -a" {
		t.Errorf("told of %s", got)
	}
}
