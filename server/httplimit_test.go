package server

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/internal/wire"
)

// tight are limits that a test can wait for.
var tight = httpLimits{
	header: 50 * time.Millisecond, body: 50 * time.Millisecond, write: 5 * time.Second, idle: 5 * time.Second,
	headerBytes: 1 << 10, bodyBytes: 1000, conns: 3,
}

// listenTight starts a server whose HTTP has the tight limits.
func listenTight(t *testing.T) (*Server, *httpServer) { return listenWith(t, tight) }

func listenWith(t *testing.T, limits httpLimits) (*Server, *httpServer) {
	t.Helper()
	s := startHTTP(t, Options{})
	h, err := s.listenHTTPWith("127.0.0.1:0", limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, h
}

func dialHTTP(t testing.TB, h *httpServer) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", h.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	mustEnd(t, c)
	return c
}

// TestHTTP_SlowPeers: a peer that does not finish what it began loses its
// connection: nothing sent, half a header, half a body.
func TestHTTP_SlowPeers(t *testing.T) {
	s, h := listenTight(t)
	for _, row := range []struct{ name, sent, reply string }{
		{"nothing", "", ""},
		{"half a header", "POST /pub?topic=t HTTP/1.1\r\nHost: loc", ""},
		{"half a body", "POST /pub?topic=t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc", "408 Request Timeout"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dialHTTP(t, h)
			if _, err := io.WriteString(c, row.sent); err != nil {
				t.Fatal(err)
			}
			reply, err := io.ReadAll(c) // until the server closes
			if err != nil || !strings.Contains(string(reply), row.reply) {
				t.Errorf("%v, reply %q; want %q and the end", err, reply, row.reply)
			}
		})
	}
	if st, err := s.Stats(StatsOptions{}); err != nil || len(st.Topics) != 0 {
		t.Errorf("%d topics, %v; want none", len(st.Topics), err)
	}
}

// TestHTTP_ClientOfTheProtocol: a client that speaks NSQ's protocol to the HTTP
// port is answered in HTTP, which go-nsq recognises and names.
func TestHTTP_ClientOfTheProtocol(t *testing.T) {
	s := startHTTP(t, Options{})
	c, err := net.Dial("tcp", s.HTTPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustEnd(t, c)
	if _, err := c.Write(wire.AppendIdentify([]byte(wire.MagicV2), []byte(`{"feature_negotiation":true}`))); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 400 ") {
		t.Errorf("answered %.100q, %v", reply, err)
	}
}

// TestHTTP_HeaderLimit: a header that does not end is cut off.
func TestHTTP_HeaderLimit(t *testing.T) {
	_, h := listenTight(t)
	c := dialHTTP(t, h)
	// net/http allows 4 KiB more than it is told.
	if _, err := io.WriteString(c, "GET /ping HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 8<<10)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", res.StatusCode)
	}
}

// TestHTTP_ConnectionCap: past the cap a connection is refused by name, and a
// place that becomes free is given again.
func TestHTTP_ConnectionCap(t *testing.T) {
	limits := tight
	limits.header = 5 * time.Second // a slow machine must not lose one for that
	_, h := listenWith(t, limits)
	ping := func(c net.Conn) (*http.Response, error) {
		if _, err := io.WriteString(c, "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return nil, err
		}
		return http.ReadResponse(bufio.NewReader(c), nil)
	}
	var held []net.Conn
	for range tight.conns {
		c := dialHTTP(t, h)
		if res, err := ping(c); err != nil || res.StatusCode != 200 {
			t.Fatalf("within the cap: %v", err)
		}
		held = append(held, c)
	}
	c := dialHTTP(t, h)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 503 || !strings.HasPrefix(string(body), `{"message":"TOO_MANY_CONNECTIONS"`) {
		t.Fatalf("past the cap: %d %q %v", res.StatusCode, body, err)
	}
	_ = held[0].Close()
	for { // until the server has noticed; the connection's deadline ends the test otherwise
		c := dialHTTP(t, h)
		res, err := ping(c)
		if err == nil && res.StatusCode == 200 {
			return
		}
		_ = c.Close()
		if t.Context().Err() != nil {
			t.Fatal("the place was not given again")
		}
	}
}

