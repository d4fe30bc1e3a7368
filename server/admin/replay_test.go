package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/server/admin"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// waiting are the bodies that wait in a topic, by what the page shows of them.
func waiting(p *page, topic string) (bodies []string) {
	p.t.Helper()
	var answer struct {
		Nodes []struct {
			Answer struct {
				Messages []struct{ Body string }
			}
		}
	}
	p.get("/api/v1/peek?from=waiting&count=1000&max_bytes=4194304&topic="+topic, &answer)
	for _, n := range answer.Nodes {
		for _, m := range n.Answer.Messages {
			bodies = append(bodies, m.Body)
		}
	}
	return bodies
}

// TestPage_Replay: what waits in a topic goes to another one, all of it, in its
// order, with its bytes, and is gone where it was.
func TestPage_Replay(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	one, two := nsqtest.Start(t, nsqtest.Registered(d)), nsqtest.Start(t, nsqtest.Registered(d))
	bodies := make([]string, 2500) // three steps
	for i := range bodies {
		bodies[i] = fmt.Sprint("one ", i)
	}
	one.Publish("orders.dead", bodies...)
	two.Publish("orders.dead", "two\xff\x00\n", "<&\u2028>")
	p := open(t, admin.Options{LookupdHTTPAddresses: []string{d.HTTPAddr()}})
	testwait.Until(t, "both nsqds are registered with the topic", func() bool {
		_, body := p.ask("GET", "/api/topics/orders.dead", "")
		return strings.Count(body, `"node":"127.0.0.1`) == 2
	})
	status, body := p.ask("POST", "/api/v1/act", `{"action":"replay","topic":"orders.dead","to":"orders"}`)
	if status != 200 || body != `{"message":"","messages":2502,"left":0}` {
		t.Fatalf("%d %s", status, body)
	}
	for _, s := range []*nsqtest.Server{one, two} {
		if depth := s.Topic("orders.dead").Depth; depth != 0 {
			t.Errorf("%d messages are still there", depth)
		}
	}
	if a, b := one.Topic("orders").Depth, two.Topic("orders").Depth; a != 2500 || b != 2 {
		t.Errorf("%d and %d messages arrived", a, b)
	}
	testwait.Until(t, "the other topic is known", func() bool {
		status, body := p.ask("GET", "/api/topics/orders", "")
		return status == 200 && strings.Count(body, `"node":"127.0.0.1`) == 2
	})
	got := waiting(p, "orders")
	if len(got) != 1002 {
		t.Fatalf("%d messages are shown", len(got))
	}
	ours, first := got[:1000], got[1000:]
	if !strings.HasPrefix(ours[0], "one ") {
		first, ours = got[:2], got[2:]
	}
	for i, body := range ours {
		if body != bodies[i] {
			t.Fatalf("message %d is %q", i, body)
		}
	}
	if first[0] != "dHdv/wAK" || first[1] != "<&\u2028>" { // the first is base64
		t.Errorf("the others are %q", first)
	}
	if status, body := p.ask("POST", "/api/v1/act", `{"action":"replay","topic":"orders.dead","to":"orders"}`); status != 200 || body != `{"message":"","messages":0,"left":0}` {
		t.Errorf("again: %d %s", status, body)
	}
	for to, want := range map[string]string{"orders.dead": "INVALID_TOPIC", "a b": "INVALID_TOPIC", "": "INVALID_TOPIC"} {
		if status, body := p.ask("POST", "/api/v1/act", `{"action":"replay","topic":"orders.dead","to":"`+to+`"}`); status != 400 || !strings.Contains(body, want) {
			t.Errorf("to %q: %d %s", to, status, body)
		}
	}
}

// TestPage_ReplayNeedsDrop: a server that shows messages and cannot let go of
// some of them is not made to publish any.
func TestPage_ReplayNeedsDrop(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("t.dead", "a", "b")
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{without(t, s, "/lite/topic/drop")}})
	status, body := p.ask("POST", "/api/v1/act", `{"action":"replay","topic":"t.dead","to":"t"}`)
	if status != 502 || !strings.Contains(body, "cannot do that") {
		t.Errorf("%d %s", status, body)
	}
	if got := strings.Join(waiting(p, "t.dead"), " "); got != "a b" {
		t.Errorf("there are %s", got)
	}
	if body := p.get("/api/topics", nil); body != `{"topics":["t.dead"],"message":""}` {
		t.Errorf("topics %s", body)
	}
}

// TestPage_Discard: the topic and all its channels are empty afterwards, unless
// there is more by then than the page showed.
func TestPage_Discard(t *testing.T) {
	s := nsqtest.Start(t)
	post(t, s.HTTPAddr(), "/topic/create?topic=t.dead")
	for _, channel := range []string{"a", "b"} {
		post(t, s.HTTPAddr(), "/channel/create?topic=t.dead&channel="+channel)
	}
	s.Publish("t.dead", "x", "y")
	post(t, s.HTTPAddr(), "/topic/pause?topic=t.dead")
	s.Publish("t.dead", "z")
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}})
	if status, body := p.ask("POST", "/api/v1/act", `{"action":"discard","topic":"t.dead","depth":4}`); status != 412 || !strings.Contains(body, "There are 5 messages now") {
		t.Errorf("with less than there is: %d %s", status, body)
	}
	p.ok("POST", "/api/v1/act", `{"action":"discard","topic":"t.dead","depth":5}`)
	if topic := s.Topic("t.dead"); topic.Depth != 0 || len(topic.Channels) != 2 || topic.Channels[0].Depth != 0 || topic.Channels[1].Depth != 0 {
		t.Errorf("%+v", topic)
	}
	if status, _ := p.ask("POST", "/api/v1/act", `{"action":"discard","topic":"none"}`); status != 502 {
		t.Errorf("an unknown topic: %d", status)
	}
	if body := p.get("/api/topics", nil); body != `{"topics":["t.dead"],"message":""}` {
		t.Errorf("topics %s", body)
	}
}
