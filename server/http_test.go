package server

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// startHTTP starts a server in memory with clients and HTTP on free loopback
// ports, stopped with the test.
func startHTTP(t testing.TB, o Options) *Server {
	t.Helper()
	if o.TCPAddress == "" {
		o.TCPAddress = "127.0.0.1:0"
	}
	if o.HTTPAddress == "" {
		o.HTTPAddress = "127.0.0.1:0"
	}
	s, err := Start(o)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends one request to s, following no redirect.
func ask(t testing.TB, s *Server, method, target, body string, header ...string) answer {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://"+s.HTTPAddr().String()+target, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	return do(t, req)
}

func do(t testing.TB, req *http.Request) answer {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// code returns the message of a JSON refusal, and checks that it helps.
func (a answer) code(t testing.TB) string {
	t.Helper()
	var e struct{ Message, Detail string }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	if want := `{"message":"` + e.Message + `"`; !strings.HasPrefix(a.body, want) {
		t.Errorf("body %s does not begin with %s", a.body, want)
	}
	if !strings.HasSuffix(strings.TrimSpace(e.Detail), ".") {
		t.Errorf("%s: detail %q is no sentence", e.Message, e.Detail)
	}
	return e.Message
}

// mpubBody is the binary form of /mpub.
func mpubBody(messages ...string) string {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.BigEndian, int32(len(messages)))
	for _, m := range messages {
		_ = binary.Write(&b, binary.BigEndian, int32(len(m)))
		b.WriteString(m)
	}
	return b.String()
}

// httpRow is one request and what must come of it.
type httpRow struct {
	name   string
	method string
	target string
	body   string
	status int
	want   string // the body, or the code of a refusal
}

func runRows(t *testing.T, s *Server, rows []httpRow) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			a := ask(t, s, row.method, row.target, row.body)
			got := a.body
			if a.status >= 400 {
				got = a.code(t)
				if ct := a.header.Get("Content-Type"); ct != typeJSON {
					t.Errorf("Content-Type %q, want %q", ct, typeJSON)
				}
			}
			if a.status != row.status || got != row.want {
				t.Errorf("%s %s: %d %q, want %d %q", row.method, row.target, a.status, got, row.status, row.want)
			}
			if v := a.header.Get("X-Nsq-Content-Type"); v != "nsq; version=1.0" {
				t.Errorf("X-NSQ-Content-Type is %q", v)
			}
		})
	}
}

