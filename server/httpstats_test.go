package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func mustRequest(t testing.TB, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mustEnd gives a connection the test's own deadline.
func mustEnd(t testing.TB, c net.Conn) {
	t.Helper()
	d, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return
	}
	if at, ok := d.Deadline(); ok {
		if err := c.SetDeadline(at); err != nil {
			t.Fatal(err)
		}
	}
}

// nsqConn is a client on a real socket: these tests look at what the server
// says of it.
type nsqConn struct {
	t   testing.TB
	c   net.Conn
	buf []byte
}

// dial opens a connection that has sent the magic.
func dial(t testing.TB, s *Server) *nsqConn {
	t.Helper()
	c, err := net.Dial("tcp", s.TCPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	mustEnd(t, c)
	n := &nsqConn{t: t, c: c}
	n.send([]byte(wire.MagicV2))
	return n
}

// connect opens a connection that has identified itself.
func connect(t testing.TB, s *Server, identify string) *nsqConn {
	t.Helper()
	n := dial(t, s)
	n.send(wire.AppendIdentify(nil, []byte(identify)))
	n.response()
	return n
}

func (n *nsqConn) send(b []byte) {
	n.t.Helper()
	if _, err := n.c.Write(b); err != nil {
		n.t.Fatal(err)
	}
}

// frame returns the next frame.
func (n *nsqConn) frame() (wire.FrameType, []byte) {
	n.t.Helper()
	for {
		typ, data, size, err := wire.ReadFrame(n.buf, 0)
		if err != nil {
			n.t.Fatal(err)
		}
		if size > 0 {
			data = slices.Clone(data)
			n.buf = n.buf[size:]
			return typ, data
		}
		b := make([]byte, 4096)
		r, err := n.c.Read(b)
		if err != nil {
			n.t.Fatal(err)
		}
		n.buf = append(n.buf, b[:r]...)
	}
}

func (n *nsqConn) response() string {
	n.t.Helper()
	typ, data := n.frame()
	if typ != wire.FrameResponse {
		n.t.Fatalf("frame %d %q, want a response", typ, data)
	}
	return string(data)
}

func (n *nsqConn) message() wire.Message {
	n.t.Helper()
	typ, data := n.frame()
	m, err := wire.ReadMessage(data)
	if typ != wire.FrameMessage || err != nil {
		n.t.Fatalf("frame %d %q (%v), want a message", typ, data, err)
	}
	return m
}

// busy starts a server with two topics, a subscriber with two messages in
// flight and one finished, and a producer.
func busy(t testing.TB) *Server {
	t.Helper()
	s := startHTTP(t, Options{})
	sub := connect(t, s, `{"client_id":"cid","hostname":"hosty","user_agent":"ua/1"}`)
	sub.send(wire.AppendSub(nil, "t1", "c1"))
	sub.response()
	sub.send(wire.AppendRdy(nil, 3))
	pub := connect(t, s, `{"client_id":"pid","hostname":"h","user_agent":"prod/1"}`)
	for _, topic := range []string{"t1", "t1", "t1"} {
		pub.send(wire.AppendPub(nil, topic, []byte("hello")))
		pub.response()
	}
	id := sub.message().ID
	sub.message()
	sub.message()
	sub.send(wire.AppendFin(nil, id))
	ask(t, s, "POST", "/mpub?topic=t2", "a\nb")
	ask(t, s, "POST", "/topic/pause?topic=t2", "")
	ask(t, s, "POST", "/channel/create?topic=t1&channel=c2", "")
	ask(t, s, "POST", "/channel/pause?topic=t1&channel=c2", "")
	// FIN has no answer: the next command that has one says it was read.
	sub.send(wire.AppendCls(nil))
	if got := sub.response(); got != wire.CloseWait {
		t.Fatalf("CLS: %q", got)
	}
	return s
}

// statsJSON asks for /stats?format=json and the rest of the query.
func statsJSON(t testing.TB, s *Server, query string) (body string, st Stats) {
	t.Helper()
	a := ask(t, s, "GET", "/stats?format=json"+query, "")
	if a.status != 200 || a.header.Get("Content-Type") != typeJSON {
		t.Fatalf("stats: %d %q", a.status, a.header.Get("Content-Type"))
	}
	if err := json.Unmarshal([]byte(a.body), &st); err != nil {
		t.Fatal(err)
	}
	return a.body, st
}

// notNSQs are the last keys of what these servers answer, which nsqd has not.
const notNSQs = `,"sync":"memory","sync_window":-1}`

// TestStats_EmptyPrefix is 261: suites compare these bytes.
func TestStats_EmptyPrefix(t *testing.T) {
	s := startHTTP(t, Options{})
	body, st := statsJSON(t, s, "")
	want := fmt.Sprintf(`{"version":"1.3.0","health":"OK","start_time":%d,"topics":[],"memory":{"heap_objects":`, st.StartTime)
	if !strings.HasPrefix(body, want) {
		t.Errorf("body %s does not begin with %s", body, want)
	}
	if !strings.HasSuffix(body, `},"producers":null`+notNSQs) {
		t.Errorf("body %s does not end with producers null and the sync mode", body)
	}
	keys := `"memory":\{"heap_objects":\d+,"heap_idle_bytes":\d+,"heap_in_use_bytes":\d+,"heap_released_bytes":\d+,` +
		`"gc_pause_usec_100":\d+,"gc_pause_usec_99":\d+,"gc_pause_usec_95":\d+,"next_gc_bytes":\d+,"gc_total_runs":\d+\}`
	if !regexp.MustCompile(keys).MatchString(body) {
		t.Errorf("body %s has not memory's keys in order", body)
	}
}

// TestStats_Channel is 269, 271, 272 and 274 at once: one topic, byte by byte but
// for ports and times.
func TestStats_Channel(t *testing.T) {
	body, _ := statsJSON(t, busy(t), "&topic=t1&channel=c1&include_mem=false")
	client := func(id, host, agent string) string {
		return `\{"client_id":"` + id + `","hostname":"` + host + `","version":"V2","remote_address":"127\.0\.0\.1:\d+","state":\d,"ready_count":\d,` +
			`"in_flight_count":\d,"message_count":\d,"finish_count":\d,"requeue_count":0,"connect_ts":\d+,"sample_rate":0,"deflate":false,"snappy":false,` +
			`"user_agent":"` + agent + `","topology_zone":"","topology_region":"",`
	}
	const tls = `"tls":false,"tls_cipher_suite":"","tls_version":"","tls_negotiated_protocol":"","tls_negotiated_protocol_is_mutual":false\}`
	const e2e = `"e2e_processing_latency":\{"count":0,"percentiles":null\}`
	want := `^\{"version":"1\.3\.0","health":"OK","start_time":\d+,"topics":\[\{"topic_name":"t1","channels":\[\{"channel_name":"c1","depth":0,` +
		`"backend_depth":0,"in_flight_count":2,"deferred_count":0,"message_count":3,("global_msg_count":3,)?"requeue_count":0,"timeout_count":0,` +
		`"client_count":1,"clients":\[` + client("cid", "hosty", "ua/1") + tls + `\],"paused":false,` + e2e + `\}\],` +
		`"depth":0,"backend_depth":0,"message_count":3,"message_bytes":15,"paused":false,` + e2e + `\}\],` +
		`"producers":\[` + client("pid", "h", "prod/1") + `"pub_counts":\[\{"topic":"t1","count":3\}\],` + tls + `\],"sync":"memory","sync_window":-1\}$`
	if !regexp.MustCompile(want).MatchString(body) {
		t.Errorf("body\n%s\ndoes not match\n%s", body, want)
	}
}

// TestStats_Filters is 265 to 268 and 275.
func TestStats_Filters(t *testing.T) {
	s := busy(t)
	names := func(st Stats) string {
		var all []string
		for _, t := range st.Topics {
			all = append(all, t.TopicName)
			for _, c := range t.Channels {
				all = append(all, t.TopicName+"/"+c.ChannelName)
			}
		}
		return strings.Join(all, " ")
	}
	for _, row := range []struct{ query, want string }{
		{"", "t1 t1/c1 t1/c2 t2"},
		{"&topic=t1", "t1 t1/c1 t1/c2"},
		{"&topic=t2", "t2"},
		{"&topic=t1&channel=c2", "t1 t1/c2"},
		{"&channel=c1", "t1 t1/c1"},
		{"&topic=t2&channel=c1", ""},
		{"&topic=nope", ""},
		{"&topic=t2&topic=t1", "t2"},
	} {
		if _, st := statsJSON(t, s, row.query); names(st) != row.want {
			t.Errorf("%s: %q, want %q", row.query, names(st), row.want)
		}
	}
	if body, _ := statsJSON(t, s, "&topic=nope&include_mem=0"); !strings.HasSuffix(body, `"topics":null,"producers":null`+notNSQs) {
		t.Errorf("unknown topic: %s", body)
	}
	if body, _ := statsJSON(t, s, "&topic=t2&channel=c1"); !strings.Contains(body, `"topics":[],`) {
		t.Errorf("known topic without the channel: %s", body)
	}
	for _, off := range []string{"false", "0"} {
		body, st := statsJSON(t, s, "&include_clients="+off)
		if !strings.Contains(body, `"client_count":1,"clients":null,`) || !strings.HasSuffix(body, `"producers":null`+notNSQs) {
			t.Errorf("include_clients=%s: %s", off, body)
		}
		if st.Memory == nil {
			t.Errorf("include_clients=%s takes memory away", off)
		}
		if body, _ := statsJSON(t, s, "&include_mem="+off); strings.Contains(body, `"memory":`) {
			t.Errorf("include_mem=%s: %s", off, body)
		}
	}
	for _, on := range []string{"true", "1", "yes", ""} {
		body, st := statsJSON(t, s, "&include_clients="+on+"&include_mem="+on)
		if len(st.Producers) != 1 || st.Memory == nil || !strings.Contains(body, `"clients":[]`) {
			t.Errorf("include_*=%s: %s", on, body)
		}
	}
	if a := ask(t, s, "GET", "/stats?topic=%z", ""); a.status != 400 || a.code(t) != "INVALID_REQUEST" {
		t.Errorf("bad query: %d %s", a.status, a.body)
	}
}

// TestStats_Text is 262 to 264.
func TestStats_Text(t *testing.T) {
	s := startHTTP(t, Options{})
	for _, format := range []string{"", "?format=text", "?format=JSON", "?format="} {
		a := ask(t, s, "GET", "/stats"+format, "")
		if a.status != 200 || a.header.Get("Content-Type") != typeText || !strings.HasPrefix(a.body, "nsqd v1.3.0 (built w/go") {
			t.Errorf("%s: %d %s", format, a.status, a.body)
		}
		for _, want := range []string{"\nHealth: OK\n", "\nTopics: None\n", "\nProducers: None\n", "\nMemory:\n   heap_objects             \t"} {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s: no %q in\n%s", format, want, a.body)
			}
		}
	}
	body := ask(t, busy(t), "GET", "/stats?include_mem=false", "").body
	if strings.Contains(body, "Memory") {
		t.Errorf("memory is there:\n%s", body)
	}
	for _, want := range []string{"\n   [t1             ] ", "\n*P [t2             ] ", "\n      [c1                       ] ", "\n   *P [c2                       ] ", "\nTopics:\n", "\nProducers:\n   [V2 h:"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}

// TestStats_TextGolden compares the columns with nsqd's.
func TestStats_TextGolden(t *testing.T) {
	start := time.Unix(1795379162, 0)
	e2e := E2EStats{Count: 3, Percentiles: []Percentile{{0.99, 2300000}, {0.5, 1500000}}}
	st := Stats{
		Version: "1.3.0", Health: "OK", StartTime: start.Unix(), Taken: start.Add(2928942733),
		Memory: &MemoryStats{HeapObjects: 1682, HeapIdleBytes: 2, HeapInUseBytes: 3, HeapReleasedBytes: 4, GCPauseUsec100: 5, GCPauseUsec99: 6, GCPauseUsec95: 7, NextGCBytes: 8, GCTotalRuns: 9},
		Topics: []TopicStats{
			{TopicName: "t1", MessageCount: 3, E2E: e2e, Channels: []ChannelStats{{
				ChannelName: "c1", InFlightCount: 2, MessageCount: 3, E2E: e2e,
				Clients: []ClientStats{{Hostname: "hosty", Version: "V2", RemoteAddress: "127.0.0.1:54826", State: 3, InFlightCount: 2, ReadyCount: 2, FinishCount: 1, MessageCount: 3, ConnectTime: start.Unix(), UserAgent: "ua/1"}},
			}}},
			{TopicName: "t2", Paused: true, Depth: 123456, BackendDepth: 113456, MessageCount: 123456789, Channels: []ChannelStats{{ChannelName: "a-channel-with-a-rather-long-name", Paused: true}}},
		},
		Producers: []ClientStats{{Hostname: "h", Version: "V2", RemoteAddress: "127.0.0.1:54844", UserAgent: "evil\nagent", ConnectTime: start.Unix(), PubCounts: []PubCount{{"t2", 1}}}},
	}
	got := st.text()
	got = regexp.MustCompile(`built w/\S+\)`).ReplaceAllString(got, "built w/GO)")
	got = strings.Replace(got, start.Format(time.RFC3339), "START", 1)
	want := "nsqd v1.3.0 (built w/GO)\n" +
		"start_time START\n" +
		"uptime 2.928942733s\n" +
		"\nHealth: OK\n" +
		"\nMemory:\n" +
		"   heap_objects             \t1682\n" +
		"   heap_idle_bytes          \t2\n" +
		"   heap_in_use_bytes        \t3\n" +
		"   heap_released_bytes      \t4\n" +
		"   gc_pause_usec_100        \t5\n" +
		"   gc_pause_usec_99         \t6\n" +
		"   gc_pause_usec_95         \t7\n" +
		"   next_gc_bytes            \t8\n" +
		"   gc_total_runs            \t9\n" +
		"\nTopics:" +
		"\n   [t1             ] depth: 0     be-depth: 0     msgs: 3        e2e%: 2.3ms, 1.5ms\n" +
		"      [c1                       ] depth: 0     be-depth: 0     inflt: 2    def: 0    re-q: 0     timeout: 0     msgs: 3        e2e%: 2.3ms, 1.5ms\n" +
		"        [V2 hosty:54826 ua/1     ] state: 3 inflt: 2    rdy: 2    fin: 1        re-q: 0        msgs: 3        connected: 2s\n" +
		"\n*P [t2             ] depth: 123456 be-depth: 113456 msgs: 123456789 e2e%: \n" +
		"   *P [a-channel-with-a-rather-long-name] depth: 0     be-depth: 0     inflt: 0    def: 0    re-q: 0     timeout: 0     msgs: 0        e2e%: \n" +
		"\nProducers:\n" +
		"   [V2 h:54844 evil\\nagent  ] msgs: 1        topics: t2=1 connected: 2s\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestStats_Percentiles: the object is there with and without percentiles.
func TestStats_Percentiles(t *testing.T) {
	got, err := json.Marshal(E2EStats{Count: 2, Percentiles: []Percentile{{0.99, 2345678}, {0.5, 1000}}})
	want := `{"count":2,"percentiles":[{"quantile":0.99,"value":2345678},{"quantile":0.5,"value":1000}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
}

// TestPauseMicros: quantiles of the collector's pauses.
func TestPauseMicros(t *testing.T) {
	var pauses []uint64
	for i := range 100 {
		pauses = append(pauses, uint64(i+1)*1000)
	}
	for _, row := range []struct {
		q    float64
		in   []uint64
		want uint64
	}{
		{1, pauses, 100}, {0.99, pauses, 99}, {0.95, pauses, 95}, {0.95, pauses[:1], 1}, {1, nil, 0},
	} {
		if got := pauseMicros(row.q, row.in); got != row.want {
			t.Errorf("pauseMicros(%v) of %d = %d, want %d", row.q, len(row.in), got, row.want)
		}
	}
}

// TestStats_UnderLoad is 276: statistics are whole while others publish.
func TestStats_UnderLoad(t *testing.T) {
	s := startHTTP(t, Options{})
	ask(t, s, "POST", "/topic/create?topic=t", "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			r, err := http.NewRequest("POST", "http://"+s.HTTPAddr().String()+"/pub?topic=t", strings.NewReader("x"))
			if err != nil {
				return
			}
			if res, err := http.DefaultTransport.RoundTrip(r); err == nil {
				res.Body.Close()
			}
		}
	}()
	for range 50 {
		_, st := statsJSON(t, s, "&include_mem=false")
		if tp := st.Topics[0]; tp.Depth != int64(tp.MessageCount) || tp.MessageBytes != tp.MessageCount {
			t.Errorf("depth %d, messages %d, bytes %d", tp.Depth, tp.MessageCount, tp.MessageBytes)
		}
	}
	<-done
	if _, st := statsJSON(t, s, ""); st.Topics[0].MessageCount != 50 {
		t.Errorf("messages %d, want 50", st.Topics[0].MessageCount)
	}
}
