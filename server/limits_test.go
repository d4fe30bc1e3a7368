package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// An address makes so many topics that are there at the same time, whatever the
// number of its connections; those that are there are open to it.
func TestOrigin_MakesOnlySoManyTopics(t *testing.T) {
	w := newWorld(t, Options{MaxTopicsPerClient: 2})
	const refusal = "E_PUB_FAILED PUB failed this address has made 2 topics that are still there, as many as it may (--max-topics-per-client)"
	for _, name := range []string{"a", "b", "a"} {
		p := w.dialFrom("10.0.0.2")
		p.pub(name, "x")
		p.want("OK")
		p.hangUp()
	}
	p := w.dialFrom("10.0.0.2")
	p.pub("c", "x")
	p.wantClosed(refusal)
	other := w.dialFrom("10.0.0.3")
	other.pub("c", "x")
	other.want("OK")
	w.do(func() {
		if err := w.s.deleteTopic(w.s.topic("a")); err != nil {
			t.Error(err)
		}
	})
	p = w.dialFrom("10.0.0.2")
	p.pub("d", "x")
	p.want("OK")
}

// Unfinished commands of one address take half the budget at most; others, and
// commands that come whole, are served.
func TestBudget_UnfinishedCommandsAreRefusedByName(t *testing.T) {
	w := newWorld(t, Options{MaxMemory: minMemory})
	part := "PUB t\n\x00\x10\x00\x00" + strings.Repeat("x", 1<<20-1)
	refused := 0
	var all []*peer
	for range 8 {
		p := w.dialFrom("10.0.0.2")
		p.sendString(part)
		if p.closed() {
			refused++
			p.want("E_PUB_FAILED PUB failed " + errNoMemory.Error())
		}
		all = append(all, p)
	}
	if refused == 0 {
		t.Error("nobody was refused")
	}
	if used := w.s.budget.used.Load(); used > w.s.budget.limit {
		t.Errorf("%d bytes are held, the limit is %d", used, w.s.budget.limit)
	}
	canary := w.dialFrom("10.0.0.3")
	canary.pub("t", "tweet")
	canary.want("OK")
	canary.hangUp()
	for _, p := range all {
		if !p.closed() {
			p.hangUp()
		}
	}
	w.do(func() {})
	if got := w.s.budget.used.Load() - w.topicHeld(); got != 0 {
		t.Errorf("%d bytes are still held for clients that have gone", got)
	}
}

// topicHeld is what topics and channels have of the budget.
func (w *world) topicHeld() (n int64) {
	for _, t := range w.s.topics {
		n += topicCost + t.held + int64(len(t.channels))*channelCost
	}
	return n
}

// A command has 30 s from its first byte, also when there are no heartbeats,
// and the first one has 10 s.
func TestConn_UnfinishedCommandsHaveADeadline(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	w.sleep(firstTimeout - time.Second)
	if p.closed() {
		t.Fatal("closed too early")
	}
	w.sleep(time.Second)
	if !p.closed() {
		t.Error("open without a first command")
	}
	p = w.dial()
	p.identify(`{"heartbeat_interval":-1}`)
	p.want("OK")
	w.sleep(time.Hour)
	p.sendString("PUB t\n\x00\x00\x00\x05ab")
	w.sleep(wholeTimeout - time.Second)
	p.sendString("c")
	if p.closed() {
		t.Fatal("closed too early")
	}
	w.sleep(time.Second)
	p.wantClosed("E_BAD_MESSAGE PUB failed to read message body")
}

// What a client does is logged up to a number of bytes a minute.
func TestOrigin_LogsOnlySoMuch(t *testing.T) {
	var o origin
	a := &origins{l: newBareLoop(), log: newWorld(t, Options{}).s.log}
	written := 0
	for a.mayLog(&o, 1000) {
		written += 1000
	}
	if written > logPerMinute || written < logPerMinute-1000 || o.quiet != 1 {
		t.Errorf("%d bytes were written, %d lines left out", written, o.quiet)
	}
}

// An answer for which there is no memory is not begun, and those that are
// shorter are given.
func TestLookupd_LongAnswersAreRefused(t *testing.T) {
	g := newLookupdRig(t, LookupdOptions{MaxMemory: minLookupdMemory})
	p := g.join("a")
	for i := range 40 {
		var lines strings.Builder
		for j := range 100 {
			fmt.Fprintf(&lines, "REGISTER topic-with-a-long-name-%d c%d\n", i, j)
		}
		p.send(lines.String())
	}
	p.replies()
	g.want("GET", "/debug", 503, "TOO_BUSY")
	if got := g.producers("topic-with-a-long-name-1"); !strings.HasPrefix(got, "a|c0 ") {
		t.Errorf("lookup: %s", got)
	}
	if rec := g.l.http(g.d.Handler(), "GET", "/topics"); rec.Code != 200 {
		t.Errorf("topics: %d", rec.Code)
	}
	known, registered := g.d.reg.Size()
	if want := int64(known)*knownCost + int64(registered)*registeredCost + connCost + producerCost; g.d.budget.used.Load() != want {
		t.Errorf("%d bytes are held, want %d", g.d.budget.used.Load(), want)
	}
}