// TestHTTP_Publish has the rows of the conformance list that publish.
func TestHTTP_Publish(t *testing.T) {
	s := startHTTP(t, Options{MaxMsgSize: 100, MaxBodySize: 400})
	big, biggest := strings.Repeat("x", 101), strings.Repeat("x", 100)
	runRows(t, s, []httpRow{
		{"229 pub", "POST", "/pub?topic=t", "hello", 200, "OK"},
		{"230 empty", "POST", "/pub?topic=t", "", 400, "MSG_EMPTY"},
		{"231 no topic", "POST", "/pub", "x", 400, "MISSING_ARG_TOPIC"},
		{"232 bad topic", "POST", "/pub?topic=a%20b", "x", 400, "INVALID_TOPIC"},
		{"232 empty topic", "POST", "/pub?topic=", "x", 400, "INVALID_TOPIC"},
		{"233 too big", "POST", "/pub?topic=t", big, 413, "MSG_TOO_BIG"},
		{"233 exactly max", "POST", "/pub?topic=t", biggest, 200, "OK"},
		{"too big comes before the topic", "POST", "/pub", big, 413, "MSG_TOO_BIG"},
		{"empty comes before the query", "POST", "/pub?topic=%zz", "", 400, "MSG_EMPTY"},
		{"bad escape", "POST", "/pub?topic=%zz", "x", 400, "INVALID_REQUEST"},
		{"semicolon", "POST", "/pub?topic=t;a=b", "x", 400, "INVALID_REQUEST"},
		{"235 defer negative", "POST", "/pub?topic=t&defer=-1", "x", 400, "INVALID_DEFER"},
		{"235 defer text", "POST", "/pub?topic=t&defer=abc", "x", 400, "INVALID_DEFER"},
		{"235 defer empty", "POST", "/pub?topic=t&defer=", "x", 400, "INVALID_DEFER"},
		{"235 defer above max", "POST", "/pub?topic=t&defer=3600001", "x", 400, "INVALID_DEFER"},
		{"235 defer overflow", "POST", "/pub?topic=t&defer=9223372036854775807", "x", 400, "INVALID_DEFER"},
		{"defer max", "POST", "/pub?topic=t&defer=3600000", "x", 200, "OK"},
		{"defer signed", "POST", "/pub?topic=t&defer=%2B5", "x", 200, "OK"},
		{"235 topic comes before defer", "POST", "/pub?topic=!&defer=x", "x", 400, "INVALID_TOPIC"},
		{"255 first value wins", "POST", "/pub?topic=t&topic=!", "x", 200, "OK"},
		{"255 first value wins, bad", "POST", "/pub?topic=!&topic=t", "x", 400, "INVALID_TOPIC"},
		{"254 ephemeral", "POST", "/pub?topic=e%23ephemeral", "x", 200, "OK"},
		{"old name put", "POST", "/put?topic=t", "x", 200, "OK"},
		{"old name mput", "POST", "/mput?topic=t", "x\ny", 200, "OK"},
		{"236 mpub", "POST", "/mpub?topic=t", "a\nb\nc\nd\n", 200, "OK"},
		{"237 mpub blank", "POST", "/mpub?topic=t", "\n\na\n\n", 200, "OK"},
		{"237 mpub empty", "POST", "/mpub?topic=t", "", 200, "OK"},
		{"239 mpub line too big", "POST", "/mpub?topic=t", "a\n" + big, 413, "MSG_TOO_BIG"},
		{"240 mpub body too big", "POST", "/mpub?topic=t", strings.Repeat("x\n", 201), 413, "BODY_TOO_BIG"},
		{"mpub no topic", "POST", "/mpub", "x", 400, "MISSING_ARG_TOPIC"},
		{"mpub bad topic", "POST", "/mpub?topic=!", "x", 400, "INVALID_TOPIC"},
		{"mpub bad query", "POST", "/mpub?topic=t;", "x", 400, "INVALID_REQUEST"},
		{"mpub ignores defer", "POST", "/mpub?topic=t&defer=abc", "x", 200, "OK"},
		{"241 binary true", "POST", "/mpub?topic=b&binary=true", mpubBody("a", "b"), 200, "OK"},
		{"241 binary 1", "POST", "/mpub?topic=b&binary=1", mpubBody("a"), 200, "OK"},
		{"241 binary anything", "POST", "/mpub?topic=b&binary=anything", mpubBody("a"), 200, "OK"},
		{"241 binary empty", "POST", "/mpub?topic=b&binary=", mpubBody("a"), 200, "OK"},
		{"242 binary false", "POST", "/mpub?topic=t&binary=false", mpubBody("a"), 200, "OK"},
		{"242 binary 0", "POST", "/mpub?topic=t&binary=0", mpubBody("a"), 200, "OK"},
		{"binary trailing bytes", "POST", "/mpub?topic=b&binary=true", mpubBody("a") + "rest", 200, "OK"},
		{"243 count missing", "POST", "/mpub?topic=b&binary=true", "abc", 413, "BAD_BODY"},
		{"243 body empty", "POST", "/mpub?topic=b&binary=true", "", 413, "BAD_BODY"},
		{"243 count zero", "POST", "/mpub?topic=b&binary=true", mpubBody(), 413, "BAD_BODY"},
		{"243 count negative", "POST", "/mpub?topic=b&binary=true", "\xff\xff\xff\xff", 413, "BAD_BODY"},
		{"243 count above what fits", "POST", "/mpub?topic=b&binary=true", "\x00\x00\x00\x50", 413, "BAD_BODY"},
		{"243 size missing", "POST", "/mpub?topic=b&binary=true", "\x00\x00\x00\x02\x00\x00\x00\x01a", 413, "BAD_MESSAGE"},
		{"243 size zero", "POST", "/mpub?topic=b&binary=true", mpubBody(""), 413, "BAD_MESSAGE"},
		{"243 size negative", "POST", "/mpub?topic=b&binary=true", "\x00\x00\x00\x01\xff\xff\xff\xffa", 413, "BAD_MESSAGE"},
		{"243 message too big", "POST", "/mpub?topic=b&binary=true", mpubBody(big), 413, "BAD_MESSAGE"},
		{"243 message short", "POST", "/mpub?topic=b&binary=true", "\x00\x00\x00\x01\x00\x00\x00\x05abc", 413, "BAD_MESSAGE"},
	})
}

