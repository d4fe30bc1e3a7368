package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
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

// directLoop is a simulated loop on which a test can ask from outside, while
// the world stands still.
type directLoop struct {
	*looptest.Loop
	direct bool
}

func (l *directLoop) Post(f func()) error {
	if l.direct {
		l.Do(f)
		return nil
	}
	return l.Loop.Post(f)
}

// outside runs f, which may wait for the loop.
func (l *directLoop) outside(f func()) {
	l.direct = true
	defer func() { l.direct = false }()
	f()
}

// http sends a request to a handler.
func (l *directLoop) http(h http.Handler, method, target string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	req := httptest.NewRequest(method, target, nil)
	req.Host = "127.0.0.1:4161"
	l.outside(func() { h.ServeHTTP(rec, req) })
	return rec
}

// lookupdRig is an nsqlookupd on a simulated network, and nsqds that a test
// plays by hand.
type lookupdRig struct {
	t    *testing.T
	w    *looptest.World
	l    *directLoop
	d    *Lookupd
	nsqd *looptest.Loop
}

func newLookupdRig(t *testing.T, o LookupdOptions) *lookupdRig {
	t.Helper()
	w := looptest.Test(t, looptest.Options{})
	g := &lookupdRig{t: t, w: w, l: &directLoop{Loop: w.Loop("lookupd")}, nsqd: w.Loop("nsqds")}
	o.TCPAddress = ":4160"
	if o.BroadcastAddress == "" {
		o.BroadcastAddress = "lookupd"
	}
	var err error
	if g.d, err = NewLookupd(g.l, o); err != nil {
		t.Fatal(err)
	}
	g.settle()
	return g
}

// settle lets everything arrive.
func (g *lookupdRig) settle() { g.w.Run(50 * time.Millisecond) }

// want compares an answer of the HTTP API.
func (g *lookupdRig) want(method, target string, status int, body string) {
	g.t.Helper()
	rec := g.l.http(g.d.Handler(), method, target)
	got := rec.Body.String()
	if status >= 400 {
		var e struct{ Message, Detail string }
		if json.Unmarshal(rec.Body.Bytes(), &e) != nil || e.Detail == "" {
			g.t.Errorf("%s %s: %s is no refusal that helps", method, target, got)
		}
		got = e.Message
	}
	if rec.Code != status || got != body {
		g.t.Errorf("%s %s: got %d %s\nwant %d %s", method, target, rec.Code, got, status, body)
	}
	if h := rec.Header().Get("X-Nsq-Content-Type"); h != "nsq; version=1.0" && target != "/ping" {
		g.t.Errorf("%s %s: X-NSQ-Content-Type %q", method, target, h)
	}
}

