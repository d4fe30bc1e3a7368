package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// strict is the options of a strict server and its auth server, which knows
// each secret's reply.
func strict(replies map[string]string) (Options, *authServers) {
	o, a := granting("")
	o.Strict = true
	a.answer = func(_, secret string) (int, string, error) {
		if reply, ok := replies[secret]; ok {
			return 200, reply, nil
		}
		return 403, "", nil
	}
	return o, a
}

// bearing are the headers that show a secret.
func bearing(secret string) []string { return []string{"Authorization", "Bearer " + secret} }

// TestStrict_EveryRouteAsks: a route that is added without a thought is shut,
// too.
func TestStrict_EveryRouteAsks(t *testing.T) {
	o, _ := strict(map[string]string{"nothing": may("^none$", `[".*"]`, `["publish"]`)})
	s := startHTTP(t, o)
	open := map[string]bool{"/ping": true, "/livez": true, "/readyz": true} // a supervisor has no secret
	for _, rt := range newHTTPServer(s, s.HTTPAddr()).routes {
		target := strings.Replace(strings.TrimSuffix(rt.path, "{$}"), "{opt}", "log_level", 1) + "?topic=t&channel=c&to=beginning"
		wantNobody, wantOther := http.StatusUnauthorized, http.StatusForbidden
		if open[rt.path] {
			wantNobody, wantOther = 200, 200
		}
		if a := ask(t, s, rt.method, target, ""); a.status != wantNobody {
			t.Errorf("%s %s without a secret: %d %s, want %d", rt.method, rt.path, a.status, a.body, wantNobody)
		}
		if a := ask(t, s, rt.method, target, "x", bearing("nothing")...); a.status != wantOther {
			t.Errorf("%s %s with the wrong grants: %d %s, want %d", rt.method, rt.path, a.status, a.body, wantOther)
		}
	}
	if st, err := s.Stats(StatsOptions{}); err != nil || len(st.Topics) != 0 {
		t.Errorf("%d topics were made by refused requests (%v)", len(st.Topics), err)
	}
}

func TestStrict_HTTPNeedsTheGrantsOfTheProtocol(t *testing.T) {
	o, _ := strict(map[string]string{
		"pub":   may("orders", `[""]`, `["publish"]`),
		"sub":   may("orders", `["print"]`, `["subscribe"]`),
		"all":   may("orders", `[".*"]`, `["subscribe"]`),
		"admin": may("orders", `[".*"]`, `["admin"]`),
		"half":  may("orders", `["print"]`, `["admin"]`),
		"stats": may("x", `[]`, `["stats"]`),
		"conf":  may("x", `[]`, `["config"]`),
		"debug": may("x", `[]`, `["debug"]`),
	})
	s := startHTTP(t, o)
	for _, row := range []struct {
		secret, method, target string
		status                 int
	}{
		{"pub", "POST", "/pub?topic=orders", 200},
		{"pub", "POST", "/mpub?topic=orders", 200},
		{"pub", "POST", "/pub?topic=orders_secret", 403},
		{"pub", "POST", "/pub?topic=my.orders", 403},
		{"pub", "POST", "/pub?topic=x&topic=orders", 403}, // the first one counts
		{"pub", "POST", "/topic/create?topic=orders", 403},
		{"sub", "POST", "/pub?topic=orders", 403},
		{"admin", "POST", "/topic/create?topic=orders", 200},
		{"admin", "POST", "/channel/create?topic=orders&channel=print", 200},
		{"admin", "POST", "/pub?topic=orders", 403},
		{"sub", "GET", "/channel/peek?topic=orders&channel=print", 200},
		{"sub", "GET", "/channel/peek?topic=orders&channel=other", 403},
		{"sub", "GET", "/topic/peek?topic=orders&channel=print", 403}, // all of the topic
		{"all", "GET", "/topic/peek?topic=orders", 200},
		{"half", "POST", "/channel/pause?topic=orders&channel=print", 200},
		{"half", "POST", "/topic/pause?topic=orders&channel=print", 403},
		{"half", "POST", "/pause_topic?topic=orders&channel=print", 403},
		{"admin", "POST", "/topic/pause?topic=orders", 200},
		{"admin", "POST", "/topic/delete?topic=others", 403},
		{"all", "POST", "/lite/topic/drop?topic=orders&through=00000000000000ff", 403}, // who may look may not drop
		{"half", "POST", "/lite/topic/drop?topic=orders&channel=print&through=00000000000000ff", 403},
		{"admin", "POST", "/lite/topic/drop?topic=orders&through=00000000000000ff", 409}, // let in; there is no such message
		{"admin", "POST", "/lite/topic/drop?topic=others&through=00000000000000ff", 403},
		{"admin", "GET", "/stats", 403},
		{"stats", "GET", "/stats", 200},
		{"stats", "GET", "/metrics", 200},
		{"stats", "GET", "/info", 200},
		{"stats", "GET", "/config/max_msg_size", 403},
		{"conf", "GET", "/config/max_msg_size", 200},
		{"conf", "PUT", "/config/log_level", 403},
		{"conf", "GET", "/debug/pprof/cmdline", 403},
		{"debug", "GET", "/debug/pprof/cmdline", 200},
		{"pub", "GET", "/stats?topic=%", 400},
		{"pub", "GET", "/nope", 404},
	} {
		if a := ask(t, s, row.method, row.target, "x", bearing(row.secret)...); a.status != row.status {
			t.Errorf("%s may %s %s: %d %s, want %d", row.secret, row.method, row.target, a.status, a.body, row.status)
		}
	}
}

