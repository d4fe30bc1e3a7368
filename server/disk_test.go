package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// onDisk makes options for a server whose journals are on a disk that can fail.
// The directories of the topics are real, and empty.
func onDisk(t *testing.T, o Options) (*journaltest.Disk, Options) {
	d := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	o.DataPath = t.TempDir()
	o.fs = func(dir string) journal.FS { return d.Dir(filepath.Base(dir)) }
	return d, o
}

// failing makes every operation of that name fail.
func failing(op string, err error) func(string, string) error {
	return func(got, _ string) error {
		if got == op {
			return err
		}
		return nil
	}
}

// countSyncs counts the fsyncs of files from now on.
func countSyncs(d *journaltest.Disk) *int {
	n := new(int)
	d.Fail(func(op, _ string) error {
		if op == "sync" {
			*n++
		}
		return nil
	})
	return n
}

var errFull = errors.New("no space left on device")

func TestDisk_FailedWriteRefusesThePublish(t *testing.T) {
	for _, tc := range []struct {
		in   []byte
		want string
	}{
		{wire.AppendPub(nil, "t", []byte("x")), "E_PUB_FAILED PUB failed "},
		{wire.AppendMPub(nil, "t", [][]byte{[]byte("x"), []byte("y")}), "E_MPUB_FAILED MPUB failed "},
		{wire.AppendDPub(nil, "t", time.Second, []byte("x")), "E_DPUB_FAILED DPUB failed "},
	} {
		d, o := onDisk(t, Options{})
		w := newWorld(t, o)
		w.publish("t", "before")
		w.subscribe("t", "c", 0)
		p := w.dial()
		d.Fail(failing("write", errFull))
		p.send(tc.in)
		got := p.frames()
		if len(got) != 1 || !strings.HasPrefix(got[0], tc.want) || !strings.Contains(got[0], errFull.Error()) || !p.closed() {
			t.Errorf("answered %q, closed %v; want %q and the disk's words, and the end", got, p.closed(), tc.want)
		}
		if err := w.s.health(); !errors.Is(err, errFull) {
			t.Errorf("health is %v", err)
		}
		d.Fail(nil)
		w.publish("t", "after")
		if err := w.s.health(); err != nil {
			t.Errorf("health after a good write is %v", err)
		}
		if st := w.topic("t"); st.MessageCount != 2 || st.Channels[0].Depth != 2 {
			t.Errorf("%d messages counted, depth %d; want 2 and 2", st.MessageCount, st.Channels[0].Depth)
		}
	}
}

// What was published to another topic in the same turn is kept, and the replies
// stay in order.
func TestDisk_FailureHitsOneTopicOnly(t *testing.T) {
	d, o := onDisk(t, Options{})
	w := newWorld(t, o)
	w.publish("good", "x")
	w.publish("bad", "x")
	d.Fail(func(op, name string) error {
		if op == "write" && strings.Contains(name, "bad") {
			return errFull
		}
		return nil
	})
	p := w.dial()
	in := wire.AppendPub(nil, "good", []byte("1"))
	in = wire.AppendPub(in, "good", []byte("2"))
	in = wire.AppendPub(in, "bad", []byte("3"))
	in = wire.AppendPub(in, "good", []byte("4"))
	p.send(in)
	got := p.frames()
	if len(got) != 3 || got[0] != "OK" || got[1] != "OK" || !strings.HasPrefix(got[2], "E_PUB_FAILED") {
		t.Errorf("answered %q", got)
	}
	d.Fail(nil)
	if n := w.topic("good").Depth; n != 4 {
		t.Errorf("depth of the good topic %d, want 4", n)
	}
}