// producers are the broadcast addresses that /lookup names; "-" for 404.
func (g *lookupdRig) producers(topic string) string {
	g.t.Helper()
	rec := g.l.http(g.d.Handler(), "GET", "/lookup?topic="+topic)
	if rec.Code == 404 {
		return "-"
	}
	var answer struct {
		Channels  []string
		Producers []struct {
			Address string `json:"broadcast_address"`
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || answer.Channels == nil || answer.Producers == nil {
		g.t.Fatalf("lookup %s: %s", topic, rec.Body)
	}
	var names []string
	for _, p := range answer.Producers {
		names = append(names, p.Address)
	}
	return strings.Join(names, " ") + "|" + strings.Join(answer.Channels, " ")
}

// fakeNSQD is an nsqd's end of a connection.
type fakeNSQD struct {
	g      *lookupdRig
	c      loop.Conn
	in     []byte
	closed bool
}

func (p *fakeNSQD) OnOpen(c loop.Conn)  { p.c = c }
func (p *fakeNSQD) OnData(b []byte) int { p.in = append(p.in, b...); return len(b) }
func (p *fakeNSQD) OnClose(error)       { p.closed = true }
func (p *fakeNSQD) send(s string)       { p.g.nsqd.Do(func() { p.c.Write([]byte(s)) }); p.g.settle() }
func (p *fakeNSQD) hangUp()             { p.g.nsqd.Do(p.c.Close); p.g.settle() }
func identifyAs(address string) string {
	return string(wire.AppendLookupIdentify(nil, fmt.Appendf(nil, `{"broadcast_address":%q,"hostname":"h","http_port":4151,"tcp_port":4150,"topology_region":"r","topology_zone":"z","version":"1.3.0"}`, address)))
}

// dial connects and says nothing.
func (g *lookupdRig) dial() *fakeNSQD {
	p := &fakeNSQD{g: g}
	g.nsqd.Do(func() { g.nsqd.Dial("lookupd:4160", loop.DialOptions{}, p) })
	g.settle()
	return p
}

// join connects and identifies.
func (g *lookupdRig) join(address string) *fakeNSQD {
	g.t.Helper()
	p := g.dial()
	p.send(wire.MagicV1 + identifyAs(address))
	if got := p.replies(); len(got) != 1 || !strings.HasPrefix(got[0], "{") {
		g.t.Fatalf("IDENTIFY of %s: %q", address, got)
	}
	return p
}

// replies are what has come since the last call.
func (p *fakeNSQD) replies() (all []string) {
	p.g.t.Helper()
	for len(p.in) > 0 {
		data, n, err := wire.ReadLookupReply(p.in, 1<<20)
		if err != nil || n == 0 {
			p.g.t.Fatalf("no reply: %q", p.in)
		}
		all, p.in = append(all, string(data)), p.in[n:]
	}
	return all
}

func (p *fakeNSQD) want(want ...string) {
	p.g.t.Helper()
	if got := p.replies(); !slices.Equal(got, want) {
		p.g.t.Errorf("received %q, want %q", got, want)
	}
	if p.closed {
		p.g.t.Error("the connection is closed")
	}
}

// ok sends lines, each of which must be answered OK.
func (p *fakeNSQD) ok(lines ...string) {
	p.g.t.Helper()
	for _, l := range lines {
		p.send(l + "\n")
		p.want("OK")
	}
}

// TestLookupd_Conversation is 294 to 300 and 302: what is sent after the magic,
// and what comes back. "!" at the end says that the connection is closed.
func TestLookupd_Conversation(t *testing.T) {
	id := identifyAs("nsqd1")
	const hello = `{"broadcast_address":"lookupd","hostname":"HOST","http_port":0,"tcp_port":4160,"version":"1.3.0"}`
	for _, row := range []struct {
		name string
		in   string
		want []string
	}{
		{"294 magic of clients", "  V2PING\n", []string{"E_BAD_PROTOCOL", "!"}},
		{"294 another magic", "XXXXPING\n", []string{"E_BAD_PROTOCOL", "!"}},
		{"295 PING", "  V1PING\nPING x y\n", []string{"OK", "OK"}},
		{"296 IDENTIFY", "  V1" + id, []string{hello}},
		{"297 missing fields", "  V1" + string(wire.AppendLookupIdentify(nil, []byte(`{"tcp_port":1}`))), []string{"E_BAD_BODY IDENTIFY missing fields", "!"}},
		{"298 negative size", "  V1IDENTIFY\n\xff\xff\xff\xff", []string{"E_BAD_BODY IDENTIFY failed to read body size", "!"}},
		{"298 huge size", "  V1IDENTIFY\n\x7f\xff\xff\xff", []string{"E_BAD_BODY IDENTIFY failed to read body size", "!"}},
		{"299 again", "  V1" + id + id, []string{hello, "E_INVALID cannot IDENTIFY again", "!"}},
		{"300 REGISTER first", "  V1REGISTER t\n", []string{"E_INVALID client must IDENTIFY", "!"}},
		{"302 topic", "  V1" + id + "REGISTER t$ c\n", []string{hello, "E_BAD_TOPIC REGISTER topic name 't$' is not valid", "!"}},
		{"302 channel", "  V1" + id + "UNREGISTER t c$\n", []string{hello, "E_BAD_CHANNEL UNREGISTER channel name 'c$' is not valid", "!"}},
		{"no topic", "  V1" + id + "REGISTER\n", []string{hello, "E_INVALID REGISTER insufficient number of params", "!"}},
		{"two spaces", "  V1" + id + "REGISTER t  c\n", []string{hello, "OK"}},
		{"unknown", "  V1" + id + "STATUS\nPING\n", []string{hello, "E_INVALID invalid command STATUS", "!"}},
		{"long line", "  V1" + strings.Repeat("x", 2000), []string{"E_INVALID line is longer than 1024 bytes", "!"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newLookupdRig(t, LookupdOptions{})
			p := g.dial()
			p.send(row.in)
			got := p.replies()
			if p.closed {
				got = append(got, "!")
			}
			for i := range got {
				got[i] = strings.Replace(got[i], fmt.Sprintf("%q", g.d.hostname), `"HOST"`, 1)
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q\nwant %q", got, row.want)
			}
		})
	}
}

// TestLookupd_Registrations is 301, 303 to 308: what nsqds say, and what
// consumers are told.
func TestLookupd_Registrations(t *testing.T) {
	g := newLookupdRig(t, LookupdOptions{})
	g.want("GET", "/lookup?topic=t", 404, "TOPIC_NOT_FOUND")   // 307
	g.want("GET", "/lookup", 400, "MISSING_ARG_TOPIC")         // 307
	g.want("GET", "/channels?topic=t", 200, `{"channels":[]}`) // 308
	g.want("GET", "/channels", 400, "MISSING_ARG_TOPIC")
	g.want("GET", "/topics", 200, `{"topics":[]}`)
	g.want("GET", "/nodes", 200, `{"producers":[]}`)
	g.want("GET", "/debug", 200, `{}`)
	a, b := g.join("a"), g.join("b")
	g.want("GET", "/lookup?topic=t", 404, "TOPIC_NOT_FOUND")
	a.ok("REGISTER t c", "REGISTER t c", "REGISTER t e#ephemeral")
	b.ok("REGISTER t")
	remote := a.c.LocalAddr().String()
	const rest = `"hostname":"h","broadcast_address":"a","tcp_port":4150,"http_port":4151,"version":"1.3.0","topology_zone":"z","topology_region":"r"`
	other := strings.Replace(`{"remote_address":"`+b.c.LocalAddr().String()+`",`+rest, `"a"`, `"b"`, 1)
	p := `{"remote_address":"` + remote + `",` + rest
	g.want("GET", "/lookup?topic=t", 200, `{"channels":["c","e#ephemeral"],"producers":[`+p+`},`+other+`}]}`) // 301
	g.want("GET", "/topics", 200, `{"topics":["t"]}`)
	g.want("GET", "/nodes", 200, `{"producers":[`+p+`,"tombstones":[false],"topics":["t"]},`+other+`,"tombstones":[false],"topics":["t"]}]}`) // 309
	a.ok("UNREGISTER t c")
	g.check("t", "a b|c e#ephemeral") // 303
	a.ok("UNREGISTER t e#ephemeral")
	g.check("t", "a b|c") // 305
	b.ok("UNREGISTER t", "UNREGISTER nothing", "UNREGISTER t nothing")
	g.check("t", "a|c") // 304
	b.ok("REGISTER t d#ephemeral")
	b.hangUp()
	a.hangUp()
	g.check("t", "|c d#ephemeral") // 306
	g.want("GET", "/nodes", 200, `{"producers":[]}`)
}

func (g *lookupdRig) check(topic, want string) {
	g.t.Helper()
	if got := g.producers(topic); got != want {
		g.t.Errorf("lookup %s: got %s, want %s", topic, got, want)
	}
}

// TestLookupd_TombstonesAndSilence is 309 to 313.
func TestLookupd_TombstonesAndSilence(t *testing.T) {
	g := newLookupdRig(t, LookupdOptions{TombstoneLifetime: 10 * time.Second, InactiveProducerTimeout: time.Minute})
	a := g.join("a")
	a.ok("REGISTER t c", "REGISTER u")
	g.want("POST", "/topic/tombstone?topic=t", 400, "MISSING_ARG_NODE")
	g.want("POST", "/topic/tombstone?node=a:4151", 400, "MISSING_ARG_TOPIC")
	g.want("POST", "/topic/tombstone?topic=t&node=x:1", 200, "")
	g.want("POST", "/topic/tombstone?topic=x&node=a:4151", 200, "")
	g.check("t", "a|c")
	g.want("POST", "/topic/tombstone?topic=t&node=a%3A4151", 200, "")
	g.check("t", "|c")
	g.check("u", "a|") // 310
	if got := g.l.http(g.d.Handler(), "GET", "/nodes").Body.String(); !strings.Contains(got, `"tombstones":[true,false],"topics":["t","u"]`) {
		t.Errorf("nodes: %s", got)
	}
	g.w.Run(10 * time.Second)
	g.check("t", "a|c") // 311
	g.want("POST", "/topic/tombstone?topic=t&node=a:4151", 200, "")
	a.ok("UNREGISTER t")
	g.w.Run(11 * time.Second)
	g.check("t", "|c") // 312
	g.w.Run(time.Minute)
	g.check("u", "|") // 313
	g.want("GET", "/nodes", 200, `{"producers":[]}`)
	a.ok("PING")
	g.check("u", "a|")
}

// TestLookupd_NamesWithoutProducers is 314 to 316 and the refusals of 6.4.
func TestLookupd_NamesWithoutProducers(t *testing.T) {
	g := newLookupdRig(t, LookupdOptions{})
	a := g.join("a")
	a.ok("REGISTER u c")
	for _, row := range []struct {
		method, target string
		status         int
		want           string
	}{
		{"POST", "/topic/create?topic=t", 200, ""},
		{"POST", "/topic/create?topic=t", 200, ""},
		{"POST", "/channel/create?topic=v&channel=d%23ephemeral", 200, ""},
		{"GET", "/topics", 200, `{"topics":["t","u","v"]}`},                            // 314
		{"GET", "/lookup?topic=v", 200, `{"channels":["d#ephemeral"],"producers":[]}`}, // 314
		{"POST", "/topic/create", 400, "MISSING_ARG_TOPIC"},
		{"POST", "/topic/create?topic=a$", 400, "INVALID_ARG_TOPIC"},
		{"POST", "/topic/delete", 400, "MISSING_ARG_TOPIC"},
		{"POST", "/channel/create?channel=c", 400, "MISSING_ARG_TOPIC"},
		{"POST", "/channel/create?topic=t", 400, "MISSING_ARG_CHANNEL"},
		{"POST", "/channel/create?topic=t&channel=*", 400, "INVALID_ARG_CHANNEL"},
		{"POST", "/channel/delete?topic=*&channel=c", 400, "INVALID_ARG_TOPIC"},
		{"POST", "/channel/delete?topic=u&channel=x", 404, "CHANNEL_NOT_FOUND"}, // 315
		{"POST", "/topic/delete?topic=nothing", 200, ""},                        // 315
		{"POST", "/topic/delete?topic=*", 200, ""},                              // 316
		{"GET", "/lookup?topic=*", 404, "TOPIC_NOT_FOUND"},                      // 316
		{"GET", "/channels?topic=*", 200, `{"channels":[]}`},                    // 316
		{"GET", "/topics", 200, `{"topics":["t","u","v"]}`},                     // 316
		{"POST", "/channel/delete?topic=u&channel=c", 200, ""},
		{"POST", "/topic/delete?topic=v", 200, ""},
		{"GET", "/topics", 200, `{"topics":["t","u"]}`},
		{"GET", "/channels?topic=u", 200, `{"channels":[]}`},
		{"GET", "/ping", 200, "OK"},
		{"GET", "/info", 200, `{"version":"1.3.0"}`},
		{"GET", "/nothing", 404, "NOT_FOUND"},
		{"GET", "/topic/create?topic=t", 405, "METHOD_NOT_ALLOWED"},
		{"GET", "/lookup?topic=a;b", 400, "INVALID_REQUEST"},
		{"GET", "/lookup?topic=%zz", 400, "INVALID_REQUEST"},
	} {
		g.want(row.method, row.target, row.status, row.want)
	}
	g.check("u", "a|") // deleting a channel leaves the producer
}

// TestLookupd_Debug is 318.
func TestLookupd_Debug(t *testing.T) {
	g := newLookupdRig(t, LookupdOptions{})
	a := g.join("a")
	g.w.Run(time.Second)
	a.ok("REGISTER t c")
	g.want("POST", "/channel/create?topic=empty&channel=c", 200, "")
	g.want("POST", "/topic/tombstone?topic=t&node=a:4151", 200, "")
	var got map[string][]map[string]any
	body := g.l.http(g.d.Handler(), "GET", "/debug").Body
	dec := json.NewDecoder(body)
	dec.UseNumber()
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	for key, tombstoned := range map[string]bool{"client::": false, "topic:t:": true, "channel:t:c": false} {
		if len(got[key]) != 1 {
			t.Fatalf("%s: %v", key, got[key])
		}
		e := got[key][0]
		want := map[string]any{"broadcast_address": "a", "hostname": "h", "tcp_port": json.Number("4150"), "http_port": json.Number("4151"),
			"version": "1.3.0", "topology_zone": "z", "topology_region": "r", "id": a.c.LocalAddr().String(), "tombstoned": tombstoned}
		for k, v := range want {
			if e[k] != v {
				t.Errorf("%s: %s is %v, want %v", key, k, e[k], v)
			}
		}
		seen, err := e["last_update"].(json.Number).Int64()
		if now := g.w.Now().UnixNano(); err != nil || seen < now-int64(2*time.Second) || seen > now {
			t.Errorf("%s: last_update %v", key, e["last_update"])
		}
		at, err := e["tombstoned_at"].(json.Number).Int64()
		if err != nil || tombstoned != (at > 0) {
			t.Errorf("%s: tombstoned_at %v", key, e["tombstoned_at"])
		}
	}
	if len(got) != 3 {
		t.Errorf("got %v", got)
	}
}

// A connection that says nothing, or half a command, is let go; one that has
// said what it is may be silent.
func TestLookupd_ClosesThoseThatDoNotFinish(t *testing.T) {
	for _, row := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"  V", nil},
		{"  V1", nil},
		{"  V1PIN", nil},
		{"  V1IDENTIFY\n", []string{"E_BAD_BODY IDENTIFY failed to read body size"}},
		{"  V1IDENTIFY\n\x00\x00\x00\x05{", []string{"E_BAD_BODY IDENTIFY failed to read body"}},
		{"  V1PING\nPIN", []string{"OK"}},
	} {
		g := newLookupdRig(t, LookupdOptions{})
		p := g.dial()
		if row.in != "" {
			p.send(row.in)
		}
		g.w.Run(9 * time.Second)
		if p.closed {
			t.Errorf("%q: closed too early", row.in)
		}
		g.w.Run(2 * time.Second)
		if got := p.replies(); !p.closed || !slices.Equal(got, row.want) {
			t.Errorf("%q: got %q, closed %v; want %q", row.in, got, p.closed, row.want)
		}
		if len(g.d.conns) != 0 {
			t.Errorf("%q: %d connections are left", row.in, len(g.d.conns))
		}
	}
	g := newLookupdRig(t, LookupdOptions{})
	a := g.join("a")
	g.w.Run(time.Hour)
	a.send("PI")
	g.w.Run(5 * time.Second)
	a.send("NG\n")
	a.want("OK")
	g.w.Run(time.Hour)
	a.ok("PING")
}

