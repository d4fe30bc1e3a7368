package lookup

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rig is a registry and its time.
type rig struct {
	t   *testing.T
	r   *Registry
	now time.Time
}

func newRig(t *testing.T) *rig {
	return &rig{t, New(Options{MaxNames: 5, MaxTotal: 8, Inactive: 300 * time.Second, Tombstone: 45 * time.Second}),
		time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (g *rig) join(name string) *Producer {
	return g.r.Join(Info{BroadcastAddress: name, HTTPPort: 4151, TCPPort: 4150, Version: "1"}, g.now)
}

func (g *rig) register(p *Producer, names ...string) {
	g.t.Helper()
	for _, n := range names {
		topic, channel, _ := strings.Cut(n, " ")
		if err := g.r.Register(p, topic, channel); err != nil {
			g.t.Fatalf("register %s: %v", n, err)
		}
	}
}

// want compares what a topic is known to have: "channels|producers", "-" when
// it is unknown.
func (g *rig) want(topic, want string) {
	g.t.Helper()
	got := "-"
	if producers, ok := g.r.Find(topic, g.now); ok {
		var names []string
		for _, p := range producers {
			names = append(names, p.BroadcastAddress)
		}
		got = strings.Join(g.r.Channels(topic), " ") + "|" + strings.Join(names, " ")
	}
	if got != want {
		g.t.Errorf("topic %s: got %s, want %s", topic, got, want)
	}
}

// nodes is what is shown of the producers: "name[topic topic!]", with ! behind
// a topic that it is hidden from.
func (g *rig) nodes() string {
	var all []string
	for _, n := range g.r.Nodes(g.now) {
		if len(n.Topics) != len(n.Tombstones) || n.Topics == nil || n.Tombstones == nil {
			g.t.Errorf("%s: %v and %v", n.BroadcastAddress, n.Topics, n.Tombstones)
		}
		for i := range n.Topics {
			if n.Tombstones[i] {
				n.Topics[i] += "!"
			}
		}
		all = append(all, n.BroadcastAddress+fmt.Sprint(n.Topics))
	}
	return strings.Join(all, " ")
}

// TestRegistry_RegisterAndUnregister is 301, 303 to 306.
func TestRegistry_RegisterAndUnregister(t *testing.T) {
	g := newRig(t)
	a, b := g.join("a"), g.join("b")
	g.want("t", "-")
	g.register(a, "t c", "t c", "t d#ephemeral")
	g.register(b, "t", "t c")
	g.want("t", "c d#ephemeral|a b")
	g.r.Unregister(a, "t", "c")
	g.want("t", "c d#ephemeral|a b") // 303
	g.r.Unregister(b, "t", "d#ephemeral")
	g.want("t", "c d#ephemeral|a b") // it is a's
	g.r.Unregister(a, "t", "d#ephemeral")
	g.want("t", "c|a b") // 305
	g.r.Unregister(b, "t", "")
	g.want("t", "c|a") // 304
	g.r.Unregister(a, "nothing", "")
	g.r.Unregister(a, "t", "nothing")
	g.register(b, "e#ephemeral c", "e#ephemeral d#ephemeral")
	g.r.Leave(a)
	g.r.Leave(b)
	g.r.Leave(b)
	g.want("t", "c|") // 306
	g.want("e#ephemeral", "c d#ephemeral|")
	g.register(b, "late")
	g.want("late", "-")
	c := g.join("c")
	g.register(c, "e#ephemeral")
	g.r.Unregister(c, "e#ephemeral", "")
	g.want("e#ephemeral", "-")
	if got := g.nodes(); got != "c[]" {
		t.Errorf("nodes %s", got)
	}
}

// TestRegistry_NamesAreNoPatterns is 316.
func TestRegistry_NamesAreNoPatterns(t *testing.T) {
	g := newRig(t)
	g.register(g.join("a"), "t c", "u")
	g.want("*", "-")
	g.r.DeleteTopic("*")
	g.r.Tombstone("*", "a:4151", g.now)
	if g.r.DeleteChannel("t", "*") || g.r.DeleteChannel("*", "c") {
		t.Error("a pattern was deleted")
	}
	if got := len(g.r.Channels("*")); got != 0 {
		t.Errorf("%d channels of *", got)
	}
	g.want("t", "c|a")
	g.want("u", "|a")
}

// TestRegistry_TombstonesAndTime is 310 to 313.
func TestRegistry_TombstonesAndTime(t *testing.T) {
	g := newRig(t)
	a := g.join("a")
	g.register(a, "t c", "u")
	g.register(g.join("b"), "t")
	g.r.Tombstone("t", "a:4150", g.now) // the wrong port
	g.r.Tombstone("nothing", "a:4151", g.now)
	g.want("t", "c|a b")
	g.r.Tombstone("t", "a:4151", g.now)
	g.want("t", "c|b")
	g.want("u", "|a")
	if got := g.nodes(); got != "a[t! u] b[t]" {
		t.Errorf("nodes %s", got)
	}
	g.register(a, "t")
	g.want("t", "c|b") // registering again does not help
	g.now = g.now.Add(45*time.Second - 1)
	g.want("t", "c|b")
	g.now = g.now.Add(1)
	g.want("t", "c|a b") // 311
	g.r.Tombstone("t", "a:4151", g.now)
	g.r.Unregister(a, "t", "")
	g.now = g.now.Add(time.Minute)
	g.want("t", "c|b") // 312
	g.register(a, "t")
	g.want("t", "c|b a")
	g.now = g.now.Add(300*time.Second - 105*time.Second)
	g.want("t", "c|b a")
	g.now = g.now.Add(1)
	g.want("t", "c|") // 313
	if got := g.nodes(); got != "" {
		t.Errorf("nodes %s", got)
	}
	g.r.Seen(a, g.now)
	g.want("t", "c|a")
	if got := g.nodes(); got != "a[t u]" {
		t.Errorf("nodes %s", got)
	}
}

// TestRegistry_CreateAndDelete is 314 and 315.
func TestRegistry_CreateAndDelete(t *testing.T) {
	g := newRig(t)
	if err := g.r.Create("t", ""); err != nil {
		t.Fatal(err)
	}
	if err := g.r.Create("u", "c"); err != nil {
		t.Fatal(err)
	}
	g.want("t", "|")
	g.want("u", "c|")
	a := g.join("a")
	g.register(a, "u c")
	if g.r.DeleteChannel("u", "d") || g.r.DeleteChannel("x", "c") || !g.r.DeleteChannel("u", "c") {
		t.Error("deleting a channel says the wrong thing")
	}
	g.want("u", "|a")
	g.r.DeleteTopic("u")
	g.r.DeleteTopic("u")
	g.want("u", "-")
	if got := g.nodes(); got != "a[]" {
		t.Errorf("nodes %s", got)
	}
	g.register(a, "u c")
	g.want("u", "c|a")
	if got := fmt.Sprint(g.r.Topics()); got != "[t u]" {
		t.Errorf("topics %s", got)
	}
}

func TestRegistry_LimitsHoldAndFreeAgain(t *testing.T) {
	g := newRig(t)
	a, b := g.join("a"), g.join("b")
	g.register(a, "t c1", "t c2", "t c3", "t c4")
	for _, name := range []string{"c5", "c5"} {
		if err := g.r.Register(a, "t", name); err != ErrFull {
			t.Errorf("a sixth name: %v", err)
		}
	}
	g.register(a, "t c1") // what is there is not more
	g.want("t", "c1 c2 c3 c4|a")
	g.register(b, "u c", "v")
	if err := g.r.Register(b, "w", ""); err != ErrFull {
		t.Errorf("a ninth of all: %v", err)
	}
	if err := g.r.Create("w", "x"); err != ErrFull {
		t.Errorf("a ninth of all: %v", err)
	}
	g.want("w", "-")
	g.r.Unregister(a, "t", "c4")
	if err := g.r.Register(a, "t", "c5"); err != ErrFull {
		t.Errorf("c4 is still known: %v", err)
	}
	g.r.DeleteChannel("t", "c4")
	g.register(a, "t c5")
	g.r.DeleteTopic("t")
	g.register(a, "w 1", "w 2", "w 3", "w 4")
	if got := g.r.Count(g.now); got != (Counts{2, 3, 5, 0}) {
		t.Errorf("counts %+v", got)
	}
	g.r.Leave(a)
	g.r.Leave(b)
	for _, name := range g.r.Topics() {
		g.r.DeleteTopic(name)
	}
	if got := g.r.Count(g.now); got != (Counts{}) {
		t.Errorf("counts %+v after everything has gone", got)
	}
}

func TestRegistry_EntriesAreInOrder(t *testing.T) {
	g := newRig(t)
	b, a := g.join("b"), g.join("a")
	g.register(b, "u", "t d")
	g.register(a, "t c")
	g.r.Tombstone("t", "b:4151", g.now)
	var got []string
	for _, e := range g.r.Entries(g.now) {
		s := e.Kind + ":" + e.Topic + ":" + e.Channel + "=" + e.Info.BroadcastAddress
		if e.Hidden && e.Tombstoned.Equal(g.now) {
			s += "!"
		}
		got = append(got, s)
	}
	want := "client::=b client::=a topic:t:=b! topic:t:=a channel:t:c=a channel:t:d=b topic:u:=b"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %s\nwant %s", s, want)
	}
}
