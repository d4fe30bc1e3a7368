package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// remembering starts a server on a disk, has a publisher store t 1, t 2 and u 3
// there, and returns its token.
func remembering(t *testing.T, o Options) (w *world, token string) {
	t.Helper()
	w = newWorldOn(t, o, journaltest.New(rand.New(rand.NewPCG(1, 1))))
	p := w.dial()
	token = p.join(somePublisher)
	p.send(numbered("t 1 a", "t 2 b", "u 3 x"))
	p.want("OK", "OK", "OK")
	return w, token
}

// comesBack connects as the publisher, and says whether it is remembered.
func (w *world) comesBack(token string) (p *peer, known bool) {
	w.t.Helper()
	p = w.dial()
	return p, p.join(somePublisher) == token
}

const remembered = publishersDir + "/" + publishersFile

// An orderly stop forgets nobody: what is there is confirmed and not stored again,
// what is new is stored. A kill forgets everybody, also after a stop, and so does a
// stop after which the time of the publisher was over.
func TestPublisher_Restart(t *testing.T) {
	w, token := remembering(t, Options{})
	for i := range 3 {
		w.stop()
		w.start(Options{})
		p, known := w.comesBack(token)
		if !known {
			t.Fatalf("forgotten after %d restarts", i+1)
		}
		p.send(numbered("t 1 a", "t 2 b", "u 3 x", fmt.Sprint("t ", i+4, " new")))
		p.want("OK", "OK", "OK", "OK")
		if got := w.stored(); got != "t1 u0" { // since the start
			t.Errorf("stored %q, want t1 u0", got)
		}
	}
	if got := w.measured().repeats; got != 3 {
		t.Errorf("%d repeated, want 3", got)
	}
	w.kill()
	w.start(Options{})
	if _, known := w.comesBack(token); known {
		t.Error("remembered after a kill, of which nobody knows what it has cost")
	}
}

// Nobody is remembered for longer than without a restart, and what they hold is
// given back.
func TestPublisher_RestartAndWindow(t *testing.T) {
	w, _ := remembering(t, Options{})
	w.stop()
	w.start(Options{})
	if held := w.s.budget.used.Load(); len(w.s.publishers.all) != 1 || held < publisherCost+2*markCost {
		t.Errorf("%d publishers, %d bytes held", len(w.s.publishers.all), held)
	}
	before := w.s.budget.used.Load()
	w.sleep(publisherWindow + publisherSweep)
	if n, gave := len(w.s.publishers.all), before-w.s.budget.used.Load(); n != 0 || gave != publisherCost+2*markCost {
		t.Errorf("%d publishers are left and %d bytes given back", n, gave)
	}
	w.stop()

	w, token := remembering(t, Options{})
	w.stop()
	w.l.sleep(publisherWindow)
	w.start(Options{})
	if _, known := w.comesBack(token); known {
		t.Error("remembered though it was away for too long")
	}
}

// A publisher that has come back counts for its address, and until then for nobody.
func TestPublisher_RestartAndOrigins(t *testing.T) {
	w, token := remembering(t, Options{})
	w.stop()
	w.start(Options{})
	p, known := w.comesBack(token)
	if !known || p.c.origin.publishers != 1 {
		t.Errorf("known %v, counted %d times", known, p.c.origin.publishers)
	}
	p.hangUp()
	from := p.c.origin
	w.sleep(publisherWindow + publisherSweep)
	if from.publishers != 0 {
		t.Errorf("counted %d times when it is forgotten", from.publishers)
	}
}

// What a topic had that is gone, in memory alone, or not as it was, is doubtful
// after a restart; the others are known.
func TestPublisher_RestartWithoutItsTopic(t *testing.T) {
	doubtful := "E_PUB_DOUBTFUL PUB failed " + errDoubtful.Error()
	for name, row := range map[string]struct {
		topic string
		away  func(w *world, d *journaltest.Disk)
	}{
		"gone": {"t", func(w *world, d *journaltest.Disk) {
			f := d.Content(remembered)
			w.start(Options{})
			w.must(func() error { return w.s.deleteTopic(w.s.topic("t")) })
			w.stop()
			put(t, d, f)
		}},
		"in memory": {"t#ephemeral", func(*world, *journaltest.Disk) {}},
		"deleted":   {"deleted", func(*world, *journaltest.Disk) {}},
		"more": {"t", func(w *world, d *journaltest.Disk) {
			f := d.Content(remembered)
			w.start(Options{})
			w.publish("t", "by a program that knows no publishers")
			w.stop()
			put(t, d, f)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w, token := remembering(t, Options{})
			if row.topic != "t" {
				p, _ := w.comesBack(token)
				p.send(numbered(row.topic + " 4 b"))
				p.want("OK")
			}
			if name == "deleted" {
				w.must(func() error { return w.s.deleteTopic(w.s.topic("deleted")) })
			}
			w.stop()
			row.away(w, w.disk.(*journaltest.Disk))
			w.start(Options{})
			p, known := w.comesBack(token)
			if !known {
				t.Fatal("forgotten")
			}
			p.send(numbered(row.topic+" 2 b", "u 3 x", row.topic+" 9 new"))
			p.want(doubtful, "OK", "OK")
		})
	}
}