// What one nsqd can make it keep is limited, and what it has registered up to
// then stays.
func TestLookupd_Limits(t *testing.T) {
	g := newLookupdRig(t, LookupdOptions{MaxNames: 3, MaxRegistrations: 4, MaxConns: 2})
	a := g.join("a")
	a.ok("REGISTER t c", "REGISTER u")
	a.send("REGISTER v\n")
	a.want("E_INVALID REGISTER too many topics and channels")
	a.ok("PING", "REGISTER u")
	g.check("t", "a|c")
	g.check("v", "-")
	b := g.join("b")
	b.ok("REGISTER w")
	b.send("REGISTER x\n")
	b.want("E_INVALID REGISTER too many topics and channels")
	g.want("POST", "/topic/create?topic=x", 503, "TOO_MANY_REGISTRATIONS")
	if c := g.dial(); !c.closed {
		t.Error("a third connection is open")
	}
	b.hangUp()
	g.join("c")
}

// One that asks and does not read is closed before much piles up.
func TestLookupd_ClosesThoseThatDoNotRead(t *testing.T) {
	g := newLookupdRig(t, LookupdOptions{})
	lc := &bareConn{stuck: true}
	g.l.Do(func() {
		c := newLookupdConn(g.d).(*lookupdConn)
		c.OnOpen(lc)
		c.OnData([]byte(wire.MagicV1))
		pings := bytes.Repeat([]byte("PING\n"), 10_000)
		for range 30 {
			c.OnData(pings)
		}
	})
	if most := lookupdOutputMost + 100; !lc.closed || len(lc.out) > most {
		t.Errorf("%d bytes are waiting, closed %v", len(lc.out), lc.closed)
	}
}