func TestDisk_ConsumersGoOnWhileItIsFull(t *testing.T) {
	d, o := onDisk(t, Options{})
	w := newWorld(t, o)
	w.publish("t", "1", "2", "3", "4")
	p := w.subscribe("t", "c", 1)
	d.Fail(failing("write", errFull))
	for i := range 4 {
		p.fin(p.message(fmt.Sprint(i+1), 1))
	}
	q := w.subscribe("new", "c", 0) // even a new channel can be had
	q.want()
	w.sleep(time.Second)
	d.Fail(nil)
	w.sleep(100 * time.Millisecond) // by itself, without a publish
	if err := w.s.health(); err != nil {
		t.Errorf("health is %v though the disk has room again", err)
	}
	d.Kill()
	w.kill()
	w.start(o)
	if st := w.channel("t", "c"); st.Depth != 0 || st.InFlightCount != 0 {
		t.Errorf("finished messages came back: %+v", st)
	}
}

// The memory of ephemeral topics says nothing about the disk.
func TestDisk_EphemeralTopicsDoNotNeedIt(t *testing.T) {
	d, o := onDisk(t, Options{})
	w := newWorld(t, o)
	w.publish("t", "x")
	d.Fail(failing("write", errFull))
	p := w.dial()
	p.pub("t", "x")
	p.frames()
	w.publish("t#ephemeral", "x")
	if w.s.health() == nil {
		t.Error("a message in memory made the disk healthy")
	}
	d.Fail(nil)
}

func TestSync_AlwaysAnswersAfterTheFsync(t *testing.T) {
	d, o := onDisk(t, Options{Sync: SyncAlways})
	w := newWorld(t, o)
	w.publish("t", "first")
	w.l.slow = true
	p := w.dial()
	p.pub("t", "a")
	p.pub("t", "b")
	p.send(wire.AppendSub(nil, "t", "c")) // waits: its OK is the third
	p.pub("t", "d")
	p.want()
	before := d.Ops()
	w.l.work() // covers a; b has come since
	w.offer()
	p.want("OK")
	w.l.work()
	w.offer()
	p.want("OK", "OK") // b, SUB
	w.l.work()
	w.offer()
	p.want("OK")
	if n := d.Ops() - before; n > 20 {
		t.Errorf("%d operations", n)
	}
	w.l.slow = false
}

// A fsync that fails may drop what was written while it waited, too, and no later
// one would bring that back: all of it is refused.
func TestSync_WhatCameDuringAFsyncThatFailsIsRefused(t *testing.T) {
	d, o := onDisk(t, Options{Sync: SyncAlways})
	w := newWorld(t, o)
	w.publish("t", "first")
	w.l.slow = true
	for _, body := range []string{"before", "meanwhile"} { // the second one is not of the fsync's round
		p := w.dial()
		p.pub("t", body)
		defer func() {
			if got := p.frames(); len(got) != 1 || !strings.HasPrefix(got[0], "E_PUB_FAILED PUB failed the message may be kept") {
				t.Errorf("%s: answered %q, want E_PUB_FAILED", body, got)
			}
		}()
	}
	d.Fail(failing("sync", errFull))
	w.l.work()
	d.Fail(nil)
	w.l.slow = false
	w.l.work()
	w.offer()
	w.publish("t", "later")
}

// A client is not given up for a silence that is the disk's.
func TestSync_SlowDiskDoesNotCostTheConnection(t *testing.T) {
	_, o := onDisk(t, Options{Sync: SyncAlways})
	w := newWorld(t, o)
	w.l.slow = true
	p := w.dial()
	p.identify(`{"heartbeat_interval":1000}`)
	p.want("OK")
	p.pub("t", "x")
	p.send(wire.AppendSub(nil, "t", "c"))
	w.sleep(5 * time.Second)
	if p.closed() {
		t.Fatal("closed while its publish waited for the disk")
	}
	for range 2 { // the data path, where the topic is new, and the topic
		w.l.work()
		w.offer()
	}
	got := p.frames()
	if n := len(got); n < 3 || got[n-1] != wire.OK || got[n-2] != wire.OK {
		t.Errorf("received %q, want two OKs at the end", got)
	}
	w.l.slow = false
}

