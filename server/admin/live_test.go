package admin_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/admin"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// frame is what the page is sent.
type frame struct {
	ID     string `json:"id"`
	Full   bool   `json:"full"`
	Tables map[string]struct {
		Set []map[string]any `json:"set"`
		Del []string         `json:"del"`
	} `json:"tables"`
}

// stream opens an event stream and returns its frames one by one.
func (p *page) stream(path, last string) (next func() frame) {
	p.t.Helper()
	req, err := http.NewRequest("GET", p.base+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		p.t.Fatalf("%s: %d %v", path, res.StatusCode, res.Header)
	}
	lines := bufio.NewReaderSize(res.Body, 1<<20)
	return func() (f frame) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				p.t.Fatalf("%s: %v", path, err)
			}
			if text, ok := strings.CutPrefix(line, "data: "); ok {
				if err := json.Unmarshal([]byte(text), &f); err != nil {
					p.t.Fatalf("%v in %s", err, text)
				}
				return f
			}
		}
	}
}

// TestEvents_OnlyWhatChanges: a first frame has everything, later ones what has
// changed or gone, and a browser that was away is told what it missed.
func TestEvents_OnlyWhatChanges(t *testing.T) {
	s := nsqtest.Start(t)
	post(t, s.HTTPAddr(), "/topic/create?topic=still")
	post(t, s.HTTPAddr(), "/channel/create?topic=still&channel=c")
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}})
	testwait.Until(t, "the topic is seen", func() bool { return strings.Contains(p.get("/api/v1/rows", nil), `"topic":"still"`) })
	next := p.stream("/api/v1/events?tables=topics,channels", "")
	first := next()
	if !first.Full || len(first.Tables["topics"].Set) != 1 || len(first.Tables["channels"].Set) != 1 || len(first.Tables) != 2 {
		t.Fatalf("first %+v", first)
	}
	s.Publish("moves", "a", "b")
	var f frame
	for published := false; !published; { // a poll may fall between the topic and its messages
		f = next()
		set := f.Tables["topics"].Set
		if f.Full || len(set) != 1 || set[0]["topic"] != "moves" || len(f.Tables["channels"].Set) != 0 {
			t.Fatalf("after a publish %+v", f)
		}
		published = set[0]["messages"] == 2.0
	}
	p.ok("DELETE", "/api/topics/still", "")
	for len(f.Tables["topics"].Del) == 0 { // rates may settle first
		f = next()
	}
	if f.Tables["topics"].Del[0] != "still" || f.Tables["channels"].Del[0] != "still/c" {
		t.Errorf("after a deletion %+v", f)
	}
	missed := p.stream("/api/v1/events?tables=topics,channels", first.ID)()
	if missed.Full || missed.Tables["topics"].Del[0] != "still" || missed.Tables["topics"].Set[0]["topic"] != "moves" {
		t.Errorf("missed %+v", missed)
	}
	for _, id := range []string{"", "x.1", "nonsense", strings.Split(first.ID, ".")[0] + ".99999"} {
		if f := p.stream("/api/v1/events?tables=topics", id)(); !f.Full {
			t.Errorf("after %q: %+v", id, f)
		}
	}
	var polled frame
	if p.get("/api/v1/rows?tables=topics&since="+f.ID, &polled); polled.Full || len(polled.Tables["topics"].Del) != 0 {
		t.Errorf("polled %+v", polled)
	}
	if status, _ := p.ask("GET", "/api/v1/rows?tables=nonsense", ""); status != 400 {
		t.Errorf("an unknown table: %d", status)
	}
}

// TestEvents_NumbersMove: rates come from what is counted, and depth is live.
func TestEvents_NumbersMove(t *testing.T) {
	s := nsqtest.Start(t)
	post(t, s.HTTPAddr(), "/topic/create?topic=t")
	post(t, s.HTTPAddr(), "/channel/create?topic=t&channel=c")
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}})
	next := p.stream("/api/v1/events?tables=cluster,topics,channels&topic=t", "")
	for len(next().Tables["topics"].Set) == 0 {
	}
	bodies := make([]string, 500)
	for i := range bodies {
		bodies[i] = "x"
	}
	s.Publish("t", bodies...)
	for {
		set := next().Tables["channels"].Set
		if len(set) == 1 && set[0]["depth"] == 500.0 && set[0]["in"].(float64) > 0 {
			break
		}
	}
	var h struct {
		Depth []float64 `json:"depth"`
		Step  int       `json:"step"`
	}
	testwait.Until(t, "the depth is in the history", func() bool {
		p.get("/api/v1/history?topic=t&channel=c", &h)
		return h.Step == 5000 && len(h.Depth) > 1 && h.Depth[len(h.Depth)-1] == 500
	})
}

