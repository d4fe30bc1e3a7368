package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

// statsdCollector keeps what a statsd is sent.
type statsdCollector struct {
	now     func() time.Time
	packets []string
	times   []time.Time
	closed  int
	err     error
}

func (c *statsdCollector) dial(string) (io.WriteCloser, error) { return c, c.err }
func (c *statsdCollector) Close() error                        { c.closed++; return nil }
func (c *statsdCollector) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	c.packets = append(c.packets, string(p))
	c.times = append(c.times, c.now())
	return len(p), nil
}

// take returns the lines that have come, in order.
func (c *statsdCollector) take() []string {
	all := strings.Join(c.packets, "")
	c.packets, c.times = nil, nil
	return strings.Split(strings.TrimSuffix(all, "\n"), "\n")
}

// pushing is a server that pushes to a collector.
func pushing(t *testing.T, o Options) (*world, *statsdCollector) {
	c := &statsdCollector{}
	o.StatsdAddress, o.statsdDial = "collector:8125", c.dial
	w := newWorld(t, o)
	c.now = w.l.Now
	return w, c
}

func TestStatsd_Lines(t *testing.T) { // 338, 340
	w, c := pushing(t, Options{
		BroadcastAddress: "my.host-name", BroadcastHTTPPort: 14861, StatsdPrefix: "pre.%s.x", StatsdNoMemStats: true, StatsdExcludeEphemeral: true,
		E2EProcessingLatencyPercentiles: []float64{0.99, 0.999},
	})
	p := w.subscribe("t", "c", 2)
	w.subscribe("t", "e#ephemeral", 1)
	w.publish("e#ephemeral", "x")
	w.publish("t", "abc", "de", "f")
	m := p.messages(2)
	w.sleep(2 * time.Second)
	p.fin(m[0])
	p.req(m[1], time.Hour)
	w.sleep(57 * time.Second)
	if len(c.packets) != 0 {
		t.Fatal("pushed before an interval was over")
	}
	w.sleep(time.Second)
	w.sleep(58 * time.Second)
	const pre = "pre.my_host-name_14861.x."
	want := func(lines ...string) {
		t.Helper()
		for i := range lines {
			lines[i] = pre + lines[i]
		}
		if got := c.take(); !slices.Equal(got, lines) {
			t.Errorf("pushed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
		}
	}
	e2e := fmt.Sprint(2 * time.Second.Nanoseconds()) // the largest is kept exactly
	want("topic.t.message_count:3|c", "topic.t.message_bytes:6|c", "topic.t.depth:0|g", "topic.t.backend_depth:0|g",
		"topic.t.e2e_processing_latency_100:"+e2e+"|g", "topic.t.e2e_processing_latency_99:"+e2e+"|g",
		"topic.t.channel.c.message_count:3|c", "topic.t.channel.c.depth:0|g", "topic.t.channel.c.backend_depth:0|g",
		"topic.t.channel.c.in_flight_count:1|g", "topic.t.channel.c.deferred_count:1|g",
		"topic.t.channel.c.requeue_count:1|c", "topic.t.channel.c.timeout_count:0|c", "topic.t.channel.c.clients:1|g",
		"topic.t.channel.c.e2e_processing_latency_100:"+e2e+"|g", "topic.t.channel.c.e2e_processing_latency_99:"+e2e+"|g")

	// The next push tells what has come since.
	w.publish("t", "ghij")
	w.sleep(61 * time.Second)
	w.sleep(58 * time.Second)
	got := strings.Join(c.take(), "\n")
	for _, line := range []string{"topic.t.message_count:1|c", "topic.t.message_bytes:4|c", "topic.t.channel.c.requeue_count:0|c"} {
		if !strings.Contains(got, pre+line) {
			t.Errorf("the second push lacks %s:\n%s", line, got)
		}
	}
	if c.closed == 0 {
		t.Error("connections to the collector are not closed")
	}
}

func TestStatsd_MemoryAndEphemeral(t *testing.T) { // 340
	w, c := pushing(t, Options{BroadcastAddress: "h", BroadcastHTTPPort: 1, StatsdInterval: time.Second})
	w.publish("e#ephemeral", "x")
	w.sleep(time.Second)
	w.sleep(0)
	got := strings.Join(c.take(), "\n")
	for _, key := range []string{"topic.e#ephemeral.depth:1|g", "mem.heap_objects:", "mem.heap_idle_bytes:", "mem.heap_in_use_bytes:",
		"mem.heap_released_bytes:", "mem.gc_pause_usec_100:", "mem.gc_pause_usec_99:", "mem.gc_pause_usec_95:", "mem.next_gc_bytes:", "mem.gc_runs:"} {
		if !strings.Contains(got, "nsq.h_1."+key) {
			t.Errorf("no %s in\n%s", key, got)
		}
	}
}

func TestStatsd_Datagrams(t *testing.T) { // 339
	w, c := pushing(t, Options{StatsdInterval: 11 * time.Second, StatsdUDPPacketSize: 200, StatsdPrefix: "p"})
	for i := range 10 {
		w.publish(fmt.Sprintf("topic%d", i), "x")
	}
	w.publish(strings.Repeat("x", 64), "x")
	w.sleep(11 * time.Second)
	start := w.l.Now()
	w.sleep(10 * time.Second)
	if len(c.packets) < 10 {
		t.Fatalf("%d datagrams", len(c.packets))
	}
	for i, p := range c.packets {
		if len(p) > 200 || !strings.HasPrefix(p, "p.") || !strings.HasSuffix(p, "\n") {
			t.Errorf("datagram of %d bytes: %q", len(p), p)
		}
		// Evenly over the interval but for its last second.
		at := c.times[i].Sub(start)
		if want := time.Duration(i) * 10 * time.Second / time.Duration(len(c.packets)); (at - want).Abs() > time.Millisecond {
			t.Errorf("datagram %d of %d is sent after %v, want %v", i, len(c.packets), at, want)
		}
	}
	if got := strings.Join(c.take(), "\n"); strings.Count(got, ".depth:") != 11 {
		t.Errorf("%d depths, want 11", strings.Count(got, ".depth:"))
	}
}

func TestStatsd_TooLongLines(t *testing.T) {
	w, c := pushing(t, Options{StatsdInterval: time.Second, StatsdUDPPacketSize: 60, StatsdPrefix: "p", StatsdNoMemStats: true})
	w.publish("t", "x")
	w.publish(strings.Repeat("x", 64), "x")
	w.sleep(time.Second)
	if got := strings.Join(c.take(), "\n"); strings.Contains(got, "xx") || !strings.Contains(got, "p.topic.t.depth:1|g") {
		t.Errorf("pushed\n%s", got)
	}
}

func TestStatsd_WhatIsNotSentIsToldLater(t *testing.T) {
	w, c := pushing(t, Options{StatsdInterval: time.Second, StatsdPrefix: "p", StatsdNoMemStats: true})
	c.err = errors.New("no route")
	w.publish("t", "x")
	w.sleep(3 * time.Second)
	c.err = nil
	w.publish("t", "y")
	w.sleep(time.Second)
	if got := strings.Join(c.take(), "\n"); !strings.Contains(got, "p.topic.t.message_count:2|c") {
		t.Errorf("pushed\n%s", got)
	}
	// A topic that was deleted and came again has begun again.
	w.do(func() {
		if err := w.s.deleteTopic(w.s.topic("t")); err != nil {
			t.Error(err)
		}
	})
	w.publish("t", "z")
	w.sleep(time.Second)
	if got := strings.Join(c.take(), "\n"); !strings.Contains(got, "p.topic.t.message_count:1|c") {
		t.Errorf("pushed\n%s", got)
	}
}

func TestStatsd_OnASimulatedLoop(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	l := w.Loop("nsqd")
	c := &statsdCollector{now: l.Now}
	s, err := New(l, Options{StatsdAddress: "collector:8125", statsdDial: c.dial, StatsdPrefix: "p"})
	if err != nil {
		t.Fatal(err)
	}
	w.Run(59 * time.Second)
	if len(c.packets) != 0 {
		t.Error("pushed before an interval was over")
	}
	w.Run(2 * time.Minute)
	if got := strings.Join(c.take(), "\n"); strings.Count(got, "p.mem.heap_objects:") < 2 {
		t.Errorf("pushed in three minutes:\n%s", got)
	}
	l.Do(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c.take()
	w.Run(5 * time.Minute)
	if len(c.packets) > 0 {
		t.Error("pushed after the stop")
	}
}

func TestStatsd_OverUDP(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	s := startReal(t, Options{StatsdAddress: l.LocalAddr().String(), StatsdInterval: 10 * time.Millisecond, HTTPAddress: "127.0.0.1:0", BroadcastAddress: "h"})
	if err := s.Publish("t", []byte("x")); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("nsq.h_%d.topic.t.message_count:1|c\n", portOf(s.HTTPAddr()))
	b := make([]byte, 2048)
	for {
		n, _, err := l.ReadFrom(b)
		if err != nil {
			t.Fatalf("%q has not come: %v", want, err)
		}
		if strings.Contains(string(b[:n]), want) {
			return
		}
	}
}