// Deliveries alone are written down a little later, answers at once.
func TestDisk_DeliveriesAreWrittenTogether(t *testing.T) {
	d, o := onDisk(t, Options{})
	w := newWorld(t, o)
	w.publish("t", "1", "2", "3", "4")
	p := w.subscribe("t", "c", 0)
	w.sleep(20 * time.Millisecond)
	before := d.Ops()
	for i := range 4 {
		p.rdy(i + 1)
	}
	m := p.messages(4)[0]
	if n := d.Ops() - before; n != 0 {
		t.Errorf("%d operations for four deliveries in four turns", n)
	}
	p.fin(m)
	if n := d.Ops() - before; n != 1 {
		t.Errorf("%d operations up to the FIN, want 1", n)
	}
	p.rdy(0)
	before = d.Ops()
	p.rdy(1)
	w.sleep(20 * time.Millisecond)
	if n := d.Ops() - before; n != 0 {
		t.Errorf("%d operations for nothing", n)
	}
}

// While a fsync runs, publishes gather, and share the next one.
func TestSync_AlwaysGathersPublishers(t *testing.T) {
	d, o := onDisk(t, Options{Sync: SyncAlways})
	w := newWorld(t, o)
	w.publish("t", "first")
	w.l.slow = true
	syncs := countSyncs(d)
	var ps []*peer
	for range 20 {
		p := w.dial()
		p.pub("t", "x")
		ps = append(ps, p)
	}
	w.l.work()
	ps[0].want("OK")
	w.l.work()
	for _, p := range ps[1:] {
		p.want("OK")
	}
	if *syncs > 4 { // two files, two rounds
		t.Errorf("%d fsyncs for 20 publishers in two rounds", *syncs)
	}
	w.l.slow = false
}

func TestSync_AlwaysFailureIsTold(t *testing.T) {
	d, o := onDisk(t, Options{Sync: SyncAlways})
	w := newWorld(t, o)
	w.publish("t", "x")
	p := w.dial()
	errIO := errors.New("input/output error")
	d.Fail(failing("sync", errIO))
	p.pub("t", "y")
	got := p.frames()
	if len(got) != 1 || !strings.HasPrefix(got[0], "E_PUB_FAILED PUB failed") || !strings.Contains(got[0], errIO.Error()) || !p.closed() {
		t.Errorf("answered %q, closed %v", got, p.closed())
	}
	if !errors.Is(w.s.health(), errIO) {
		t.Errorf("health is %v", w.s.health())
	}
	d.Fail(nil)
	w.publish("t", "z")
	if err := w.s.health(); err != nil {
		t.Errorf("health is %v", err)
	}
}

func TestSync_AlwaysSurvivesAPowerCut(t *testing.T) {
	for seed := range uint64(20) {
		d, o := onDisk(t, Options{Sync: SyncAlways})
		w := newWorld(t, o)
		w.publish("t", "0")
		w.subscribe("t", "c", 0)
		p := w.dial()
		for i := range 30 {
			p.pub("t", fmt.Sprint(i+1))
			p.want("OK")
		}
		w.must(w.s.topic("t").channel("c").pauseOn)
		d.PowerCut(rand.New(rand.NewPCG(seed, 0)))
		w.kill()
		w.start(o)
		if st := w.channel("t", "c"); st.Depth != 31 || !st.Paused {
			t.Errorf("seed %d: depth %d, paused %v; want 31, true", seed, st.Depth, st.Paused)
		}
	}
}

func TestSync_IntervalForcesWhatWasWritten(t *testing.T) {
	d, o := onDisk(t, Options{})
	w := newWorld(t, o)
	w.publish("t", "x")
	w.sleep(2 * time.Second)
	before := d.Ops()
	w.sleep(time.Hour)
	if n := d.Ops() - before; n != 0 {
		t.Errorf("%d operations of a server without traffic", n)
	}
	p := w.dial()
	p.pub("t", "y")
	p.want("OK") // at once
	w.sleep(999 * time.Millisecond)
	synced := 0
	d.Fail(func(op, _ string) error {
		if op == "sync" {
			synced++
		}
		return nil
	})
	w.sleep(2 * time.Millisecond)
	if synced == 0 {
		t.Error("nothing was forced to the disk within the interval")
	}
}