// TestEvents_Limit: one stream too many is refused, and closing one makes room.
func TestEvents_Limit(t *testing.T) {
	s := nsqtest.Start(t)
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}})
	var bodies []io.Closer
	for range 64 {
		res, err := http.Get(p.base + "/api/v1/events?tables=cluster")
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v %v", res, err)
		}
		bodies = append(bodies, res.Body)
	}
	if status, body := p.ask("GET", "/api/v1/events", ""); status != 503 || !strings.Contains(body, "BUSY") {
		t.Errorf("the 65th: %d %s", status, body)
	}
	for _, b := range bodies {
		b.Close()
	}
	testwait.Until(t, "there is room again", func() bool {
		res, err := http.Get(p.base + "/api/v1/events")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode == 200
	})
}

// TestPage_ActsOnMessages: publish, peek, set back, close a client, on the page's
// own routes.
func TestPage_ActsOnMessages(t *testing.T) {
	s := nsqtest.Start(t)
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}})
	node := s.HTTPAddr()
	for _, row := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/api/v1/publish?topic=t", "hello", 200, `{"node":"` + node + `"}`},
		{"/api/v1/publish?topic=t&node=" + node + "&defer=60000", "later", 200, `{"node":"` + node + `"}`},
		{"/api/v1/publish?topic=t", "", 400, `{"message":"MSG_EMPTY"`},
		{"/api/v1/publish?topic=t", strings.Repeat("x", 1<<20+1), 413, `{"message":"MSG_TOO_BIG"`},
		{"/api/v1/publish?topic=a%20b", "x", 400, `{"message":"INVALID_TOPIC"`},
		{"/api/v1/act", `{"action":"create","topic":"t","channel":"c"}`, 200, `{"message":""}`},
		{"/api/v1/act", `{"action":"pause","topic":"t","channel":"c","nodes":["` + node + `"]}`, 200, `{"message":""}`},
		{"/api/v1/act", `{"action":"pause","topic":"t","channel":"c","nodes":["nobody:1"]}`, 502, `{"message":"UPSTREAM_ERROR`},
		{"/api/v1/act", `{"action":"empty","topic":"t","channel":"c","depth":0}`, 412, `{"message":"CHANGED"`},
		{"/api/v1/act", `{"action":"rewind","topic":"t","channel":"c","to":"beginning"}`, 200, `{"message":"","messages":`},
		{"/api/v1/act", `{"action":"rewind","topic":"t","channel":"c","to":"never"}`, 502, `{"message":"UPSTREAM_ERROR`},
		{"/api/v1/act", `{"action":"close","nodes":["` + node + `"],"client":"1.2.3.4:5"}`, 502, `{"message":"UPSTREAM_ERROR`},
		{"/api/v1/act", `{"action":"close","client":"1.2.3.4:5"}`, 400, `{"message":"INVALID_NODE"`},
		{"/api/v1/act", `{"action":"explode"}`, 400, `{"message":"INVALID_ACTION"`},
		{"/api/v1/act", `{`, 400, `{"message":"INVALID_BODY"`},
	} {
		if status, body := p.ask("POST", row.path, row.body); status != row.status || !strings.HasPrefix(body, row.want) {
			t.Errorf("%s %.60s: %d %s, want %d %s", row.path, row.body, status, body, row.status, row.want)
		}
	}
	for _, path := range []string{"/api/v1/peek?topic=t", "/api/v1/peek?topic=t&channel=c&state=waiting"} {
		if body := p.get(path, nil); !strings.Contains(body, `"body":"hello"`) {
			t.Errorf("%s: %s", path, body)
		}
	}
	if c := s.Channel("t", "c"); c.Depth != 1 || !c.Paused {
		t.Errorf("after all that: %+v", c)
	}
	p.ok("POST", "/api/v1/act", `{"action":"empty","topic":"t","channel":"c","depth":5}`)
	if body := p.get("/api/v1/config?node="+node, nil); !strings.Contains(body, `{"name":"max_msg_size","value":1048576}`) {
		t.Errorf("config %s", body)
	}
}