// TestHTTP_PublishCounts checks what the accepted publishes leave behind.
func TestHTTP_PublishCounts(t *testing.T) {
	for _, row := range []struct {
		name, target, body string
		messages, bytes    uint64
		depth              int64
	}{
		{"236 a line each, none for the final LF", "/mpub?topic=t", "a\nbb\nccc\nd\n", 4, 7, 4},
		{"237 blank lines are skipped", "/mpub?topic=t", "\n\na\n\nb\n\n", 2, 2, 2},
		{"237 an empty body makes the topic alone", "/mpub?topic=t", "", 0, 0, 0},
		{"238 CR is kept", "/mpub?topic=t", "a\r\nb\r\n", 2, 4, 2},
		{"239 all or none", "/mpub?topic=t", "a\n" + strings.Repeat("x", 101), 0, 0, 0},
		{"243 all or none", "/mpub?topic=t&binary=true", "\x00\x00\x00\x02\x00\x00\x00\x01a", 0, 0, 0},
		{"273 message_bytes", "/mpub?topic=t&binary=true", mpubBody("abc", "\n\n"), 2, 5, 2},
		{"an invalid defer still makes the topic", "/pub?topic=t&defer=x", "x", 0, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := startHTTP(t, Options{MaxMsgSize: 100, MaxBodySize: 400})
			ask(t, s, "POST", row.target, row.body)
			st, err := s.Stats(StatsOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(st.Topics) != 1 {
				t.Fatalf("%d topics, want 1", len(st.Topics))
			}
			got := st.Topics[0]
			if got.MessageCount != row.messages || got.MessageBytes != row.bytes || got.Depth != row.depth {
				t.Errorf("messages %d, bytes %d, depth %d; want %d, %d, %d",
					got.MessageCount, got.MessageBytes, got.Depth, row.messages, row.bytes, row.depth)
			}
		})
	}
}

