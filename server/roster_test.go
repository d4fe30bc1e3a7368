package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// countOps counts what is done to a disk, by operation.
func countOps(d *journaltest.Disk) map[string]int {
	ops := map[string]int{}
	d.Fail(func(op, _ string) error { ops[op]++; return nil })
	return ops
}

// makeTopics makes n topics with two channels each.
func makeTopics(w *world, n int) {
	w.t.Helper()
	w.do(func() {
		for i := range n {
			top, err := w.s.createTopic(fmt.Sprintf("topic%03d", i))
			for _, name := range []string{"a", "b"} {
				if err == nil {
					_, err = top.createChannel(name)
				}
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}
	})
}

// A topic with two channels costs three writes and nothing else, and a start
// does nothing for each of them.
func TestRoster_OperationsOfATopic(t *testing.T) {
	const n = 100
	for _, policy := range []Sync{SyncInterval, SyncNever} {
		d := journaltest.New(rand.New(rand.NewPCG(1, 1)))
		w := newWorldOn(t, Options{Sync: policy}, d)
		ops := countOps(d)
		makeTopics(w, n)
		w.sleep(2 * time.Second) // it is synced
		if got := ops["write"]; got != 3*n {
			t.Errorf("%d writes for %d topics with 2 channels, want %d", got, n, 3*n)
		}
		delete(ops, "write")
		sum := 0
		for _, times := range ops {
			sum += times
		}
		if sum > 8 {
			t.Errorf("beside the writes %d operations for %d topics: %v", sum, n, ops)
		}
		w.kill()
		d.Kill()
		ops = countOps(d)
		w.start(w.s.o)
		w.sleep(2 * time.Second)
		if got := len(w.s.topics); got != n {
			t.Fatalf("%d topics after a start, want %d", got, n)
		}
		sum = 0
		for _, times := range ops {
			sum += times
		}
		if sum > 12 {
			t.Errorf("%d operations for a start with %d topics: %v", sum, n, ops)
		}
		w.stop()
		if sum = 0; ops["write"] != 0 || ops["create"] != 0 {
			t.Errorf("a start and a stop without a change write: %v", ops)
		}
	}
}

// The first message gives a topic its directory, and with Sync always nobody is
// told OK before a power cut leaves it, with its channels.
func TestRoster_FirstMessageIsSafe(t *testing.T) {
	for seed := range uint64(40) {
		d := journaltest.New(rand.New(rand.NewPCG(seed, 1)))
		o := Options{Sync: SyncAlways}
		w := newWorldOn(t, o, d)
		makeTopics(w, 2)
		w.publish("topic000", "x")
		d.PowerCut(rand.New(rand.NewPCG(seed, 2)))
		w.kill()
		w.start(o)
		if got, want := w.names(), "topic000(a b) topic001(a b)"; got != want {
			t.Fatalf("seed %d: topics and channels %s, want %s", seed, got, want)
		}
		for _, name := range []string{"a", "b"} {
			if depth := w.channel("topic000", name).Depth; depth != 1 {
				t.Fatalf("seed %d: channel %s has depth %d, want 1", seed, name, depth)
			}
		}
		w.stop()
	}
}

// What was deleted does not come back, and what is made again is new.
func TestRoster_DeletedTopicsStayDeleted(t *testing.T) {
	for seed := range uint64(20) {
		d := journaltest.New(rand.New(rand.NewPCG(seed, 1)))
		o := Options{Sync: SyncAlways}
		w := newWorldOn(t, o, d)
		makeTopics(w, 3)
		w.publish("topic001", "x")
		w.do(func() {
			for _, name := range []string{"topic000", "topic001"} {
				if err := w.s.deleteTopic(w.s.topic(name)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.s.createTopic("topic001"); err != nil {
				t.Fatal(err)
			}
		})
		w.sleep(time.Second)
		d.PowerCut(rand.New(rand.NewPCG(seed, 2)))
		w.kill()
		w.start(o)
		if got, want := w.names(), "topic001() topic002(a b)"; got != want {
			t.Fatalf("seed %d: topics and channels %s, want %s", seed, got, want)
		}
		w.stop()
	}
}

// Topics and channels that a damaged roster has lost come back from the list of
// topics, and the damaged file is kept.
func TestRoster_DamagedIsMadeAgainFromTheList(t *testing.T) {
	for spared := range 3 { // records of the topic that stay: none, it alone, one channel
		o := Options{DataPath: t.TempDir()}
		w := newWorld(t, o)
		makeTopics(w, 3)
		w.must(w.s.topic("topic001").channel("b").pauseOn)
		w.stop()
		path := filepath.Join(o.DataPath, datapath.RosterDir, "roster.0000000000000001")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		records := 0
		for at := range b[:len(b)-1] {
			if strings.HasPrefix(string(b[at:]), "topic+topic001") {
				if records++; records > spared {
					b[at] ^= 1
				}
			}
		}
		if records < 4 {
			t.Fatalf("the topic has %d records", records)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w.start(o)
			if got, want := w.names(), "topic000(a b) topic001(a b) topic002(a b)"; got != want {
				t.Fatalf("%d records spared: topics and channels %s, want %s", spared, got, want)
			}
			if !w.channel("topic001", "b").Paused || w.channel("topic001", "a").Paused {
				t.Errorf("%d records spared: what is paused is not what was", spared)
			}
			w.stop()
		}
		if _, err := os.Stat(path + ".aside"); err != nil {
			t.Error(err)
		}
	}
}

// A data path as it was before there were rosters, where each topic has a
// directory, with a message or without.
func TestRoster_DirectoriesOfEmptyTopicsAreTaken(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, datapath.DirName(name)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, Options{DataPath: dir})
	w.do(func() {
		if _, err := w.s.topic("a").createChannel("c"); err != nil {
			t.Fatal(err)
		}
	})
	w.publish("b", "x")
	w.kill()
	w.start(w.s.o)
	if got, want := w.names(), "a(c) b()"; got != want {
		t.Errorf("topics and channels %s, want %s", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, datapath.RosterDir)); err == nil {
		t.Error("there is a roster though every topic has a directory")
	}
}
