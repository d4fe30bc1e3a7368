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
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// discoveryRig is a server and nsqlookupds on a simulated network. Requests for
// channels are answered by script, or by the nsqlookupd that is asked.
type discoveryRig struct {
	t       *testing.T
	w       *looptest.World
	l       *directLoop
	s       *Server
	lookups map[string]*lookupdRig
	script  func(*http.Request) (*http.Response, error)
	log     strings.Builder
}

func newDiscoveryRig(t *testing.T, lookupds ...string) *discoveryRig {
	t.Helper()
	g := &discoveryRig{t: t, w: looptest.Test(t, looptest.Options{}), lookups: map[string]*lookupdRig{}}
	for _, name := range lookupds {
		g.lookupd(name)
	}
	return g
}

// lookupd starts an nsqlookupd, for the first time or again.
func (g *discoveryRig) lookupd(name string) *lookupdRig {
	g.t.Helper()
	r := &lookupdRig{t: g.t, w: g.w, l: &directLoop{Loop: g.w.Loop(name)}}
	var err error
	if r.d, err = NewLookupd(r.l, LookupdOptions{TCPAddress: ":4160", BroadcastAddress: name}); err != nil {
		g.t.Fatal(err)
	}
	g.lookups[name] = r
	return r
}

// RoundTrip is http.RoundTripper's. It runs between the turns of the world.
func (g *discoveryRig) RoundTrip(req *http.Request) (*http.Response, error) {
	if g.script != nil {
		return g.script(req)
	}
	r := g.lookups[req.URL.Hostname()]
	if r == nil {
		return nil, errors.New("no such host")
	}
	return r.l.http(r.d.Handler(), req.Method, req.URL.RequestURI()).Result(), nil
}

// start starts the server.
func (g *discoveryRig) start(o Options) {
	g.t.Helper()
	g.l = &directLoop{Loop: g.w.Loop("nsqd")}
	o.TCPAddress, o.httpTransport = ":4150", g
	o.BroadcastHTTPPort = 4151 // HTTP is not simulated
	o.Logger = slog.New(slog.NewTextHandler(&g.log, nil))
	if o.BroadcastAddress == "" {
		o.BroadcastAddress = "nsqd"
	}
	var err error
	if g.s, err = New(g.l, o); err != nil {
		g.t.Fatal(err)
	}
	g.w.Run(100 * time.Millisecond)
	for _, p := range g.s.peers.all {
		p.info.HTTPPort = 4161 // those that are simulated have none
	}
}

// do runs f on the server's loop, and gives it the time in which others are to
// learn of it.
func (g *discoveryRig) do(f func() error) {
	g.t.Helper()
	var err error
	g.l.Do(func() { err = f() })
	if err != nil {
		g.t.Fatal(err)
	}
	g.w.Run(350 * time.Millisecond)
}

// create makes a topic, and a channel unless that is "".
func (g *discoveryRig) create(topic, channel string) {
	g.t.Helper()
	g.do(func() error {
		t, err := g.s.createTopic(topic)
		if err == nil && channel != "" {
			_, err = t.createChannel(channel)
		}
		return err
	})
}

// check compares what each nsqlookupd says of a topic.
func (g *discoveryRig) check(topic, want string, lookupds ...string) {
	g.t.Helper()
	for _, name := range lookupds {
		if got := g.lookups[name].producers(topic); got != want {
			g.t.Errorf("%s: %s has %s, want %s", name, topic, got, want)
		}
	}
}

// TestPeers_EveryChangeReachesEveryLookupd is 319, 320 and 326.
func TestPeers_EveryChangeReachesEveryLookupd(t *testing.T) {
	g := newDiscoveryRig(t, "l1", "l2")
	g.start(Options{LookupdTCPAddresses: []string{"l1:4160", "l2:4160", "l1:4160"}})
	all := []string{"l1", "l2"}
	g.check("t", "-", all...)
	g.create("t", "")
	g.check("t", "nsqd|", all...)
	g.create("t", "c")
	g.create("t", "e#ephemeral")
	g.check("t", "nsqd|c e#ephemeral", all...)
	g.do(func() error { x := g.s.topic("t"); x.deleteChannel(x.channel("e#ephemeral")); return nil })
	g.check("t", "nsqd|c", all...)
	g.do(func() error { return g.s.deleteTopic(g.s.topic("t")) })
	g.check("t", "|c", all...)
	if n := len(g.lookups["l1"].d.conns); n != 1 {
		t.Errorf("%d connections to a nsqlookupd that is named twice", n)
	}
	if err := g.l.Shutdown(time.Second); err != nil {
		t.Error(err)
	}
	g.w.Run(time.Second)
	if got := g.lookups["l1"].l.http(g.lookups["l1"].d.Handler(), "GET", "/nodes").Body.String(); got != `{"producers":[]}` {
		t.Errorf("after the stop: %s", got)
	}
}