func TestSync_NeverForcesNothing(t *testing.T) {
	d, o := onDisk(t, Options{Sync: SyncNever})
	w := newWorld(t, o)
	w.publish("t", "x")
	d.Fail(func(op, name string) error {
		if op == "sync" {
			t.Errorf("fsync of %s", name)
		}
		return nil
	})
	w.publish("t", "y")
	w.sleep(time.Minute)
	d.Fail(nil)
}

// A topic with nothing to do gives its files back, and goes on as if nothing had
// been.
func TestIdle_TopicsRestAndWakeUp(t *testing.T) {
	_, o := onDisk(t, Options{})
	w := newWorld(t, o)
	w.publish("t", "x")
	w.sleep(time.Minute)
	if n := len(w.s.idle.topics); n != 0 || w.s.idle.armed {
		t.Errorf("%d topics are awake, timer %v", n, w.s.idle.armed)
	}
	p := w.subscribe("t", "c", 1)
	m := p.message("x", 1)
	w.sleep(25 * time.Second)
	p.fin(m)
	w.publish("t", "y")
	p.want("y/1")
}

func TestOptions_AreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"Sync": {Sync: "sometimes"}, "MsgTimeout": {MsgTimeout: -1}, "MaxMsgSize": {MaxMsgSize: -1},
		"MaxDeflateLevel": {MaxDeflateLevel: 10}, "SyncTimeout": {SyncTimeout: -1},
	} {
		if _, err := New(newBareLoop(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a bad %s: %v", name, err)
		}
	}
	o, err := Options{MemQueueSize: -1}.withDefaults()
	if err != nil || o.MemQueueSize != 0 || o.MaxRdyCount != 2500 {
		t.Errorf("defaults %+v, %v", o, err)
	}
}

// A topic that was deleted does not come back with its messages, its channels
// and its pause because the disk would not remove its files.
func TestDisk_WhatWasDeletedStaysAway(t *testing.T) {
	d, o := onDisk(t, Options{})
	w := newWorld(t, o)
	w.publish("t", "old")
	w.subscribe("t", "c", 0)
	w.must(func() error { return w.s.topic("t").pause(true) })
	d.Fail(failing("removeall", errFull))
	w.do(func() {
		if err := w.s.deleteTopic(w.s.topic("t")); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "made again or the server stops") {
			t.Errorf("deleting ended with %v, want the disk's error, and what comes of the files", err)
		}
	})
	p := w.dial()
	p.send(wire.AppendPub(nil, "t", []byte("x")))
	if got := p.frames(); len(got) != 1 || !strings.HasPrefix(got[0], "E_PUB_FAILED") || !strings.Contains(got[0], errFull.Error()) {
		t.Errorf("a publish while the files cannot be removed is answered %q", got)
	}
	d.Fail(nil)
	w.publish("t", "new")
	if st := w.topic("t"); st.MessageCount != 1 || st.Depth != 1 || st.Paused || len(st.Channels) != 0 {
		t.Errorf("the topic made again is %+v; want one message, no channel, no pause", st)
	}
}

func TestDisk_WhatWasDeletedIsRemovedAtTheStop(t *testing.T) {
	d, o := onDisk(t, Options{})
	w := newWorld(t, o)
	w.publish("t", "old")
	d.Fail(failing("removeall", errFull))
	w.do(func() {
		if err := w.s.deleteTopic(w.s.topic("t")); err == nil {
			t.Error("the files were removed, though the disk fails")
		}
	})
	d.Fail(nil)
	w.stop()
	for _, left := range d.Files() {
		if !strings.HasPrefix(left, datapath.RosterDir+"/") {
			t.Errorf("after the stop there is %q", left)
		}
	}
}