// Bytes from the network never end it, and never leave anything behind.
func FuzzLookupd(f *testing.F) {
	f.Add([]byte("  V1" + identifyAs("a") + "REGISTER t c\nUNREGISTER t\nPING\n"))
	f.Add([]byte("  V1IDENTIFY\n\xff\xff\xff\xff"))
	l := newBareLoop()
	f.Fuzz(func(t *testing.T, in []byte) {
		d, err := NewLookupd(l, LookupdOptions{BroadcastAddress: "l", MaxNames: 10, MaxRegistrations: 20})
		if err != nil {
			t.Fatal(err)
		}
		l.turn(func() {})
		c, lc := newLookupdConn(d).(*lookupdConn), &bareConn{}
		l.turn(func() { c.OnOpen(lc) })
		for len(in) > 0 && !lc.closed {
			l.turn(func() {
				n := c.OnData(in)
				if n == 0 {
					in = nil
					return
				}
				in = in[n:]
			})
		}
		l.turn(func() { c.OnClose(nil) })
		if len(d.conns) != 0 || len(d.reg.Nodes(l.Now())) != 0 {
			t.Fatalf("%d connections and %d nodes are left", len(d.conns), len(d.reg.Nodes(l.Now())))
		}
		d.stop()
		l.timers = nil
	})
}

