package server

import (
	"encoding/json"
	"net/url"
	"testing"
)

// waitingIn are the messages that no channel of a topic was given.
func waitingIn(t *testing.T, s *Server, topic string) (all []messageJSON) {
	t.Helper()
	var out topicPeekJSON
	a := ask(t, s, "GET", "/topic/peek?from=waiting&count=1000&topic="+topic, "")
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return out.Messages
}

// TestTopicDrop_SeenOnly: what was seen is dropped, what has come since is not,
// also after a start on the same files.
func TestTopicDrop_SeenOnly(t *testing.T) {
	dir := t.TempDir()
	s := startHTTP(t, Options{DataPath: dir})
	for _, body := range []string{"a", "b", "c"} {
		ask(t, s, "POST", "/pub?topic=t", body)
	}
	ask(t, s, "POST", "/pub?topic=t&defer=60000", "later")
	seen := waitingIn(t, s, "t")
	if len(seen) != 4 {
		t.Fatalf("%d messages wait", len(seen))
	}
	ask(t, s, "POST", "/pub?topic=t", "d")
	drop := func(id string) answer {
		return ask(t, s, "POST", "/lite/topic/drop?topic=t&through="+url.QueryEscape(id), "")
	}
	if a := drop(seen[1].ID); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if left := waitingIn(t, s, "t"); len(left) != 3 || left[0].Body != "c" {
		t.Errorf("after two were dropped: %+v", left)
	}
	if a := drop(seen[1].ID); a.status != 409 {
		t.Errorf("what was dropped before: %d %s", a.status, a.body)
	}
	if a := drop(seen[3].ID); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = startHTTP(t, Options{DataPath: dir})
	left := waitingIn(t, s, "t")
	if len(left) != 1 || left[0].Body != "d" {
		t.Errorf("after a start: %+v", left)
	}
	st, err := s.Stats(StatsOptions{})
	if err != nil || st.Topics[0].Depth != 1 {
		t.Errorf("depth %+v, %v", st.Topics, err)
	}
	// What a channel has is the channel's.
	ask(t, s, "POST", "/channel/create?topic=t&channel=c", "")
	if a := drop(left[0].ID); a.status != 409 {
		t.Errorf("a channel's message: %d %s", a.status, a.body)
	}
	for path, want := range map[string]int{
		"?topic=t": 400, "?topic=t&through=7": 400, "?topic=t&through=ZZZZZZZZZZZZZZZZ": 400, "?through=" + left[0].ID: 400,
		"?topic=none&through=" + left[0].ID: 404,
	} {
		if a := ask(t, s, "POST", "/lite/topic/drop"+path, ""); a.status != want {
			t.Errorf("%s: %d %s, want %d", path, a.status, a.body, want)
		}
	}
}