// A channel can be had while its journal cannot be written, and then nothing is
// acknowledged that it would be owed: a kill takes the channel, and whoever makes it
// again after another one would not be given the message. Here a loss of power has
// damaged the file of the channels, and the disk fails since.
func TestDisk_NothingIsAcknowledgedForAChannelInNoFile(t *testing.T) {
	d, o := onDisk(t, Options{Sync: SyncNever})
	w := newWorld(t, o)
	w.subscribe("t", "a", 0)
	w.subscribe("t", "b", 0)
	w.kill()
	d.Kill()
	channelFile := func(path string) bool {
		return strings.Contains(path, "/cursors.") || strings.HasPrefix(path, datapath.RosterDir+"/")
	}
	for _, path := range d.Files() {
		if channelFile(path) {
			d.ZeroPage(path, 0)
		}
	}
	if err := os.Remove(filepath.Join(o.DataPath, datapath.ListFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	w.start(o)
	d.Fail(func(op, name string) error {
		if op == "write" && channelFile(name) {
			return errFull
		}
		return nil
	})
	w.subscribe("t", "a", 0)
	w.subscribe("t", "b", 0)
	var acknowledged []string
	publish := func(body string) {
		p := w.dial()
		p.pub("t", body)
		if got := p.frames(); len(got) == 1 && got[0] == "OK" {
			acknowledged = append(acknowledged, body)
		}
	}
	publish("while it fails")
	if st := w.topic("t"); len(acknowledged) > 0 || st.MessageCount > 0 {
		t.Errorf("%q acknowledged, %d messages, and the channels are in no file", acknowledged, st.MessageCount)
	}
	if err := w.s.health(); !errors.Is(err, errFull) {
		t.Errorf("health is %v", err)
	}
	d.Fail(nil)
	w.sleep(100 * time.Millisecond) // by itself
	publish("after that")
	if len(acknowledged) == 0 {
		t.Error("still refused, and the disk is well again")
	}
	w.kill()
	d.Kill()
	w.start(o)
	for _, name := range []string{"a", "b"} {
		w.subscribe("t", name, 0)
		if n := w.channel("t", name).Depth; n != int64(len(acknowledged)) {
			t.Errorf("channel %s has %d messages after a kill, want %d: %q", name, n, len(acknowledged), acknowledged)
		}
	}
}

// What a write that failed has stored and could not be cut off may be found by the
// next start: its publisher must not be told that nothing was kept.
func TestDisk_WhatCannotBeTakenBackMayBeKept(t *testing.T) {
	d, o := onDisk(t, Options{})
	w := newWorld(t, o)
	w.publish("t", "before")
	w.subscribe("t", "c", 0)
	fails := func() {
		d.FailNext("write", journaltest.Torn(errFull))
		d.FailNext("truncate", errFull)
	}
	fails()
	p := w.dial()
	p.send(wire.AppendMPub(nil, "t", [][]byte{[]byte("x"), []byte("y")}))
	if got := p.frames(); len(got) != 1 || !strings.HasPrefix(got[0], "E_MPUB_FAILED MPUB failed "+wire.MayBeKept) {
		t.Errorf("answered %q", got)
	}
	w.sleep(100 * time.Millisecond) // it is cut off meanwhile
	fails()
	told := errors.New("nothing")
	w.do(func() { w.s.topic("t").publish([][]byte{[]byte("z")}, 0, func(err error) { told = err }) })
	if !errors.Is(told, errMayBeKept) {
		t.Errorf("a publisher over HTTP is told %v", told)
	}
	w.publish("t", "after")
	if n := w.channel("t", "c").Depth; n != 2 {
		t.Errorf("depth %d, want 2", n)
	}
}

// A cursor file that is begun anew in pieces becomes whole also when nothing more
// happens to its topic.
func TestDisk_NewCursorFileIsWrittenToItsEnd(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	w := newWorldOn(t, Options{}, disk)
	w.subscribe("t", "c", 0)
	w.sleep(time.Second)
	top := w.s.topic("t")
	bodies := slices.Repeat([][]byte{[]byte("x")}, 1000)
	for i := 0; !top.j.Rewriting(); i++ {
		if i == 100 {
			t.Fatal("no new cursor file is begun")
		}
		w.do(func() { top.publish(bodies, w.l.at.Add(time.Hour).UnixNano(), func(error) {}) })
		w.sleep(trailDelay)
	}
	w.sleep(10 * time.Second)
	if top.j.Rewriting() || top.j.Dirty() {
		t.Errorf("after a while: being written %v, something to write %v", top.j.Rewriting(), top.j.Dirty())
	}
	for _, name := range disk.Files() {
		if strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s is left", name)
		}
	}
}
