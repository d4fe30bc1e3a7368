package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/journal"
)

// topicPeek asks for /topic/peek and returns the bodies.
func topicPeek(t testing.TB, s *Server, query string) (reply topicPeekJSON, bodies string) {
	t.Helper()
	a := ask(t, s, "GET", "/topic/peek?"+query, "")
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &reply); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range reply.Messages {
		all = append(all, m.Body)
	}
	return reply, strings.Join(all, " ")
}

func TestPeek_TopicOverHTTP(t *testing.T) {
	s := startHTTP(t, Options{})
	for i := range 30 {
		if err := s.Publish("t", fmt.Appendf(nil, "m%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	reply, bodies := topicPeek(t, s, "topic=t&count=3")
	if bodies != "m27 m28 m29" || reply.Waiting != 30 || reply.Topic != "t" || reply.From != "last" {
		t.Errorf("got %q of %+v", bodies, reply)
	}
	first := reply.Messages[0]
	if first.Size != 3 || first.Encoding != "text" || first.Attempts != 0 || len(first.ID) != 16 || time.Since(time.Unix(0, first.Timestamp)) > time.Hour {
		t.Errorf("message %+v", first)
	}
	if _, bodies := topicPeek(t, s, "topic=t&count=3&from=first"); bodies != "m0 m1 m2" {
		t.Errorf("first: %q", bodies)
	}
	if _, bodies := topicPeek(t, s, "topic=t&from=first"); strings.Count(bodies, " ") != 9 {
		t.Errorf("without a count: %q", bodies)
	}
	if a := ask(t, s, "POST", "/channel/create?topic=t&channel=c", ""); a.status != 200 {
		t.Fatal(a)
	}
	if reply, bodies := topicPeek(t, s, "topic=t&from=waiting"); bodies != "" || reply.Waiting != 0 {
		t.Errorf("with a channel nothing waits at the topic: %q, %d", bodies, reply.Waiting)
	}
	if a := ask(t, s, "POST", "/topic/pause?topic=t", ""); a.status != 200 {
		t.Fatal(a)
	}
	if err := s.Publish("t", []byte("held"), []byte("\xff\x00")); err != nil {
		t.Fatal(err)
	}
	reply, bodies = topicPeek(t, s, "topic=t&from=waiting")
	if bodies != "held /wA=" || reply.Waiting != 2 || reply.Messages[1].Encoding != "base64" || reply.Messages[1].Size != 2 {
		t.Errorf("paused: %q, %+v", bodies, reply)
	}
	if _, bodies = topicPeek(t, s, "topic=t&from=first&max_bytes=60&count=100"); bodies != "m0 m1 m2" {
		t.Errorf("60 bytes: %q", bodies)
	}
	if a := ask(t, s, "GET", "/topic/peek?topic=t&count=3&format=raw", ""); a.body != "m29\nheld\n\xff\x00\n" {
		t.Errorf("raw: %q", a.body)
	}
}

func TestPeek_ChannelKnowsTimesAndClients(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 3)
	w.publish("t", "a", "b", "c", "d", "e")
	all := p.messages(3)
	p.rdy(0)
	p.req(all[1], 0)
	p.req(all[2], time.Minute)
	w.sleep(5 * time.Second)
	var list [4][]messageJSON
	var more [4]bool
	ch := w.s.topic("t").channel("c")
	w.do(func() {
		for i := range list {
			var err error
			if more[i], err = ch.peek(journal.Standing(i), 1, 1000, &list[i]); err != nil {
				t.Error(err)
			}
		}
	})
	if len(list[0]) != 1 || !more[0] || list[0][0].Body != "d" {
		t.Errorf("waiting: %+v, more %v", list[0], more[0])
	}
	if len(list[1]) != 1 || list[1][0].Body != "b" || list[1][0].Attempts != 1 {
		t.Errorf("requeued: %+v", list[1])
	}
	now := w.s.now()
	if len(list[2]) != 1 || list[2][0].Body != "c" || list[2][0].Due != now+int64(55*time.Second) {
		t.Errorf("deferred: %+v at %d", list[2], now)
	}
	if m := list[3]; len(m) != 1 || m[0].Body != "a" || m[0].Age != int64(5*time.Second) ||
		m[0].Deadline != now+int64(55*time.Second) || m[0].Delivered != now-m[0].Age || m[0].Client == "" {
		t.Errorf("in flight: %+v at %d", m, now)
	}
}

func TestPeek_ChannelJSON(t *testing.T) {
	s := startHTTP(t, Options{})
	ask(t, s, "POST", "/topic/create?topic=t", "")
	ask(t, s, "POST", "/channel/create?topic=t&channel=c", "")
	if err := s.Publish("t", []byte("a"), []byte("b"), []byte("c")); err != nil {
		t.Fatal(err)
	}
	ask(t, s, "POST", "/pub?topic=t&defer=60000", "later")
	a := ask(t, s, "GET", "/channel/peek?topic=t&channel=c&count=2", "")
	var got channelPeekJSON
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if got.Depth != 3 || got.DeferredCount != 1 || len(got.Waiting) != 2 || len(got.Deferred) != 1 ||
		len(got.More) != 1 || got.More[0] != "waiting" || got.Deferred[0].Due-got.Deferred[0].Timestamp != int64(time.Minute) {
		t.Errorf("%s", a.body)
	}
	if !strings.Contains(a.body, `"in_flight":[],"requeued":[],`) {
		t.Errorf("empty lists are not lists: %s", a.body)
	}
	a = ask(t, s, "GET", "/channel/peek?topic=t&channel=c&state=deferred", "")
	if !strings.Contains(a.body, `"waiting":[]`) || !strings.Contains(a.body, `"body":"later"`) {
		t.Errorf("one state: %s", a.body)
	}
	runRows(t, s, []httpRow{
		{"no topic", "GET", "/topic/peek", "", 400, "MISSING_ARG_TOPIC"},
		{"unknown topic", "GET", "/topic/peek?topic=x", "", 404, "TOPIC_NOT_FOUND"},
		{"count", "GET", "/topic/peek?topic=t&count=0", "", 400, "INVALID_ARG"},
		{"count", "GET", "/topic/peek?topic=t&count=1001", "", 400, "INVALID_ARG"},
		{"bytes", "GET", "/topic/peek?topic=t&max_bytes=4194305", "", 400, "INVALID_ARG"},
		{"from", "GET", "/topic/peek?topic=t&from=middle", "", 400, "INVALID_ARG"},
		{"no channel", "GET", "/channel/peek?topic=t", "", 400, "MISSING_ARG_CHANNEL"},
		{"unknown channel", "GET", "/channel/peek?topic=t&channel=x", "", 404, "CHANNEL_NOT_FOUND"},
		{"unknown topic", "GET", "/channel/peek?topic=x&channel=x", "", 404, "TOPIC_NOT_FOUND"},
		{"state", "GET", "/channel/peek?topic=t&channel=c&state=odd", "", 400, "INVALID_ARG"},
		{"post", "POST", "/channel/peek?topic=t&channel=c", "", 405, "METHOD_NOT_ALLOWED"},
	})
}

// TestPeek_ForgedHost: a page whose name was made to point here cannot read
// messages.
func TestPeek_ForgedHost(t *testing.T) {
	s := startHTTP(t, Options{})
	a := ask(t, s, "GET", "/topic/peek?topic=t", "", "Host", "evil.example")
	if a.status != 403 || a.code(t) != "FORBIDDEN" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestPeek_AtMostSoManyAtOnce(t *testing.T) {
	s := startHTTP(t, Options{})
	s.http.peeks.Add(peeksAtOnce)
	if a := ask(t, s, "GET", "/topic/peek?topic=t", ""); a.status != 503 || a.code(t) != "BUSY" {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.http.peeks.Add(-1)
	if a := ask(t, s, "GET", "/topic/peek?topic=t", ""); a.status != 404 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