// TestPage_Unregister: one nsqlookupd forgets a channel or a topic, the other
// keeps it, and the nsqd has it as before.
func TestPage_Unregister(t *testing.T) {
	one, two := nsqtest.StartLookupd(t), nsqtest.StartLookupd(t)
	s := nsqtest.Start(t, nsqtest.Registered(one), func(o *server.Options) {
		o.LookupdTCPAddresses = []string{one.TCPAddr(), two.TCPAddr()}
	})
	post(t, s.HTTPAddr(), "/topic/create?topic=t")
	post(t, s.HTTPAddr(), "/channel/create?topic=t&channel=c")
	p := open(t, admin.Options{LookupdHTTPAddresses: []string{one.HTTPAddr(), two.HTTPAddr()}})
	known := func() (where []string) {
		var answer struct {
			Lookupds []struct {
				Lookupd       string
				Registrations map[string]any
			}
		}
		p.get("/api/v1/lookup", &answer)
		for i, l := range answer.Lookupds {
			for _, key := range []string{"topic:t:", "channel:t:c"} {
				if _, there := l.Registrations[key]; there {
					where = append(where, fmt.Sprintf("%d %s", i+1, key))
				}
			}
		}
		return where
	}
	testwait.Until(t, "both know both", func() bool { return len(known()) == 4 })
	p.ok("POST", "/api/v1/act", `{"action":"unregister","topic":"t","channel":"c","lookupd":"`+two.HTTPAddr()+`"}`)
	if got := strings.Join(known(), ", "); got != "1 topic:t:, 1 channel:t:c, 2 topic:t:" {
		t.Errorf("without the channel: %s", got)
	}
	p.ok("POST", "/api/v1/act", `{"action":"unregister","topic":"t","lookupd":"`+two.HTTPAddr()+`"}`)
	if got := strings.Join(known(), ", "); got != "1 topic:t:, 1 channel:t:c" {
		t.Errorf("without the topic: %s", got)
	}
	if c := s.Channel("t", "c"); c.ChannelName != "c" {
		t.Errorf("the nsqd has %+v", c)
	}
	for _, row := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"action":"unregister","topic":"t","channel":"c","lookupd":"` + two.HTTPAddr() + `"}`, 502, "CHANNEL_NOT_FOUND"},
		{`{"action":"unregister","topic":"t","lookupd":"nobody:1"}`, 400, "INVALID_LOOKUPD"},
		{`{"action":"unregister","topic":"a b","lookupd":"` + two.HTTPAddr() + `"}`, 400, "INVALID_TOPIC"},
	} {
		if status, body := p.ask("POST", "/api/v1/act", row.body); status != row.status || !strings.Contains(body, row.want) {
			t.Errorf("%s: %d %s", row.body, status, body)
		}
	}
}

// TestPage_Tap: what is published is passed on as it comes.
func TestPage_Tap(t *testing.T) {
	s := nsqtest.Start(t)
	post(t, s.HTTPAddr(), "/topic/create?topic=t")
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}})
	res, err := http.Get(p.base + "/api/v1/tap?topic=t&node=" + s.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	s.Publish("t", "hello")
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, `"body":"hello"`) {
			break
		}
	}
	if status, _ := p.ask("GET", "/api/v1/tap?topic=unknown", ""); status != 502 {
		t.Errorf("an unknown topic: %d", status)
	}
}

// TestPage_Attention: what is wrong is said, and to whom it belongs.
func TestPage_Attention(t *testing.T) {
	s, dead := nsqtest.Start(t), nsqtest.Start(t)
	dead.Close()
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr(), dead.HTTPAddr()}})
	testwait.Until(t, "the dead nsqd is told of", func() bool {
		body := p.get("/api/v1/rows?tables=attention,cluster", nil)
		return strings.Contains(body, `"level":"bad"`) && strings.Contains(body, dead.HTTPAddr()) && strings.Contains(body, `"health":"bad"`)
	})
}

// TestPage_Files: the page is small, cached by content, compressed where that is
// wanted, and under a strict policy.
func TestPage_Files(t *testing.T) {
	s := nsqtest.Start(t, func(o *server.Options) { o.LiteVersion = "1.2.3" })
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}})
	index := p.get("/", nil)
	total := 0
	names := []string{"/", "/static/icon.svg"}
	for _, part := range strings.Split(index, `"`) {
		if strings.HasPrefix(part, "static/") && part != "static/icon.svg" {
			names = append(names, "/"+part)
		}
	}
	for _, module := range []string{"actions", "channel", "chart", "live", "nodes", "others", "overview", "peek", "topics", "ui", "util"} {
		names = append(names, "/static/"+module+".js")
	}
	for _, name := range names {
		req, _ := http.NewRequest("GET", p.base+name, nil)
		req.Header.Set("Accept-Encoding", "gzip") // and no transport in between that takes it off
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Cache-Control") != "no-cache" ||
			res.Header.Get("Content-Type") == "" || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';") {
			t.Fatalf("%s: %d %v %v", name, res.StatusCode, res.Header, err)
		}
		total += len(packed)
		z, err := gzip.NewReader(strings.NewReader(string(packed)))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil || len(plain) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		req.Header.Set("Accept-Encoding", "identity")
		if raw, err := http.DefaultTransport.RoundTrip(req); err != nil {
			t.Fatal(err)
		} else {
			body, err := io.ReadAll(raw.Body)
			raw.Body.Close()
			if err != nil || string(body) != string(plain) || raw.Header.Get("Content-Encoding") != "" || raw.Header.Get("ETag") != res.Header.Get("ETag") {
				t.Errorf("%s uncompressed: %d bytes of %d, %v, %v", name, len(body), len(plain), raw.Header, err)
			}
		}
		req.Header.Set("If-None-Match", res.Header.Get("ETag"))
		again, err := http.DefaultTransport.RoundTrip(req)
		if err != nil || again.StatusCode != 304 {
			t.Errorf("%s again: %v %v", name, again, err)
		}
		again.Body.Close()
	}
	t.Logf("%d files, %d bytes compressed", len(names), total)
	if total > 60_000 {
		t.Errorf("the page has %d bytes, compressed; at most 60,000", total)
	}
	if status, _ := p.ask("GET", "/static/../admin.go", ""); status != 404 {
		t.Errorf("a file beside them: %d", status)
	}
}