// TestHTTP_PublishDeferred is 234.
func TestHTTP_PublishDeferred(t *testing.T) {
	s := startHTTP(t, Options{})
	ask(t, s, "POST", "/topic/create?topic=t", "")
	ask(t, s, "POST", "/channel/create?topic=t&channel=c", "")
	if a := ask(t, s, "POST", "/pub?topic=t&defer=60000", "later"); a.status != 200 {
		t.Fatalf("pub: %d %s", a.status, a.body)
	}
	st, err := s.Stats(StatsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c := st.Topics[0].Channels[0]; c.DeferredCount != 1 || c.Depth != 0 {
		t.Errorf("deferred %d, depth %d; want 1, 0", c.DeferredCount, c.Depth)
	}
}

// TestHTTP_PublishChunked is 233 and 240 for bodies whose length nobody said.
func TestHTTP_PublishChunked(t *testing.T) {
	s := startHTTP(t, Options{MaxMsgSize: 100, MaxBodySize: 400})
	for _, row := range []struct {
		target string
		length int
		status int
		want   string
	}{
		{"/pub?topic=t", 100, 200, "OK"},
		{"/pub?topic=t", 101, 413, "MSG_TOO_BIG"},
		{"/mpub?topic=t", 401, 413, "BODY_TOO_BIG"},
		{"/mpub?topic=t&binary=true", 401, 413, "BODY_TOO_BIG"},
	} {
		// A reader of a type that net/http does not know is sent in chunks.
		body := struct{ io.Reader }{strings.NewReader(strings.Repeat("x", row.length))}
		req, err := http.NewRequest("POST", "http://"+s.HTTPAddr().String()+row.target, body)
		if err != nil {
			t.Fatal(err)
		}
		a := do(t, req)
		got := a.body
		if a.status >= 400 {
			got = a.code(t)
		}
		if a.status != row.status || got != row.want {
			t.Errorf("%s of %d bytes: %d %q, want %d %q", row.target, row.length, a.status, got, row.status, row.want)
		}
	}
}

// TestHTTP_Admin has the rows of the conformance list about topics and
// channels.
func TestHTTP_Admin(t *testing.T) {
	s := startHTTP(t, Options{})
	rows := []httpRow{
		{"246 create", "POST", "/topic/create?topic=t", "", 200, ""},
		{"246 create again", "POST", "/topic/create?topic=t", "", 200, ""},
		{"create without topic", "POST", "/topic/create", "", 400, "MISSING_ARG_TOPIC"},
		{"create bad", "POST", "/topic/create?topic=!", "", 400, "INVALID_TOPIC"},
		{"create bad query", "POST", "/topic/create?topic=%z", "", 400, "INVALID_REQUEST"},
		{"parameters of a form are not read", "POST", "/topic/create", "topic=t", 400, "MISSING_ARG_TOPIC"},
		{"248 empty bad", "POST", "/topic/empty?topic=!", "", 400, "INVALID_TOPIC"},
		{"empty unknown", "POST", "/topic/empty?topic=nope", "", 404, "TOPIC_NOT_FOUND"},
		{"empty", "POST", "/topic/empty?topic=t", "", 200, ""},
		{"empty again", "POST", "/topic/empty?topic=t", "", 200, ""},
		{"249 pause without topic", "POST", "/topic/pause", "", 400, "MISSING_ARG_TOPIC"},
		{"249 pause unknown", "POST", "/topic/pause?topic=nope", "", 404, "TOPIC_NOT_FOUND"},
		{"pause bad name", "POST", "/topic/pause?topic=!", "", 404, "TOPIC_NOT_FOUND"},
		{"unpause bad name", "POST", "/topic/unpause?topic=!", "", 404, "TOPIC_NOT_FOUND"},
		{"pause", "POST", "/topic/pause?topic=t", "", 200, ""},
		{"pause again", "POST", "/topic/pause?topic=t", "", 200, ""},
		{"unpause", "POST", "/topic/unpause?topic=t", "", 200, ""},
		{"unpause again", "POST", "/topic/unpause?topic=t", "", 200, ""},
		{"250 channel of unknown topic", "POST", "/channel/create?topic=nope&channel=c", "", 404, "TOPIC_NOT_FOUND"},
		{"channel create", "POST", "/channel/create?topic=t&channel=c", "", 200, ""},
		{"channel create again", "POST", "/channel/create?topic=t&channel=c", "", 200, ""},
		{"254 ephemeral channel", "POST", "/channel/create?topic=t&channel=c%23ephemeral", "", 200, ""},
		{"old create_topic", "POST", "/create_topic?topic=old", "", 200, ""},
		{"old create_channel", "POST", "/create_channel?topic=old&channel=c", "", 200, ""},
		{"old pause_channel", "POST", "/pause_channel?topic=old&channel=c", "", 200, ""},
		{"old unpause_channel", "POST", "/unpause_channel?topic=old&channel=c", "", 200, ""},
		{"old empty_channel", "POST", "/empty_channel?topic=old&channel=c", "", 200, ""},
		{"old delete_channel", "POST", "/delete_channel?topic=old&channel=c", "", 200, ""},
		{"old pause_topic", "POST", "/pause_topic?topic=old", "", 200, ""},
		{"old unpause_topic", "POST", "/unpause_topic?topic=old", "", 200, ""},
		{"old empty_topic", "POST", "/empty_topic?topic=old", "", 200, ""},
		{"old delete_topic", "POST", "/delete_topic?topic=old", "", 200, ""},
	}
	for _, verb := range []string{"create", "delete", "empty", "pause", "unpause"} {
		path := "/channel/" + verb
		rows = append(rows,
			httpRow{"251 " + verb, "POST", path + "?topic=t", "", 400, "MISSING_ARG_CHANNEL"},
			httpRow{"252 topic of " + verb, "POST", path + "?topic=!&channel=c", "", 400, "INVALID_ARG_TOPIC"},
			httpRow{"252 channel of " + verb, "POST", path + "?topic=t&channel=!", "", 400, "INVALID_ARG_CHANNEL"},
			httpRow{"no topic of " + verb, "POST", path + "?channel=c", "", 400, "MISSING_ARG_TOPIC"},
			httpRow{"the topic is looked at first: " + verb, "POST", path + "?topic=!", "", 400, "INVALID_ARG_TOPIC"},
			httpRow{"names come before existence: " + verb, "POST", path + "?topic=nope&channel=!", "", 400, "INVALID_ARG_CHANNEL"},
			httpRow{"query of " + verb, "POST", path + "?topic=t&channel=%z", "", 400, "INVALID_REQUEST"},
			httpRow{"topic unknown to " + verb, "POST", path + "?topic=nope&channel=c", "", 404, "TOPIC_NOT_FOUND"},
		)
		if verb != "create" {
			rows = append(rows, httpRow{"253 " + verb, "POST", path + "?topic=t&channel=nope", "", 404, "CHANNEL_NOT_FOUND"})
		}
	}
	rows = append(rows,
		httpRow{"channel pause", "POST", "/channel/pause?topic=t&channel=c", "", 200, ""},
		httpRow{"channel unpause", "POST", "/channel/unpause?topic=t&channel=c", "", 200, ""},
		httpRow{"channel empty", "POST", "/channel/empty?topic=t&channel=c", "", 200, ""},
		httpRow{"channel delete", "POST", "/channel/delete?topic=t&channel=c", "", 200, ""},
		httpRow{"channel delete again", "POST", "/channel/delete?topic=t&channel=c", "", 404, "CHANNEL_NOT_FOUND"},
		httpRow{"247 delete unknown", "POST", "/topic/delete?topic=nope", "", 404, "TOPIC_NOT_FOUND"},
		httpRow{"delete bad name", "POST", "/topic/delete?topic=!", "", 404, "TOPIC_NOT_FOUND"},
		httpRow{"delete without topic", "POST", "/topic/delete", "", 400, "MISSING_ARG_TOPIC"},
		httpRow{"delete", "POST", "/topic/delete?topic=t", "", 200, ""},
		httpRow{"delete again", "POST", "/topic/delete?topic=t", "", 404, "TOPIC_NOT_FOUND"},
	)
	runRows(t, s, rows)
}

// TestHTTP_AdminTakesEffect checks that the admin routes do what they say.
func TestHTTP_AdminTakesEffect(t *testing.T) {
	s := startHTTP(t, Options{})
	topic := func() TopicStats {
		t.Helper()
		st, err := s.Stats(StatsOptions{Topic: "t"})
		if err != nil || len(st.Topics) != 1 {
			t.Fatalf("stats: %d topics, %v", len(st.Topics), err)
		}
		return st.Topics[0]
	}
	must := func(target string) {
		t.Helper()
		if a := ask(t, s, "POST", target, "body that nobody reads"); a.status != 200 || a.body != "" {
			t.Fatalf("%s: %d %q", target, a.status, a.body)
		}
	}
	ask(t, s, "POST", "/mpub?topic=t", "a\nb\nc")
	if got := topic().Depth; got != 3 {
		t.Fatalf("depth %d, want 3", got)
	}
	must("/topic/empty?topic=t")
	if got := topic().Depth; got != 0 {
		t.Fatalf("depth after empty %d, want 0", got)
	}
	must("/topic/pause?topic=t")
	must("/channel/create?topic=t&channel=c")
	ask(t, s, "POST", "/mpub?topic=t", "a\nb\nc")
	if got := topic(); !got.Paused || got.Depth != 3 || got.Channels[0].Depth != 0 {
		t.Fatalf("paused topic: %+v", got)
	}
	must("/topic/unpause?topic=t")
	if got := topic(); got.Paused || got.Depth != 0 || got.Channels[0].Depth != 3 {
		t.Fatalf("unpaused topic: %+v", got)
	}
	must("/channel/pause?topic=t&channel=c")
	if !topic().Channels[0].Paused {
		t.Fatal("channel is not paused")
	}
	must("/channel/unpause?topic=t&channel=c")
	if topic().Channels[0].Paused {
		t.Fatal("channel is still paused")
	}
	must("/channel/empty?topic=t&channel=c")
	if got := topic().Channels[0].Depth; got != 0 {
		t.Fatalf("channel depth after empty %d, want 0", got)
	}
	must("/channel/delete?topic=t&channel=c")
	if got := len(topic().Channels); got != 0 {
		t.Fatalf("%d channels after delete, want 0", got)
	}
	must("/topic/delete?topic=t")
	if st, err := s.Stats(StatsOptions{}); err != nil || len(st.Topics) != 0 {
		t.Fatalf("%d topics after delete, want 0 (%v)", len(st.Topics), err)
	}
}

// TestHTTP_Conventions checks methods, paths and redirects (section 4.1 of the
// observed behaviour; rows 244, 245).
func TestHTTP_Conventions(t *testing.T) {
	s := startHTTP(t, Options{})
	for _, row := range []struct {
		name, method, target string
		status               int
		code                 string // of a refusal
		allow, location      string
	}{
		{"244 GET on POST", "GET", "/pub?topic=t", 405, "METHOD_NOT_ALLOWED", "OPTIONS, POST", ""},
		{"245 POST stats", "POST", "/stats", 405, "METHOD_NOT_ALLOWED", "GET, OPTIONS", ""},
		{"245 unknown path", "GET", "/nope", 404, "NOT_FOUND", "", ""},
		{"unknown path POST", "POST", "/nope", 404, "NOT_FOUND", "", ""},
		{"DELETE", "DELETE", "/ping", 405, "METHOD_NOT_ALLOWED", "GET, OPTIONS", ""},
		{"config methods", "POST", "/config/log_level", 405, "METHOD_NOT_ALLOWED", "GET, OPTIONS, PUT", ""},
		{"OPTIONS", "OPTIONS", "/ping", 200, "", "GET, OPTIONS", ""},
		{"OPTIONS unknown", "OPTIONS", "/nope", 404, "NOT_FOUND", "", ""},
		{"slash GET", "GET", "/ping/", 301, "", "", "/ping"},
		{"slash POST", "POST", "/pub/?topic=t", 307, "", "", "/pub?topic=t"},
		{"slash POST without route", "POST", "/ping/", 404, "NOT_FOUND", "", ""},
		{"slash GET without route", "GET", "/pub/", 404, "NOT_FOUND", "", ""},
		{"case", "GET", "/PING", 301, "", "", "/ping"},
		{"case POST", "POST", "/Topic/Create?topic=t", 307, "", "", "/topic/create?topic=t"},
		{"double slash", "GET", "//ping", 301, "", "", "/ping"},
		{"dots", "GET", "/topic/../ping", 301, "", "", "/ping"},
		{"dot", "GET", "/./ping", 301, "", "", "/ping"},
		{"case of config", "GET", "/Config/max_msg_size", 301, "", "", "/config/max_msg_size"},
		{"pprof slash", "GET", "/debug/pprof", 301, "", "", "/debug/pprof/"},
		{"pprof unknown", "GET", "/debug/pprof/mutex", 404, "NOT_FOUND", "", ""},
		{"pprof trace", "GET", "/debug/pprof/trace", 404, "NOT_FOUND", "", ""},
		{"foreign host in a path", "GET", "//evil.example/ping", 404, "NOT_FOUND", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := ask(t, s, row.method, row.target, "")
			if a.status != row.status || a.header.Get("Allow") != row.allow || a.header.Get("Location") != row.location {
				t.Errorf("%d Allow %q Location %q; want %d %q %q",
					a.status, a.header.Get("Allow"), a.header.Get("Location"), row.status, row.allow, row.location)
			}
			if row.code == "" {
				if v := a.header.Get("X-Nsq-Content-Type"); v != "" {
					t.Errorf("X-NSQ-Content-Type is %q, want none", v)
				}
				return
			}
			if got := a.code(t); got != row.code {
				t.Errorf("code %s, want %s", got, row.code)
			}
			if v := a.header.Get("X-Nsq-Content-Type"); v != "nsq; version=1.0" {
				t.Errorf("X-NSQ-Content-Type is %q", v)
			}
		})
	}
	if a := ask(t, s, "HEAD", "/ping", ""); a.status != 405 || a.header.Get("Allow") != "GET, OPTIONS" {
		t.Errorf("HEAD: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	if a := ask(t, s, "OPTIONS", "/pub", ""); a.body != "" || a.header.Get("Content-Type") != "" {
		t.Errorf("OPTIONS has a body %q of type %q", a.body, a.header.Get("Content-Type"))
	}
}

// TestHTTP_EmptyReplyHasNoType: an empty body has no Content-Type.
func TestHTTP_EmptyReplyHasNoType(t *testing.T) {
	s := startHTTP(t, Options{})
	a := ask(t, s, "POST", "/topic/create?topic=t", "")
	if v, there := a.header["Content-Type"]; there {
		t.Errorf("Content-Type %q, want none", v)
	}
}

// TestHTTP_Ping is 226.
func TestHTTP_Ping(t *testing.T) {
	s := startHTTP(t, Options{})
	a := ask(t, s, "GET", "/ping", "")
	if a.status != 200 || a.body != "OK" || a.header.Get("Content-Type") != typeText {
		t.Errorf("%d %q %q", a.status, a.body, a.header.Get("Content-Type"))
	}
	if v := a.header.Get("X-Nsq-Content-Type"); v != "" {
		t.Errorf("X-NSQ-Content-Type is %q, want none", v)
	}
}

// TestHTTP_Stopped: a server that has stopped refuses by nsqd's names.
func TestHTTP_Stopped(t *testing.T) {
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/ping", "", 500, "NOK - server closed"},
		{"POST", "/pub?topic=t", "x", 503, "EXITING"},
		{"POST", "/topic/create?topic=t", "", 503, "EXITING"},
		{"GET", "/stats", "", 503, "EXITING"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(row.method, row.target, strings.NewReader(row.body)))
		if w.Code != row.status || !strings.Contains(w.Body.String(), row.want) {
			t.Errorf("%s %s: %d %q, want %d %q", row.method, row.target, w.Code, w.Body, row.status, row.want)
		}
	}
}

