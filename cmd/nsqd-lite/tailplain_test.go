package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// asNSQ serves what s does, without what NSQ's own nsqd has not.
func asNSQ(t *testing.T, s *nsqtest.Server) (address string) {
	t.Helper()
	to, err := url.Parse("http://" + s.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/topic/tap", "/topic/peek":
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"message":"NOT_FOUND"}`))
		case "/info":
			res, err := http.Get(to.String() + "/info")
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			info := map[string]any{}
			if err := json.NewDecoder(res.Body).Decode(&info); err != nil {
				t.Error(err)
			}
			delete(info, "lite_version")
			_ = json.NewEncoder(w).Encode(info)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	return front.Listener.Addr().String()
}

// TestTail_NSQsOwn: at an nsqd that has no stream, it consumes through a channel
// of its own, but for the first of a topic, which would take what waits.
func TestTail_NSQsOwn(t *testing.T) {
	s := nsqtest.Start(t)
	at := "--nsqd-http-address=" + asNSQ(t, s)
	s.Publish("t", "waits")
	r := launch(t, "", "nsqd-lite", "tail", "t", at)
	if code := <-r.code; code != exitFailed || !strings.Contains(r.err.String(), "the first one takes the 1 messages that wait") || !strings.Contains(r.err.String(), "--consume") {
		t.Errorf("no channel: exit %d %s", code, r.err)
	}
	if n := len(topicStats(t, s, "t").Channels); n != 0 {
		t.Fatalf("%d channels were made", n)
	}
	if out := launch(t, "", "nsqd-lite", "tail", "t", at, "--consume", "--count=1").wait(); out != "waits\n" {
		t.Errorf("--consume: %q", out)
	}

	s.Publish("u", "waits")
	if res, err := http.Post("http://"+s.HTTPAddr()+"/channel/create?topic=u&channel=c", "", nil); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	r = launch(t, "", "nsqd-lite", "tail", "u", at, "--count=1")
	testwait.Until(t, "the tail's channel", func() bool { return len(topicStats(t, s, "u").Channels) == 2 })
	s.Publish("u", "new")
	if out := r.wait(); out != "new\n" {
		t.Errorf("beside a channel: %q", out)
	}
	for _, c := range topicStats(t, s, "u").Channels {
		if c.ChannelName == "c" && c.Depth != 2 {
			t.Errorf("the other channel has %d messages, want 2", c.Depth)
		}
	}
}

// topicStats is what s says of a topic.
func topicStats(t *testing.T, s *nsqtest.Server, topic string) server.TopicStats {
	t.Helper()
	var st server.Stats
	if err := json.Unmarshal([]byte(get(t, "http://"+s.HTTPAddr()+"/stats?format=json&topic="+topic)), &st); err != nil || len(st.Topics) != 1 {
		t.Fatalf("stats of %s: %v", topic, err)
	}
	return st.Topics[0]
}
