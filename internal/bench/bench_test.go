package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestScenarios_CountEveryMessage(t *testing.T) {
	want := map[string]int{
		"publish": 1000, "mpub": 1000, "consume": 1000, "both": 1000, "fanout": 2000,
		"e2e": 1000, "idle": 3, "instant": 1000, "writer": 1000, "reader": 1000,
	}
	for _, s := range scenarios {
		if want[s.name] == 0 {
			continue // it needs a server of its own
		}
		t.Run(s.name, func(t *testing.T) {
			c := config{n: 1000, conns: 3, inflight: 50, size: 100, batch: 10, channels: 2, rate: 20_000, ahead: 300 * time.Millisecond}
			c.addr = nsqtest.Start(t).TCPAddr()
			if s.name == "idle" {
				c.n = 1 // milliseconds
			}
			got, err := runOnce(c, s, "", "")
			if err != nil {
				t.Fatal(err)
			}
			if got.messages != want[s.name] || got.elapsed <= 0 {
				t.Errorf("%d messages in %v, want %d", got.messages, got.elapsed, want[s.name])
			}
		})
	}
}

// The scenarios that stop and start the server come to their end, and tell
// their figures.
func TestScenarios_OfSize(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds nsqd-lite")
	}
	c := config{n: 500, size: 100, ahead: 4 * time.Second, window: time.Second, servers: list{"nsqd-lite --sync=never"}}
	lite, cleanup, err := buildLite(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cleanup)
	for name, figures := range map[string][]string{
		"waiting":  {"memory, published", "stop", "start after a stop", "start after kill"},
		"deferred": {"memory for each", "stop", "start after a stop", "start after kill", "late, 500 a second"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := find(name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := runOnce(c, s, c.servers[0], lite)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(got.notes, "\n")
			for _, figure := range figures {
				if !strings.Contains(all, figure+" ") {
					t.Errorf("no %q in\n%s", figure, all)
				}
			}
			if name == "deferred" && !strings.Contains(all, "; 0 of 500 early") {
				t.Errorf("messages came early:\n%s", all)
			}
		})
	}
}

func TestPublish_LeavesTheMessagesOnTheServer(t *testing.T) {
	s := nsqtest.Start(t)
	c := config{addr: s.TCPAddr(), n: 500, conns: 2, inflight: 10, size: 100, batch: 10}
	if _, err := runOnce(c, scenario{run: publish}, "", ""); err != nil {
		t.Fatal(err)
	}
	if got := s.Topic(topic); got.Depth != 500 || got.MessageBytes != 500*100 {
		t.Errorf("depth %d with %d bytes, want 500 with 50000", got.Depth, got.MessageBytes)
	}
}

func TestConsume_FinishesEveryMessage(t *testing.T) {
	s := nsqtest.Start(t)
	c := config{addr: s.TCPAddr(), n: 500, conns: 1, inflight: 10, size: 100}
	if _, err := runOnce(c, scenario{run: consume}, "", ""); err != nil {
		t.Fatal(err)
	}
	got := s.Channel(topic, channel)
	if got.Depth != 0 || got.InFlightCount != 0 {
		t.Errorf("depth %d and %d in flight, want none", got.Depth, got.InFlightCount)
	}
}

func TestMedian_OfEachFigure(t *testing.T) {
	got := median([]result{
		{messages: 1, elapsed: 3 * time.Second, p99: 5},
		{messages: 1, elapsed: 1 * time.Second, p99: 9},
		{messages: 1, elapsed: 2 * time.Second, p99: 7},
	})
	if got.elapsed != 2*time.Second || got.p99 != 7 || got.messages != 1 {
		t.Errorf("got %+v", got)
	}
}