// TestHTTP_Info is 228: nsqd's keys in nsqd's order.
func TestHTTP_Info(t *testing.T) {
	s := startHTTP(t, Options{BroadcastAddress: "b.example", LiteVersion: "9.9.9"})
	a := ask(t, s, "GET", "/info", "")
	if a.status != 200 || a.header.Get("Content-Type") != typeJSON {
		t.Fatalf("%d %q", a.status, a.header.Get("Content-Type"))
	}
	want := regexp.MustCompile(`^\{"version":"1\.3\.0","broadcast_address":"b\.example","hostname":"[^"]*","http_port":\d+,"tcp_port":\d+,` +
		`"start_time":\d+,"max_heartbeat_interval":60000000000,"max_output_buffer_size":65536,"max_output_buffer_timeout":30000000000,` +
		`"max_deflate_level":6,"topology_zone":"","topology_region":"","lite_version":"9\.9\.9","sync":"memory","sync_window":-1\}$`)
	if !want.MatchString(a.body) {
		t.Errorf("body %s", a.body)
	}
	var info infoReply
	if err := json.Unmarshal([]byte(a.body), &info); err != nil {
		t.Fatal(err)
	}
	if info.HTTPPort != portOf(s.HTTPAddr()) || info.TCPPort != portOf(s.TCPAddr()) || info.HTTPPort == 0 || info.TCPPort == 0 {
		t.Errorf("ports %d and %d, want those of %v and %v", info.HTTPPort, info.TCPPort, s.HTTPAddr(), s.TCPAddr())
	}
}

// TestHTTP_Index: programs get the 404 that they test for, people a list.
func TestHTTP_Index(t *testing.T) {
	s := startHTTP(t, Options{})
	a := ask(t, s, "GET", "/", "")
	if a.status != 404 || a.code(t) != "NOT_FOUND" || !strings.Contains(a.body, `"path":"/mpub"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	a = ask(t, s, "GET", "/", "", "Accept", "text/html,*/*")
	if a.status != 200 || a.header.Get("Content-Type") != typeText || !strings.Contains(a.body, "POST  /mpub") {
		t.Errorf("%d %q %s", a.status, a.header.Get("Content-Type"), a.body)
	}
}