// TestPeers_RestartsAndCuts is 321, also when there is no nsqlookupd at first,
// and T-89.
func TestPeers_RestartsAndCuts(t *testing.T) {
	g := newDiscoveryRig(t)
	g.start(Options{LookupdTCPAddresses: []string{"l1:4160"}})
	g.create("t", "c")
	g.create("u", "")
	g.w.Run(time.Minute)
	g.lookupd("l1")
	g.w.Run(7 * time.Second)
	g.check("t", "nsqd|c", "l1")
	g.check("u", "nsqd|", "l1")
	g.w.Run(16 * time.Second) // a connection that lasts
	for _, k := range g.w.Links("nsqd", "l1") {
		k.Reset()
	}
	g.create("v", "d") // nobody hears of it now
	g.w.Run(time.Second)
	g.check("v", "nsqd|d", "l1")
	if err := g.lookups["l1"].l.Close(); err != nil {
		t.Fatal(err)
	}
	g.do(func() error { return g.s.deleteTopic(g.s.topic("u")) })
	g.w.Run(time.Minute)
	g.lookupd("l1")
	g.w.Run(7 * time.Second)
	g.check("t", "nsqd|c", "l1")
	g.check("u", "-", "l1")
	g.check("v", "nsqd|d", "l1")
	if n := strings.Count(g.log.String(), "is not there"); n != 3 {
		t.Errorf("%d lines of lost nsqlookupds, want one for each time\n%s", n, g.log.String())
	}
}

// TestPeers_LookupdsChangeWhileItRuns is 257 and correction 5 of null.
func TestPeers_LookupdsChangeWhileItRuns(t *testing.T) {
	g := newDiscoveryRig(t, "l1", "l2")
	g.start(Options{LookupdTCPAddresses: []string{"l1:4160"}})
	g.create("t", "c")
	for _, row := range []struct {
		body   string
		status int
		want   string
		l1, l2 string
	}{
		{`["l2:4160"]`, 200, `["l2:4160"]`, "|c", "nsqd|c"},
		{`["l2:4160","l1:4160"]`, 200, `["l2:4160","l1:4160"]`, "nsqd|c", "nsqd|c"},
		{`"l1:4160"`, 400, "INVALID_VALUE", "nsqd|c", "nsqd|c"},
		{`["l1"]`, 400, "INVALID_VALUE", "nsqd|c", "nsqd|c"},
		{`[` + strings.Repeat(`"l1:4160",`, 64) + `"l1:4160"]`, 400, "INVALID_VALUE", "nsqd|c", "nsqd|c"},
		{`[]`, 200, `[]`, "|c", "|c"},
		{`null`, 200, `null`, "|c", "|c"},
	} {
		rec := httptest.NewRecorder()
		req := httptest.NewRequest("PUT", "/config/nsqlookupd_tcp_addresses", strings.NewReader(row.body))
		g.l.outside(func() { g.s.Handler().ServeHTTP(rec, req) })
		if rec.Code != row.status || !strings.Contains(rec.Body.String(), row.want) {
			t.Errorf("PUT %s: %d %s", row.body, rec.Code, rec.Body)
		}
		g.w.Run(350 * time.Millisecond)
		g.check("t", row.l1, "l1")
		g.check("t", row.l2, "l2")
	}
	if got := g.l.http(g.s.Handler(), "GET", "/config/nsqlookupd_tcp_addresses").Body.String(); got != "null" {
		t.Errorf("GET: %s", got)
	}
}