// without is the address of s as if it had none of some routes.
func without(t *testing.T, s *nsqtest.Server, routes ...string) string {
	target, err := url.Parse("http://" + s.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, route := range routes {
			if strings.HasPrefix(r.URL.Path, route) {
				w.WriteHeader(http.StatusNotFound)
				io.WriteString(w, `{"message":"NOT_FOUND"}`) // as nsqd has it
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(plain.Close)
	return plain.URL
}

// TestPage_PlainNSQD: of an nsqd that has none of nsqd-lite's routes the page
// shows what there is, and says what that nsqd cannot do.
func TestPage_PlainNSQD(t *testing.T) {
	s := nsqtest.Start(t)
	plain := without(t, s, "/lite/", "/topic/peek", "/channel/peek", "/topic/tap", "/channel/rewind")
	s.Publish("t", "a", "b", "c")
	post(t, s.HTTPAddr(), "/channel/create?topic=t&channel=c")
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{plain}})
	testwait.Until(t, "the topic is seen", func() bool {
		body := p.get("/api/v1/rows", nil)
		return strings.Contains(body, `"topic":"t","channel":"c","depth":3,`) && strings.Contains(body, `"lite":""`)
	})
	const cannot = "This is an nsqd, which cannot do that; nsqd-lite can."
	for _, path := range []string{"/api/v1/peek?topic=t", "/api/v1/peek?topic=t&channel=c"} {
		if body := p.get(path, nil); !strings.Contains(body, cannot) {
			t.Errorf("%s: %s", path, body)
		}
	}
	if status, body := p.ask("GET", "/api/v1/tap?topic=t", ""); status != 502 || !strings.Contains(body, cannot) {
		t.Errorf("tap: %d %s", status, body)
	}
	for _, body := range []string{`{"action":"replay","topic":"t","to":"u"}`, `{"action":"rewind","topic":"t","channel":"c","to":"beginning"}`, `{"action":"close","nodes":["` + s.HTTPAddr() + `"],"client":"x"}`} {
		if status, text := p.ask("POST", "/api/v1/act", body); status != 502 || !strings.Contains(text, cannot) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if body := p.get("/api/v1/config?node="+s.HTTPAddr(), nil); !strings.Contains(body, `{"name":"max_msg_size","value":1048576}`) {
		t.Errorf("config %s", body)
	}
	p.ok("POST", "/api/v1/act", `{"action":"discard","topic":"t","depth":3}`)
	if depth := s.Channel("t", "c").Depth; depth != 0 {
		t.Errorf("depth %d", depth)
	}
}