// put writes the file.
func put(t *testing.T, d journal.Disk, content []byte) {
	t.Helper()
	f, err := d.Dir(publishersDir).Open(publishersFile, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file that is cut off, damaged or of another version forgets everybody, and no
// start fails because of it. It is gone then, whatever it was.
func TestPublisher_RestartWithADamagedFile(t *testing.T) {
	w, token := remembering(t, Options{})
	w.stop()
	d := w.disk.(*journaltest.Disk)
	whole := slices.Clone(d.Content(remembered))
	damaged := [][]byte{nil, []byte(strings.Replace(string(whole), "publishers 1", "publishers 2", 1)), append(slices.Clone(whole), ' ')}
	for n := range whole {
		flipped := slices.Clone(whole)
		flipped[n] ^= 1
		damaged = append(damaged, whole[:n], flipped)
	}
	for i, content := range damaged {
		put(t, d, content)
		w.start(Options{})
		if _, known := w.comesBack(token); known {
			t.Errorf("%d: remembered from %q", i, content)
		}
		w.kill()
		if slices.Contains(d.Files(), remembered) {
			t.Fatalf("%d: the file is still there", i)
		}
	}
	put(t, d, whole)
	w.start(Options{})
	if _, known := w.comesBack(token); !known {
		t.Error("forgotten by the whole file")
	}
}

// A file that cannot be taken away is not used, and one that cannot be written
// stops no server. A start that fails leaves it for the next one.
func TestPublisher_RestartOnABadDisk(t *testing.T) {
	for _, op := range []string{"remove", "syncdir", "open", "read"} {
		w, token := remembering(t, Options{})
		w.stop()
		d := w.disk.(*journaltest.Disk)
		failed := 0
		d.Fail(func(got, name string) error {
			if got == op && strings.HasPrefix(name, publishersDir) {
				failed++
				return errFull
			}
			return nil
		})
		w.start(Options{})
		if _, known := w.comesBack(token); known || failed == 0 {
			t.Errorf("%s fails %d times: remembered is %v", op, failed, known)
		}
	}
	for _, op := range []string{"create", "write"} {
		w, token := remembering(t, Options{})
		d := w.disk.(*journaltest.Disk)
		failed := 0
		d.Fail(func(got, name string) error {
			if got == op && strings.HasPrefix(name, publishersDir) {
				failed++
				return errFull
			}
			return nil
		})
		w.stop()
		d.Fail(nil)
		w.start(Options{})
		if _, known := w.comesBack(token); known || failed == 0 {
			t.Errorf("%s failed %d times: remembered is %v", op, failed, known)
		}
	}
	w, token := remembering(t, Options{})
	w.stop()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := NewOnDisk(w.l, Options{HTTPAddress: taken.Addr().String()}, w.disk); err == nil {
		t.Fatal("started on an address that is taken")
	}
	w.start(Options{})
	if _, known := w.comesBack(token); !known {
		t.Error("forgotten because of a start that failed")
	}
}

// With sync=always nothing of an earlier process is confirmed before this one has
// forced it to the disk, and if that fails it is doubtful.
func TestPublisher_RestartSyncAlways(t *testing.T) {
	for _, fails := range []bool{false, true} {
		w, token := remembering(t, Options{Sync: SyncAlways})
		w.stop()
		w.l.slow = true
		w.start(Options{Sync: SyncAlways})
		d := w.disk.(*journaltest.Disk)
		p, known := w.comesBack(token)
		if !known {
			t.Fatal("forgotten")
		}
		p.send(numbered("t 1 a", "t 2 b"))
		p.want()
		if fails {
			d.Fail(failing("sync", errFull))
		}
		w.l.slow = false
		w.do(w.l.work)
		w.do(w.l.work)
		got := p.frames()
		switch {
		case !fails && !slices.Equal(got, []string{"OK", "OK"}):
			t.Errorf("answered %q, want OK twice", got)
		case fails && (len(got) != 1 || !strings.HasPrefix(got[0], "E_PUB_FAILED PUB failed the message may be kept")):
			t.Errorf("answered %q, want that it may be kept", got)
		}
		d.Fail(nil)
	}
}

// What a fsync that was running at the stop has come to, nobody knows.
func TestPublisher_RestartWhileAFsyncRuns(t *testing.T) {
	w, token := remembering(t, Options{Sync: SyncAlways})
	p, _ := w.comesBack(token)
	w.l.slow = true
	p.send(numbered("t 4 c"))
	p.want()
	w.stop()
	w.l.slow = false
	w.start(Options{Sync: SyncAlways})
	p, known := w.comesBack(token)
	if !known {
		t.Fatal("forgotten")
	}
	p.send(numbered("t 4 c", "u 3 x", "t 5 d"))
	w.do(w.l.work)
	p.want("E_PUB_DOUBTFUL PUB failed "+errDoubtful.Error(), "OK", "OK")
}