// TestPeers_Precreation is 323: channels that the nsqlookupds know exist before
// the first message goes anywhere, and publishers do not wait for that.
func TestPeers_Precreation(t *testing.T) {
	g := newDiscoveryRig(t, "l1", "l2")
	for _, x := range []struct{ lookupd, channel string }{{"l1", "a"}, {"l1", "x#ephemeral"}, {"l2", "b"}, {"l2", "a"}} {
		if err := g.lookups[x.lookupd].d.reg.Create("t", x.channel); err != nil {
			t.Fatal(err)
		}
	}
	g.start(Options{LookupdTCPAddresses: []string{"l1:4160", "l2:4160"}})
	published := false
	g.l.Do(func() {
		x, err := g.s.createTopic("t")
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := x.createChannel("early"); err != nil {
			t.Error(err)
		}
		x.publish([][]byte{[]byte("first")}, 0, func(err error) { published = err == nil })
	})
	if !published {
		t.Error("the publisher waits")
	}
	if st := g.topic("t"); st.Depth != 1 || st.Paused || len(st.Channels) != 1 || st.Channels[0].Depth != 0 {
		t.Errorf("while the nsqlookupds are asked: %+v", st)
	}
	g.w.Run(time.Second)
	st := g.topic("t")
	var names []string
	for _, ch := range st.Channels {
		names = append(names, fmt.Sprintf("%s:%d", ch.ChannelName, ch.Depth))
	}
	if got := strings.Join(names, " "); got != "a:1 b:1 early:1" || st.Depth != 0 {
		t.Errorf("channels %s, depth %d", got, st.Depth)
	}
	g.check("t", "nsqd|a b early x#ephemeral", "l1")
	// A channel that was deleted here is still known there, and comes back
	// with the topic (T-72).
	g.do(func() error { return g.s.deleteTopic(g.s.topic("t")) })
	g.create("t", "")
	if n := len(g.topic("t").Channels); n != 3 {
		t.Errorf("%d channels come back, want 3", n)
	}
}

// topic is what the server says of a topic.
func (g *discoveryRig) topic(name string) TopicStats {
	g.t.Helper()
	st := g.s.snapshot(StatsOptions{Topic: name})
	if len(st.Topics) != 1 {
		g.t.Fatalf("there is no topic %s", name)
	}
	return st.Topics[0]
}

// TestPeers_PrecreationThatFails is 324: what an nsqlookupd does not say holds
// up nothing for long, and nothing worse.
func TestPeers_PrecreationThatFails(t *testing.T) {
	answer := func(status int, body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: io.NopCloser(strings.NewReader(body))}, nil
		}
	}
	var many []string
	for i := range precreateMost + 5 {
		many = append(many, fmt.Sprintf(`"c%04d"`, i))
	}
	for _, row := range []struct {
		name     string
		script   func(*http.Request) (*http.Response, error)
		channels int
		warning  string
	}{
		{"no connection", func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }, 0, "refused"},
		{"an error", answer(500, "no\nway"), 0, "status 500"},
		{"no JSON", answer(200, "<html>"), 0, "invalid character"},
		{"names that are none", answer(200, `{"channels":["a$","","ok","`+strings.Repeat("x", 65)+`"]}`), 1, ""},
		{"too many", answer(200, `{"channels":[`+strings.Join(many, ",")+`]}`), precreateMost, "too many channels"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newDiscoveryRig(t, "l1")
			g.script = row.script
			g.start(Options{LookupdTCPAddresses: []string{"l1:4160", "down:4160"}})
			published := false
			g.do(func() error {
				x, err := g.s.createTopic("t")
				if err == nil {
					x.publish([][]byte{[]byte("m")}, 0, func(err error) { published = err == nil })
				}
				return err
			})
			g.create("t", "zz")
			st := g.topic("t")
			if !published || len(st.Channels) != row.channels+1 || st.Depth != 0 {
				t.Errorf("published %v, %d channels, depth %d", published, len(st.Channels), st.Depth)
			}
			if row.warning != "" && !strings.Contains(g.log.String(), row.warning) {
				t.Errorf("no %q in\n%s", row.warning, g.log.String())
			}
		})
	}
}