// TestStrict_SecretOfARequest: a secret is the password of a user, or his name,
// or a bearer's token.
func TestStrict_SecretOfARequest(t *testing.T) {
	for _, row := range []struct{ header, want string }{
		{"", ""},
		{"Bearer s", "s"},
		{"bearer  s ", "s"},
		{"Bearer ", ""},
		{"Basic OnM=", "s"},     // ":s"
		{"Basic bWU6cw==", "s"}, // "me:s"
		{"Basic czo=", "s"},     // "s:"
		{"Basic !", ""},
		{"Digest s", ""},
	} {
		r := mustRequest(t, "GET", "http://localhost/stats?secret=x")
		r.Header.Set("Authorization", row.header)
		if got := secretOf(r); got != row.want {
			t.Errorf("%q shows %q, want %q", row.header, got, row.want)
		}
	}
}

// TestStrict_AsksOnceForManyRequests: and not in an address.
func TestStrict_AsksOnceForManyRequests(t *testing.T) {
	o, a := strict(map[string]string{"s": may(".*", `[".*"]`, `["publish"]`)})
	s := startHTTP(t, o)
	for range 5 {
		if a := ask(t, s, "POST", "/pub?topic=t", "x", bearing("s")...); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if len(a.asked) != 1 {
		t.Fatalf("the auth server was asked %d times, want once", len(a.asked))
	}
	if r := a.asked[0]; r.Method != "POST" || r.URL.RawQuery != "" {
		t.Errorf("it was asked by %s %s, want POST without a query", r.Method, r.URL)
	}
	if want := `{"common_name":[""],"remote_ip":["127.0.0.1"],"secret":["s"],"tls":["false"]}`; a.bodies[0] != want {
		t.Errorf("it was asked %s, want %s", a.bodies[0], want)
	}
}

// TestStrict_VisitorsAreForgotten: an answer counts until it expires, wrong
// secrets are guesses, and there is an end of what is remembered.
func TestStrict_VisitorsAreForgotten(t *testing.T) {
	o, a := strict(map[string]string{"s": may(".*", `[".*"]`, `["publish"]`)})
	w := newWorld(t, o)
	v := &w.s.auth.visitors
	from := guessPrefix("10.0.0.7:1")
	find := func(secret string, gone bool) (answers int, wrong bool) {
		w.do(func() {
			q := question{secret: secret, remoteIP: "10.0.0.7"}
			v.find(q, from, func() bool { return gone }, func(g *grants, err error) { answers, wrong = answers+1, wrongGuess(g, err) })
		})
		return answers, wrong
	}
	asked := func(n int) {
		t.Helper()
		if len(a.asked) != n {
			t.Fatalf("the auth server was asked %d times, want %d", len(a.asked), n)
		}
	}
	find("s", false)
	find("s", false)
	asked(1)
	w.sleep(60 * time.Second)
	find("s", false)
	asked(2)
	if n, wrong := find("x", false); n != 1 || !wrong {
		t.Errorf("a wrong secret is answered %d times, as wrong: %v", n, wrong)
	}
	asked(3)
	if n, _ := find("y", false); n != 0 {
		t.Error("the next guess is answered at once")
	}
	if n, _ := find("s", false); n != 1 {
		t.Error("who is known has to wait for guesses")
	}
	if n, _ := find("z", true); n != 0 {
		t.Error("who has gone is answered")
	}
	w.sleep(time.Second)
	asked(4) // for y
	w.sleep(time.Second)
	asked(4) // z has gone: nobody is asked, nothing is owed

	for i := range visitorsMost {
		v.remember(visitor{remoteIP: fmt.Sprint(i)}, &grants{lasts: time.Minute})
	}
	if n := len(v.known); n > visitorsMost {
		t.Errorf("%d are remembered, want %d at most", n, visitorsMost)
	}
	w.sleep(2 * time.Minute)
	v.remember(visitor{remoteIP: "new"}, &grants{lasts: time.Minute})
	if len(v.known) >= visitorsMost {
		t.Error("what has expired is remembered though there are too many")
	}
}

func TestStrict_PatternsAreWhole(t *testing.T) {
	o, _ := strict(map[string]string{
		"s": may("orders|a)|(b", `[".*"]`, `["publish"]`),
		"t": may("orders", `["print|x"]`, `["publish","subscribe"]`),
	})
	w := newWorld(t, o)
	p := w.dial()
	p.auth("s")
	p.wantClosed("E_AUTH_FAILED AUTH failed") // no pattern, whatever is put around it
	for _, row := range []struct {
		topic, channel string
		ok             bool
	}{
		{"orders", "print", true}, {"orders", "x", true},
		{"orders", "printer", false}, {"orders_secret", "print", false}, {"my.orders", "print", false},
	} {
		p := w.dialFrom("10.0.0.9")
		p.auth("t")
		p.frames()
		p.send(wire.AppendSub(nil, row.topic, row.channel))
		if got := p.frames(); (len(got) == 1 && got[0] == "OK") != row.ok {
			t.Errorf("SUB %s %s: %q, want let in: %v", row.topic, row.channel, got, row.ok)
		}
	}
	p = w.dialFrom("10.0.0.9")
	p.auth("t")
	p.frames()
	p.pub("orders", "x") // "print|x" does not match the empty name
	p.wantClosed(`E_UNAUTHORIZED AUTH failed for PUB on "orders" ""`)
}

// TestStrict_RevokedSubscriberIsOut: when his grants expire at the latest, also
// when the auth server is of no help; who still has them notices nothing.
func TestStrict_RevokedSubscriberIsOut(t *testing.T) {
	granted := map[string]string{"s": may("t", `["c"]`, `["subscribe"]`)} // for 60 s
	o, a := strict(granted)
	broken := false
	known := a.answer
	a.answer = func(host, secret string) (int, string, error) {
		if broken {
			return 500, "", nil
		}
		return known(host, secret)
	}
	w := newWorld(t, o)
	subscribe := func() *peer {
		p := w.dial()
		p.auth("s")
		p.frames()
		p.sendString("SUB t c\nRDY 10\n")
		p.want("OK")
		return p
	}
	alive := func(p *peer, d time.Duration) {
		for range int(d / time.Second) {
			w.sleep(time.Second)
			p.sendString("NOP\n")
			p.frames()
		}
	}
	p := subscribe()
	alive(p, 10*time.Minute)
	if p.closed() {
		t.Fatal("a subscriber with grants was closed")
	}
	n := len(a.asked)
	if n < 10 || n > 16 {
		t.Errorf("the auth server was asked %d times in ten minutes, want about every 55 s", n)
	}

	broken = true
	alive(p, 7*time.Second) // the next question, which has no answer
	broken = false
	if asked := len(a.asked) - n; asked == 0 {
		t.Error("nobody was asked meanwhile")
	}
	alive(p, 30*time.Second)
	if p.closed() {
		t.Fatal("a subscriber was closed for one question without an answer")
	}

	granted["s"] = may("t", `["other"]`, `["subscribe"]`)
	alive(p, 61*time.Second)
	if !p.closed() {
		t.Fatal("a revoked subscriber is there after the TTL and a second")
	}
	if st := w.s.snapshot(StatsOptions{}); len(st.Topics[0].Channels[0].Clients) != 0 {
		t.Error("a revoked subscriber still has its place")
	}

	granted["s"] = may("t", `["c"]`, `["subscribe"]`)
	p, q := subscribe(), subscribe()
	delete(granted, "s") // the secret itself
	alive(p, 61*time.Second)
	if !p.closed() || !q.closed() {
		t.Fatal("a subscriber whose secret is refused is there after the TTL and a second")
	}

	granted["s"] = may("t", `["c"]`, `["subscribe"]`)
	w.sleep(time.Minute) // for the guesses that these were
	p = subscribe()
	broken = true
	alive(p, 61*time.Second)
	if !p.closed() {
		t.Fatal("a subscriber is there after the TTL and a second though nobody renews its grants")
	}
}

// TestStrict_NotStrict: without the option a running subscription stays, as in
// nsqd.
func TestStrict_NotStrict(t *testing.T) {
	o, a := granting(may("t", `["c"]`, `["subscribe"]`))
	w := newWorld(t, o)
	p := w.dial()
	p.auth("s")
	p.frames()
	p.sendString("SUB t c\n")
	p.want("OK")
	for range 100 {
		w.sleep(time.Second)
		p.sendString("NOP\n")
	}
	if p.closed() || len(a.asked) != 1 {
		t.Errorf("closed: %v, the auth server was asked %d times", p.closed(), len(a.asked))
	}
}

func TestStrict_Options(t *testing.T) {
	if _, err := (Options{Strict: true, AuthHTTPRequestMethod: "get"}).withDefaults(); err == nil {
		t.Error("secrets in addresses pass")
	}
	o, err := Options{Strict: true}.withDefaults()
	if err != nil || o.AuthHTTPRequestMethod != "post" {
		t.Errorf("auth servers are asked by %s (%v), want post", o.AuthHTTPRequestMethod, err)
	}
	path := filepath.Join(t.TempDir(), "secrets.json")
	text := `[{"secret":"s","authorizations":[{"topic":".*","channels":[".*"],"permissions":["admin"]}]}]`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(newBareLoop(), Options{AuthStatic: path}); err == nil {
		t.Error("a permission of strict servers passes without the option, which would do nothing")
	}
	s := startHTTP(t, Options{AuthStatic: path, Strict: true})
	if a := ask(t, s, "POST", "/topic/create?topic=t", "", bearing("s")...); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	a := ask(t, s, "POST", "/topic/create?topic=t", "", bearing("x")...)
	if a.status != 401 || a.code(t) != "UNAUTHORIZED" || !strings.HasPrefix(a.header.Get("Www-Authenticate"), "Basic ") {
		t.Errorf("a wrong secret: %d %s %v", a.status, a.body, a.header)
	}
}

// TestStrict_WithoutAuth: there are no grants to ask for, but options do not
// change, and foreign names are refused.
func TestStrict_WithoutAuth(t *testing.T) {
	s := startHTTP(t, Options{Strict: true, BroadcastAddress: "nsq.example"})
	runRows(t, s, []httpRow{
		{"publish", "POST", "/pub?topic=t", "x", 200, "OK"},
		{"log level", "PUT", "/config/log_level", "debug", 403, "FORBIDDEN"},
		{"nsqlookupds", "PUT", "/config/nsqlookupd_tcp_addresses", `["10.0.0.1:4160"]`, 403, "FORBIDDEN"},
		{"the option", "GET", "/config/strict", "", 200, "true"},
	})
	for host, status := range map[string]int{"nsq.example": 200, "localhost:4151": 200, "evil.example": 403} {
		if a := ask(t, s, "GET", "/stats", "", "Host", host); a.status != status {
			t.Errorf("stats for %s: %d, want %d", host, a.status, status)
		}
		if a := ask(t, s, "GET", "/ping", "", "Host", host); a.status != 200 {
			t.Errorf("ping for %s: %d, want 200", host, a.status)
		}
	}
}

// httpFrom sends a request as another machine does.
func (g *lookupdRig) httpFrom(addr, method, target string) int {
	rec := newRecorder()
	req := httptest.NewRequest(method, target, nil)
	req.Host, req.RemoteAddr = "127.0.0.1:4161", addr+":999"
	g.l.outside(func() { g.d.Handler().ServeHTTP(rec, req) })
	return rec.Code
}

// TestStrict_LookupdNamesHaveOwners: what an nsqd has registered is changed
// from its machine, or from that of the nsqlookupd.
func TestStrict_LookupdNamesHaveOwners(t *testing.T) {
	g := newLookupdRig(t, LookupdOptions{Strict: true, InactiveProducerTimeout: time.Minute})
	a := g.join("a")
	a.ok("REGISTER t c")
	host := hostOf(g.d.conns[0].remote())
	for _, row := range []struct {
		from, target string
		status       int
	}{
		{"192.0.2.1", "/topic/tombstone?topic=t&node=a:4151", 403},
		{"192.0.2.1", "/channel/delete?topic=t&channel=c", 403},
		{"192.0.2.1", "/topic/delete?topic=t", 403},
		{"192.0.2.1", "/topic/create?topic=u", 403},
		{"192.0.2.1", "/channel/create?topic=t&channel=d", 403},
		{host, "/topic/create?topic=u", 200},
		{host, "/channel/create?topic=t&channel=d", 200},
		{"192.0.2.1", "/topic/delete?topic=u", 403}, // nobody's, and who asks is nobody
		{host, "/topic/delete?topic=u", 200},
		{host, "/topic/tombstone?topic=t&node=a:4151", 200},
		{"127.0.0.1", "/channel/delete?topic=t&channel=c", 200},
		{"127.0.0.1", "/topic/create?topic=v", 200},
	} {
		if got := g.httpFrom(row.from, "POST", row.target); got != row.status {
			t.Errorf("%s from %s: %d, want %d", row.target, row.from, got, row.status)
		}
	}
	if got := g.httpFrom("192.0.2.1", "GET", "/lookup?topic=t"); got != 200 {
		t.Errorf("lookup from elsewhere: %d", got)
	}

	// A topic of two machines is nobody's alone.
	other := g.w.Loop("elsewhere")
	b := &fakeNSQD{g: g}
	say := func(s string) {
		other.Do(func() { b.c.Write([]byte(s)) })
		g.settle()
	}
	dial := func() {
		other.Do(func() { other.Dial("lookupd:4160", loop.DialOptions{}, b) })
		g.settle()
	}
	dial()
	say(wire.MagicV1 + identifyAs("b") + "REGISTER t c\n")
	if n := len(b.replies()); n != 2 {
		t.Fatalf("%d replies, want 2", n)
	}
	if got := g.httpFrom(host, "POST", "/topic/delete?topic=t"); got != 403 {
		t.Errorf("one of two owners deletes: %d, want 403", got)
	}
	if got := g.httpFrom(host, "POST", "/topic/tombstone?topic=t&node=b:4151"); got != 403 {
		t.Errorf("one of two owners hides the other: %d, want 403", got)
	}

	// An address is its owner's as long as he is there, and his again at once.
	b = &fakeNSQD{g: g}
	dial()
	say(wire.MagicV1 + identifyAs("a"))
	if got := b.replies(); len(got) != 1 || got[0] != "E_INVALID IDENTIFY the address a:4151 is another nsqd's (--strict)" || !b.closed {
		t.Errorf("another machine announces the address: %q, closed: %v", got, b.closed)
	}
	g.join("a").hangUp()
	g.w.Run(2 * time.Minute) // nothing is heard of a
	b = &fakeNSQD{g: g}
	dial()
	say(wire.MagicV1 + identifyAs("a"))
	if got := b.replies(); len(got) != 1 || b.closed {
		t.Errorf("an address of one who is not heard of: %q, closed: %v", got, b.closed)
	}
}
