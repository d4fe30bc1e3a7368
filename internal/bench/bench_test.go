package main

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestScenarios_CountEveryMessage(t *testing.T) {
	want := map[string]int{
		"publish": 1000, "mpub": 1000, "consume": 1000, "both": 1000, "fanout": 2000,
		"e2e": 1000, "idle": 3, "writer": 1000, "reader": 1000,
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			c := config{n: 1000, conns: 3, inflight: 50, size: 100, batch: 10, channels: 2, rate: 20_000}
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