// A topic that is deleted while it is asked for leaves nothing behind.
func TestPeers_PrecreationOfATopicThatGoes(t *testing.T) {
	g := newDiscoveryRig(t, "l1")
	if err := g.lookups["l1"].d.reg.Create("t", "a"); err != nil {
		t.Fatal(err)
	}
	g.start(Options{LookupdTCPAddresses: []string{"l1:4160"}})
	g.do(func() error {
		x, err := g.s.createTopic("t")
		if err != nil {
			return err
		}
		return g.s.deleteTopic(x)
	})
	if len(g.s.topics) != 0 {
		t.Error("the topic is back")
	}
}

// scriptedLookupd is an nsqlookupd's end that writes down what it hears, and
// when.
type scriptedLookupd struct {
	w          *looptest.World
	c          loop.Conn
	heard      []string
	at         []time.Duration
	start      time.Time
	answer     func(cmd *wire.LookupCommand) string // "" says nothing
	identified bool
	raw        []byte
	closed     bool
}

func (p *scriptedLookupd) OnOpen(c loop.Conn) { p.c = c }
func (p *scriptedLookupd) OnClose(error)      { p.closed = true }
func (p *scriptedLookupd) OnData(b []byte) (n int) {
	p.raw = append(p.raw, b...)
	if len(p.heard) == 0 {
		if len(b) < 4 {
			return 0
		}
		p.hear(string(b[:4]))
		n = 4
	}
	var cmd wire.LookupCommand
	for {
		size, err := wire.ReadLookupCommand(b[n:], p.identified, &cmd)
		if err != nil || size == 0 {
			if err != nil {
				p.hear(err.Error())
			}
			return n
		}
		p.identified = p.identified || cmd.Verb == wire.LookupIdentify
		p.hear(strings.TrimSpace(fmt.Sprintf("%v %s %s", cmd.Verb, cmd.Topic, cmd.Channel)))
		n += size
		if s := p.answer(&cmd); s != "" {
			p.c.SetOutput(wire.AppendLookupReply(p.c.Output(), s))
		}
	}
}

func (p *scriptedLookupd) hear(s string) {
	p.heard = append(p.heard, s)
	p.at = append(p.at, p.w.Now().Sub(p.start))
}

