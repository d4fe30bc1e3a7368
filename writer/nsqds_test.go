package writer_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocklookupd"
	"github.com/nsqloop/nsqloop/writer"
)

// discovered is a world with n mock nsqds and a writer that knows l:4161.
func discovered(t *testing.T, n int, o writer.Options) (*given, *mocklookupd.Servers) {
	t.Helper()
	g := &given{world: newWorld(t, 1), t: t, rs: newResults()}
	for i := range n {
		g.s = append(g.s, g.mock(i))
	}
	l := mocklookupd.New()
	o.HTTPClient = &http.Client{Transport: l}
	if o.Lookupds == nil {
		o.Lookupds = []string{"l:4161"}
	}
	g.w = g.writer(o)
	return g, l
}

// known are the addresses that the writer knows, and whether they are ready.
func (g *given) known() string {
	var all []string
	for _, n := range g.stats().NSQDs {
		word := n.Addr[:1]
		if n.Direct {
			word += "!"
		}
		if !n.Ready {
			word += "?"
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

func (g *given) wantKnown(want string) {
	g.t.Helper()
	if got := g.known(); got != want {
		g.t.Errorf("knows %q, want %q", got, want)
	}
}

// Statements 180, 181, 183, 190 and 192: a writer that knows nothing but an
// nsqlookupd publishes to what that names, once it does.
func TestWriter_FindsThroughLookupd(t *testing.T) {
	var said []string
	g, l := discovered(t, 2, writer.Options{LookupdSecret: "secret", OnError: func(err error) { said = append(said, err.Error()) }})
	g.publish("early")
	g.run(100 * time.Millisecond)
	if len(l.Asked) != 1 || l.Asked[0] != "http://l:4161/nodes" || l.Headers[0].Get("Authorization") != "Bearer secret" {
		t.Errorf("asked %q with %v", l.Asked, l.Headers)
	}
	g.rs.want(t)
	g.run(3 * time.Second) // it asks again, and says only once that nobody answers
	if len(said) != 1 || !strings.Contains(said[0], "connection refused") {
		t.Errorf("errors: got %q, want one of nsqlookupd", said)
	}
	l.Name("l:4161", "a:4150")
	g.run(2 * time.Second)
	g.rs.want(t, "early confirmed")
	g.wantKnown("a")
	l.Name("l:4161", "a:4150", "b:4150")
	g.run(80 * time.Second)
	g.wantKnown("a b")
	g.publishMany(200)
	if got := g.counts(); got[0] < 60 || got[1] < 60 {
		t.Errorf("the nsqds got %v", got)
	}
}

// Statements 182, 184 to 187, 189, 193 and 195: all nsqlookupds count, one that
// fails hides nothing, and an nsqd that works stays.
func TestWriter_UnionOfLookupds(t *testing.T) {
	g, l := discovered(t, 3, writer.Options{
		NSQDs:               []string{"a:4150"},
		Client:              silent,
		Lookupds:            []string{"l:4161", "http://m:4161/", "n:4161"},
		LookupdPollInterval: 10 * time.Second,
	})
	l.Name("l:4161", "b:4150", "a:4150")
	l.Name("m:4161", "b:4150", "c:4150")
	l.Answers["n:4161"] = func() (int, string) { return 500, "oops" }
	g.run(time.Second)
	g.wantKnown("a! b c")
	l.Name("l:4161")
	l.Name("m:4161")
	g.run(5 * time.Minute)
	g.wantKnown("a! b c")
	for i, s := range g.s {
		if s.Accepted != 1 {
			t.Errorf("nsqd %d has %d connections, want 1", i, s.Accepted)
		}
	}
	g.do(g.s[0].Cut) // so that it counts again which are there
	g.run(time.Second)
	g.publishMany(300)
	if got := g.counts(); got[0] == 0 || got[1] == 0 || got[2] == 0 {
		t.Errorf("the nsqds got %v, want each to be used", got)
	}
	// One that is lost and not named is forgotten; one of NSQDs is not.
	g.do(func() { g.s[0].Stop(); g.s[1].Stop() })
	g.run(5 * time.Minute)
	g.wantKnown("a!? c")
}

// Statement 194: a loss asks at once. Statement 200: the filter decides.
func TestWriter_LookupAfterLossAndFilter(t *testing.T) {
	g, l := discovered(t, 2, writer.Options{Filter: func(all []string) (some []string) {
		for _, addr := range all {
			if addr != "b:4150" {
				some = append(some, addr)
			}
		}
		return some
	}})
	l.Name("l:4161", "a:4150", "b:4150")
	g.run(5 * time.Second)
	g.wantKnown("a")
	asked := len(l.Asked)
	g.do(g.s[0].Cut)
	g.run(100 * time.Millisecond)
	if len(l.Asked) != asked+1 {
		t.Errorf("asked %d times after the loss, want once", len(l.Asked)-asked)
	}
}

// PublishAll waits for an nsqd that nsqlookupd has not named yet.
func TestWriter_PublishAllWaitsForDiscovery(t *testing.T) {
	g, l := discovered(t, 2, writer.Options{LookupdPollInterval: time.Second})
	l.Name("l:4161", "a:4150")
	g.run(time.Second)
	got := g.publishAll("x", 2)
	g.run(time.Second)
	wantCopies(t, got)
	l.Name("l:4161", "a:4150", "b:4150")
	g.run(3 * time.Second)
	wantCopies(t, got, "a:4150 confirmed", "b:4150 confirmed")
}

// Addresses come and go while the writer works: what was sent is answered
// first, what waits goes elsewhere. Statement 202 is about nsqlookupds.
func TestWriter_ChangesAddresses(t *testing.T) {
	g := start(t, 2, writer.Options{Window: 2})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.do(func() { g.publish("1", "2", "3", "4", "5", "6") })
	g.run(10 * time.Millisecond)
	if err := g.w.RemoveNSQD("a:4150"); err != nil {
		t.Fatal(err)
	}
	g.run(100 * time.Millisecond)
	g.wantKnown("a b!") // two answers are owed
	g.publish("7")
	g.run(100 * time.Millisecond)
	g.do(func() {
		c := g.s[0].Conns[0]
		c.Mute = false
		c.OK()
		c.OK()
	})
	g.run(100 * time.Millisecond)
	g.wantKnown("b!")
	if len(g.s[0].Conns) != 0 || len(g.s[0].Published) != 2 || len(g.s[1].Published) != 5 {
		t.Errorf("%d connections and %d messages at the removed one, %d at the other", len(g.s[0].Conns), len(g.s[0].Published), len(g.s[1].Published))
	}
	if len(g.rs.names) != 7 {
		t.Errorf("%d ended, want 7", len(g.rs.names))
	}
	if err := g.w.AddNSQD("a:4150"); err != nil {
		t.Fatal(err)
	}
	g.run(time.Second)
	g.wantKnown("b! a!")
	for name, row := range map[string]struct{ got, want error }{
		"again":   {g.w.AddNSQD("a:4150"), writer.ErrDuplicate},
		"unknown": {g.w.RemoveNSQD("c:4150"), writer.ErrNotThere},
		"lookupd": {g.w.RemoveLookupd("l:4161"), writer.ErrNotThere},
	} {
		if !errors.Is(row.got, row.want) {
			t.Errorf("%s: got %v, want %v", name, row.got, row.want)
		}
	}
	if g.w.AddNSQD("nonsense") == nil || g.w.AddLookupd("ftp://x") == nil || g.w.RemoveLookupd("ftp://x") == nil {
		t.Error("a bad address is accepted")
	}
	// One that is not connected goes at once.
	g.do(g.s[0].Stop)
	g.run(time.Second)
	if err := g.w.RemoveNSQD("a:4150"); err != nil {
		t.Fatal(err)
	}
	g.run(time.Millisecond)
	g.wantKnown("b!")
	g.do(func() { g.w.Close() })
	for name, err := range map[string]error{
		"AddNSQD": g.w.AddNSQD("c:4150"), "RemoveNSQD": g.w.RemoveNSQD("b:4150"), "AddLookupd": g.w.AddLookupd("l:4161"),
	} {
		if !errors.Is(err, writer.ErrClosed) {
			t.Errorf("%s: got %v, want %v", name, err, writer.ErrClosed)
		}
	}
}

// One that was removed gets nothing more, though it still owes an answer and has
// room.
func TestWriter_RemovedNSQDGetsNothing(t *testing.T) {
	g := start(t, 2, writer.Options{})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.publishMany(1)
	g.publishMany(1)
	g.wantCounts(1, 1)
	if err := g.w.RemoveNSQD("a:4150"); err != nil {
		t.Fatal(err)
	}
	g.run(10 * time.Millisecond)
	g.publishMany(200)
	g.wantCounts(0, 200)
}

func TestWriter_ChangesLookupds(t *testing.T) {
	g, l := discovered(t, 2, writer.Options{})
	l.Name("l:4161", "a:4150")
	l.Name("m:4161", "b:4150")
	g.run(time.Second)
	if err := errors.Join(g.w.AddLookupd("m:4161"), g.w.AddLookupd("http://m:4161/")); err != nil {
		t.Fatal(err)
	}
	g.run(time.Second)
	g.wantKnown("a b")
	if err := g.w.RemoveLookupd("l:4161"); err != nil {
		t.Fatal(err)
	}
	if err := g.w.RemoveLookupd("m:4161"); !errors.Is(err, writer.ErrLastLookupd) {
		t.Errorf("got %v, want %v", err, writer.ErrLastLookupd)
	}
	// What nsqlookupd names stays when the program takes its word back.
	if err := errors.Join(g.w.AddNSQD("b:4150"), g.w.RemoveNSQD("b:4150")); err != nil {
		t.Fatal(err)
	}
	g.run(time.Second)
	g.wantKnown("a b")
	asked := len(l.Asked)
	g.run(61 * time.Second)
	for _, url := range l.Asked[asked:] {
		if !strings.Contains(url, "m:4161") {
			t.Errorf("asked %s, which was removed", url)
		}
	}
	g.do(func() { g.w.Close() })
	asked = len(l.Asked)
	g.run(5 * time.Minute)
	if len(l.Asked) != asked {
		t.Errorf("asked %d times after Close", len(l.Asked)-asked)
	}
}