// TestHTTP_BodyBudget: bodies that are under way count together, and a refused
// one gives its part back.
func TestHTTP_BodyBudget(t *testing.T) {
	_, h := listenTight(t)
	h.bodyBytes.Add(900) // as other requests would
	publish := func() (int, string) {
		res, err := http.Post("http://"+h.addr().String()+"/pub?topic=t", "", strings.NewReader(strings.Repeat("x", 101)))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, body := publish(); status != 503 || !strings.HasPrefix(body, `{"message":"TOO_BUSY"`) {
		t.Errorf("past the budget: %d %s", status, body)
	}
	if held := h.bodyBytes.Load(); held != 900 {
		t.Errorf("%d bytes are held, want 900", held)
	}
	h.bodyBytes.Add(-1)
	if status, body := publish(); status != 200 {
		t.Errorf("within the budget: %d %s", status, body)
	}
}

// TestHTTP_AdminBodyIsNotRead: an endless body costs an admin route nothing.
func TestHTTP_AdminBodyIsNotRead(t *testing.T) {
	_, h := listenTight(t)
	c := dialHTTP(t, h)
	if _, err := io.WriteString(c, "POST /topic/create?topic=t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || !res.Close {
		t.Errorf("status %d, closes %v; want 200 before the body, and the end", res.StatusCode, res.Close)
	}
}

// TestHTTP_AccessLog: a line for each request but publishes, foreign bytes
// written out.
func TestHTTP_AccessLog(t *testing.T) {
	out := new(testwait.Buffer)
	s := startHTTP(t, Options{Logger: slog.New(slog.NewTextHandler(out, nil))})
	ask(t, s, "GET", "/ping", "")
	ask(t, s, "POST", "/pub?topic=t", "x")
	ask(t, s, "POST", "/mpub?topic=t", "x")
	ask(t, s, "GET", "/nope?"+strings.Repeat("y", 2000), "")
	ask(t, s, "POST", "/topic/create?topic=t", "")
	// The lines are posted to the loop after the reply: wait for them.
	if err := s.call(func() {}); err != nil {
		t.Fatal(err)
	}
	if err := s.http.shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.call(func() {}); err != nil {
		t.Fatal(err)
	}
	log := out.String()
	for _, want := range []string{`"200 GET /ping (127.0.0.1:`, `"404 GET /nope?yyy`, `"200 POST /topic/create?topic=t (127.0.0.1:`} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in the log:\n%s", want, log)
		}
	}
	for _, no := range []string{"/pub", "/mpub", strings.Repeat("y", 1100)} {
		if strings.Contains(log, no) {
			t.Errorf("%.20s is in the log", no)
		}
	}
}

// TestPrintable_ForeignBytes: nothing from the network can start a line or an
// escape sequence.
func TestPrintable_ForeignBytes(t *testing.T) {
	for _, row := range []struct {
		in    string
		limit int
		want  string
	}{
		{"/stats?topic=t", 100, "/stats?topic=t"},
		{`say "hi" \n`, 100, `say "hi" \n`},
		{"a\nFATAL: b", 100, `a\nFATAL: b`},
		{"\x1b[31m\"x\"", 100, `\x1b[31m"x"`},
		{"\xff\u00e4", 100, `\xff\u00e4`},
		{"abcdef", 3, "abc..."},
		{"", 3, ""},
	} {
		if got := printable(row.in, row.limit); got != row.want {
			t.Errorf("printable(%q, %d) = %q, want %q", row.in, row.limit, got, row.want)
		}
	}
}

// TestHTTP_PanicIsAnswered: a bug in one handler is a 500 for one request.
func TestHTTP_PanicIsAnswered(t *testing.T) {
	s := startHTTP(t, Options{})
	h := newHTTPServer(s, nil)
	rt := &route{method: "GET", path: "/bug", run: func(http.ResponseWriter, *http.Request) error { panic("bug") }}
	w := newRecorder()
	h.serve(rt, w, mustRequest(t, "GET", "http://localhost/bug"))
	if w.Code != 500 || !strings.HasPrefix(w.Body.String(), `{"message":"INTERNAL_ERROR"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