// scripted lets every connection to name:4160 be taken by the script.
func (g *discoveryRig) scripted(name string, answer func(cmd *wire.LookupCommand) string) *[]*scriptedLookupd {
	g.t.Helper()
	var all []*scriptedLookupd
	_, err := g.w.Loop(name).Listen(":4160", func(loop.Conn) loop.Handler {
		p := &scriptedLookupd{w: g.w, start: g.w.Now(), answer: answer}
		all = append(all, p)
		return p
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return &all
}

// polite answers as an nsqlookupd without HTTP does.
func polite(cmd *wire.LookupCommand) string {
	if cmd.Verb == wire.LookupIdentify {
		return `{"broadcast_address":"","hostname":"h","http_port":0,"tcp_port":4160,"version":"1.3.0"}`
	}
	return wire.OK
}

// TestPeers_Bytes is 322 and 325: what is said, in which order and when, to the
// byte.
func TestPeers_Bytes(t *testing.T) {
	g := newDiscoveryRig(t)
	all := g.scripted("l1", polite)
	g.start(Options{LookupdTCPAddresses: []string{"l1:4160"}, BroadcastAddress: "b.example", BroadcastTCPPort: 5150, TopologyRegion: "r", TopologyZone: "z"})
	g.create("t", "c2")
	g.create("t", "c1")
	g.create("u", "")
	g.do(func() error { return g.s.deleteTopic(g.s.topic("t")) })
	g.create("v", "c")
	first := (*all)[0]
	want := []string{"  V1", "IDENTIFY", "REGISTER t", "REGISTER t c2", "REGISTER t c1", "REGISTER u", "UNREGISTER t", "UNREGISTER t c1", "UNREGISTER t c2", "REGISTER v", "REGISTER v c"}
	if !slices.Equal(first.heard, want) {
		t.Errorf("heard %q\nwant %q", first.heard, want)
	}
	body := fmt.Sprintf(`{"broadcast_address":"b.example","hostname":%q,"http_port":4151,"tcp_port":5150,"topology_region":"r","topology_zone":"z","version":"1.3.0"}`, hostname())
	hello := string(wire.AppendLookupIdentify([]byte(wire.MagicV1), []byte(body)))
	if !strings.HasPrefix(string(first.raw), hello) {
		t.Errorf("said %q\nwant %q", first.raw, hello)
	}
	g.w.Run(time.Minute)
	pings := 0
	for i, s := range first.heard {
		if s == "PING" {
			pings++
			if at, want := first.at[i], time.Duration(pings)*15*time.Second; at < want || at > want+100*time.Millisecond {
				t.Errorf("PING %d after %v", pings, at)
			}
		}
	}
	if pings != 4 {
		t.Errorf("%d PINGs in a minute, want 4", pings)
	}
	g.do(func() error { first.c.Abort(errors.New("cut")); return nil })
	g.w.Run(time.Second)
	if n := len(*all); n != 2 {
		t.Fatalf("%d connections, want a second one", n)
	}
	want = []string{"  V1", "IDENTIFY", "REGISTER u", "REGISTER v c"}
	if got := (*all)[1].heard; !slices.Equal(got, want) {
		t.Errorf("on the second connection heard %q\nwant %q", got, want)
	}
}

// What an nsqlookupd does wrong costs its connection, and is tried again, less
// and less often; what it refuses is said once.
func TestPeers_LookupdsThatMisbehave(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(cmd *wire.LookupCommand) string
		log    string
		dials  int // at least, in a minute
		atMost int
	}{
		{"silent", func(*wire.LookupCommand) string { return "" }, "no reply in 5s", 6, 12},
		{"no JSON", func(*wire.LookupCommand) string { return "hello" }, "answer to IDENTIFY", 10, 25},
		{"E_INVALID", func(*wire.LookupCommand) string { return "E_INVALID" }, "E_INVALID", 10, 25},
		{"refuses", func(cmd *wire.LookupCommand) string {
			if cmd.Verb == wire.LookupRegister {
				return "E_INVALID no\x1b[2J"
			}
			return polite(cmd)
		}, "nsqlookupd refuses a registration", 1, 1},
		{"silent later", func(cmd *wire.LookupCommand) string {
			if cmd.Verb == wire.LookupPing {
				return ""
			}
			return polite(cmd)
		}, "no reply in 5s", 2, 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newDiscoveryRig(t)
			all := g.scripted("l1", row.answer)
			g.start(Options{LookupdTCPAddresses: []string{"l1:4160"}})
			g.create("t", "c")
			g.create("u", "c")
			g.w.Run(time.Minute)
			if n := len(*all); n < row.dials || n > row.atMost {
				t.Errorf("%d connections in a minute, want %d to %d", n, row.dials, row.atMost)
			}
			log := g.log.String()
			if n := strings.Count(log, row.log); n < 1 || n > row.atMost {
				t.Errorf("%d lines with %q in\n%s", n, row.log, log)
			}
			if strings.Contains(log, "\x1b") {
				t.Error("foreign bytes in the log")
			}
		})
	}
	// A reply to nothing, and one that is too large.
	for _, bad := range []string{string(wire.AppendLookupReply(nil, wire.OK)), "\x7f\xff\xff\xff"} {
		g := newDiscoveryRig(t)
		all := g.scripted("l1", polite)
		g.start(Options{LookupdTCPAddresses: []string{"l1:4160"}})
		first := (*all)[0]
		g.w.Loop("l1").Do(func() { first.c.Write([]byte(bad)) })
		g.w.Run(time.Second)
		if !first.closed || len(*all) != 2 {
			t.Errorf("after %q: closed %v, %d connections", bad, first.closed, len(*all))
		}
	}
}

// Without an address of its own, a server is told to others by one that leads
// to it.
func TestPeers_AdvertisesTheRoute(t *testing.T) {
	g := newDiscoveryRig(t, "l1")
	g.start(Options{BroadcastAddress: "x"})
	g.s.o.broadcastGiven, g.s.o.BroadcastAddress = false, "nothing.invalid"
	g.do(func() error { g.s.peers.set([]string{"l1:4160"}); return nil })
	g.create("t", "")
	g.w.Run(5 * time.Second)
	ip := ""
	for _, c := range g.lookups["l1"].d.conns {
		ip = strings.Split(c.remote(), ":")[0]
	}
	g.check("t", ip+"|", "l1")
	if got := g.l.http(g.s.Handler(), "GET", "/info").Body.String(); !strings.Contains(got, `"broadcast_address":"`+ip+`"`) {
		t.Errorf("info: %s, want %s", got, ip)
	}
}
