package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/datapath"
)

// filesLeft are the segments of a topic as its directory has them.
func filesLeft(t *testing.T, path, topic string) int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(path, datapath.DirName(topic), "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Large files are closed off the loop when they have lost their names, and what
// goes beyond that in one go is removed when that is done, by itself.
func TestTopic_EmptiedGivesItsFilesBackOffTheLoop(t *testing.T) {
	for mode, left := range map[Sync]int{SyncInterval: 24, SyncAlways: 24, SyncNever: 25} { // where a cursor file goes with them
		o := Options{DataPath: t.TempDir(), MaxBytesPerFile: 64, Sync: mode}
		w := newWorld(t, o)
		w.subscribe("t", "c", 0)
		for range 40 {
			w.publish("t", strings.Repeat("x", 100))
			w.sleep(time.Second)
		}
		if n := filesLeft(t, o.DataPath, "t"); n != 40 {
			t.Fatalf("%d files, want 40", n)
		}
		w.l.slow = true
		w.do(func() { w.s.byName["t"].channels[0].empty() })
		w.sleep(time.Second)
		if n := filesLeft(t, o.DataPath, "t"); n != left {
			t.Errorf("%v: %d files are left while others are being closed, want %d", mode, n, left)
		}
		for range 10 {
			w.l.work()
			w.sleep(time.Second)
		}
		if n := filesLeft(t, o.DataPath, "t"); n != 1 {
			t.Errorf("%v: %d files are left, want the one that is written", mode, n)
		}
		w.l.slow = false
	}
}

// A topic that is deleted is gone at once, with its directory; and what its files
// occupied is given back off the loop.
func TestTopic_DeletedGivesItsFilesBackOffTheLoop(t *testing.T) {
	o := Options{DataPath: t.TempDir(), MaxBytesPerFile: 64, Sync: SyncNever}
	w := newWorld(t, o)
	for range 40 {
		w.publish("t", strings.Repeat("x", 100))
	}
	w.l.slow = true
	w.do(func() {
		if err := w.s.deleteTopic(w.s.byName["t"]); err != nil {
			t.Fatal(err)
		}
	})
	dir := filepath.Join(o.DataPath, datapath.DirName("t"))
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory of a deleted topic: %v", err)
	}
	if n := len(w.l.queue); n != 1 {
		t.Errorf("%d works off the loop, want the one that closes 40 files", n)
	}
	w.publish("t", "y") // the new one has nothing to do with it
	w.l.work()
	if n := filesLeft(t, o.DataPath, "t"); n != 1 {
		t.Errorf("%d files of the new topic, want 1", n)
	}
	w.l.slow = false
}
