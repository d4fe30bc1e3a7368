package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// onSlowDisk makes a world whose server forces all to a disk, which takes its time:
// what it is asked is done by world.l.work.
func onSlowDisk(t *testing.T, o Options) (*world, *journaltest.Disk) {
	t.Helper()
	d := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	w := &world{t: t, l: newBareLoop(), disk: d}
	o.Sync = SyncAlways
	w.start(o)
	return w, d
}

// A fsync that fails while an operator waits for it may have taken with it what others
// have published, who wait for the next round. They are told.
func TestFsync_ThatFailsForAnOperatorIsToldToPublishers(t *testing.T) {
	for _, change := range []string{"pause", "new channel"} {
		w, d := onSlowDisk(t, Options{})
		w.subscribe("a", "c", 0).hangUp()
		w.subscribe("b", "c", 0).hangUp()
		w.sleep(time.Second)
		w.l.slow = true
		a, b := w.dial(), w.dial()
		a.send(wire.AppendPub(nil, "a", []byte("its round runs")))
		b.send(wire.AppendPub(nil, "b", []byte("waits for the next one")))
		b.want()
		d.FailNext("sync", syscall.EIO)
		w.do(func() {
			if change == "pause" {
				if err := w.s.topic("b").pause(true); err == nil {
					t.Error("the pause is not on the disk, and nobody says so")
				}
			} else if _, err := w.s.topic("b").createChannel("d"); err != nil {
				t.Errorf("a disk that fails keeps consumers away: %v", err)
			}
		})
		w.l.work()
		w.l.work()
		if got := b.frames(); len(got) != 1 || !strings.HasPrefix(got[0], "E_PUB_FAILED") || !strings.Contains(got[0], "may be kept") {
			t.Errorf("%s: the publisher hears %q", change, got)
		}
	}
}

// What a start finds finished goes soon, however long a fsync takes, and then nothing
// is forced to the disk any more.
func TestFsync_EndsWhenNothingIsLeftToDo(t *testing.T) {
	for _, takes := range []time.Duration{2 * time.Millisecond, trailDelay, 50 * time.Millisecond} {
		o := Options{MaxBytesPerFile: 2 << 10, Sync: SyncAlways}
		w, d := onSlowDisk(t, o)
		w.subscribe("t", "c", 0).hangUp()
		for i := range 300 {
			w.publish("t", fmt.Sprintf("message %06d", i))
		}
		w.sleep(time.Second)
		d.Kill()
		at := w.l.at
		w = &world{t: t, l: newBareLoop(), disk: d}
		w.l.at = at
		w.start(o)
		w.l.slow = true
		syncs := countSyncs(d)
		round := func() {
			w.sleep(takes)
			w.l.work()
		}
		q := w.subscribe("t", "c", 2500)
		for range 300 {
			for _, m := range q.messages(1) {
				q.fin(m)
			}
		}
		p := w.dial()
		for range 5 { // there is always a fsync under way
			p.send(wire.AppendPub(nil, "t", []byte("x")))
			round()
		}
		for range 50 {
			round()
		}
		if n := w.s.topic("t").j.Segments(); n != 1 {
			t.Errorf("a fsync takes %v: %d finished segments are left", takes, n-1)
		}
		*syncs = 0
		for range 200 {
			round()
		}
		if *syncs > 0 {
			t.Errorf("a fsync takes %v: %d of them while nothing is written", takes, *syncs)
		}
	}
}

// Retained files that a start has found go when their time has come, though nobody
// publishes.
func TestRetain_OfAQuietTopicAfterAStart(t *testing.T) {
	o := Options{RetainAge: time.Hour, MaxBytesPerFile: 2 << 10, DataPath: t.TempDir()}
	w := newWorld(t, o)
	p := w.subscribe("t", "c", 2500)
	for i := range 300 {
		w.publish("t", fmt.Sprintf("message %06d", i))
		for _, m := range p.messages(1) {
			p.fin(m)
		}
	}
	p.hangUp()
	w.sleep(time.Minute)
	w.stop()
	w.start(o)
	had := w.s.topic("t").j.Segments()
	w.sleep(30 * time.Minute)
	if n := w.s.topic("t").j.Segments(); n != had || n < 3 {
		t.Errorf("after half an hour %d files of %d are left", n, had)
	}
	w.sleep(time.Hour)
	if n := w.s.topic("t").j.Segments(); n != 1 {
		t.Errorf("%d files are left half an hour after their time", n)
	}
	if tp := w.s.topic("t"); slices.Contains(w.s.idle.topics, tp) {
		t.Error("the topic does not rest")
	}
}