// TestLookupd_Sockets is the nsqlookupd as a program has it: 298, 317, and a
// stop that leaves nothing.
func TestLookupd_Sockets(t *testing.T) {
	d, err := StartLookupd(LookupdOptions{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", LiteVersion: "9.9.9"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := StartLookupd(LookupdOptions{TCPAddress: d.TCPAddr().String(), HTTPAddress: "127.0.0.1:0"}); err == nil {
		t.Error("two listen on one port")
	}
	if _, err := StartLookupd(LookupdOptions{MaxConns: -1}); err == nil {
		t.Error("a negative limit is taken")
	}
	c, err := net.Dial("tcp", d.TCPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("  V1" + identifyAs("a") + "REGISTER t c\n")); err != nil {
		t.Fatal(err)
	}
	var in []byte
	for buf := make([]byte, 1000); !bytes.HasSuffix(in, []byte("\x00\x00\x00\x02OK")); {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("after %q: %v", in, err)
		}
		in = append(in, buf[:n]...)
	}
	data, _, err := wire.ReadLookupReply(in, 1000)
	if err != nil {
		t.Fatal(err)
	}
	r, err := wire.DecodeLookupReply(data)
	if err != nil || r.TCPPort != d.TCPAddr().(*net.TCPAddr).Port || r.HTTPPort != d.HTTPAddr().(*net.TCPAddr).Port || r.BroadcastAddress == "" {
		t.Errorf("got %+v %v", r, err)
	}
	for _, row := range []struct{ target, want string }{
		{"/lookup?topic=t", `{"channels":["c"],"producers":[{"remote_address":"` + c.LocalAddr().String() + `",`},
		{"/topics", `{"topics":["t"]}`},
		{"/info", `{"version":"1.3.0","lite_version":"9.9.9"}`},
		{"/metrics", "nsqlookupd_producers 1"},
		{"/nothing", `{"message":"NOT_FOUND"`},
	} {
		req, err := http.NewRequest("GET", "http://"+d.HTTPAddr().String()+row.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := do(t, req)
		if !strings.Contains(a.body, row.want) || a.header.Get("X-Nsq-Content-Type") != "nsq; version=1.0" {
			t.Errorf("%s: %v %s", row.target, a.header, a.body)
		}
	}
	// A page of another site changes nothing.
	req, err := http.NewRequest("POST", "http://"+d.HTTPAddr().String()+"/topic/delete?topic=t", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := do(t, req); a.status != 403 {
		t.Errorf("a foreign page: %d %s", a.status, a.body)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
