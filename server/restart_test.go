package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/datapath"
)

// kill ends the server as SIGKILL does: nothing is written any more, and the
// lock vanishes.
func (w *world) kill() {
	w.t.Helper()
	if err := w.s.path.unlock(); err != nil {
		w.t.Error(err)
	}
	w.s.closed = true
	w.l.timers = nil
}

// restarted runs a test with a server that was stopped and started again, and
// with one that was killed.
func restarted(t *testing.T, before, after func(w *world)) {
	for _, how := range []string{"stop", "kill"} {
		t.Run(how, func(t *testing.T) {
			o := Options{DataPath: t.TempDir()}
			w := newWorld(t, o)
			before(w)
			if how == "stop" {
				w.stop()
			} else {
				w.kill()
			}
			w.start(o)
			after(w)
		})
	}
}

func TestRestart_KeepsTopicsChannelsAndPauses(t *testing.T) {
	restarted(t, func(w *world) {
		w.publish("Empty", "x")
		w.subscribe("t", "c", 0)
		w.subscribe("t", "d#ephemeral", 0)
		w.subscribe("u#ephemeral", "c", 0)
		w.subscribe("T", "c", 0)
		w.must(w.s.topic("t").channel("c").pauseOn)
		w.must(func() error { return w.s.topic("T").pause(true) })
		w.must(func() error { _, err := w.s.createTopic("bare"); return err })
		w.must(func() error { w.s.topic("Empty").empty(); return nil })
		w.subscribe("gone", "c", 0)
		w.must(func() error { return w.s.deleteTopic(w.s.topic("gone")) })
		w.subscribe("t", "gone", 0)
		w.do(func() { top := w.s.topic("t"); top.deleteChannel(top.channel("gone")) })
	}, func(w *world) {
		if got, want := w.names(), "Empty() T(c) bare() t(c)"; got != want {
			t.Errorf("topics %s, want %s", got, want)
		}
		if !w.channel("t", "c").Paused || w.topic("t").Paused || !w.topic("T").Paused || w.channel("T", "c").Paused {
			t.Error("pauses were lost or invented")
		}
		if d := w.topic("Empty").Depth; d != 0 {
			t.Errorf("an emptied topic has depth %d", d)
		}
	})
}

func (ch *channel) pauseOn() error { return ch.pause(true) }

func TestRestart_KeepsMessagesWithAttemptsAndDueTimes(t *testing.T) {
	var first wire.Message
	restarted(t, func(w *world) {
		p := w.subscribe("t", "c", 1)
		pub := w.dial()
		pub.pub("t", "requeued")
		first = p.message("requeued", 1)
		p.req(first, 0)
		p.message("requeued", 2)
		p.req(first, time.Minute)
		pub.pub("t", "finished")
		m := p.message("finished", 1)
		p.fin(m)
		pub.pub("t", "in flight")
		p.message("in flight", 1)
		w.sleep(20 * time.Millisecond) // deliveries are written a little later
		pub.pub("t", "waiting")
		pub.send(wire.AppendDPub(nil, "t", 2*time.Minute, []byte("deferred")))
	}, func(w *world) {
		st := w.channel("t", "c")
		if st.Depth != 2 || st.DeferredCount != 2 || st.InFlightCount != 0 {
			t.Errorf("depth %d, deferred %d, in flight %d; want 2, 2, 0", st.Depth, st.DeferredCount, st.InFlightCount)
		}
		p := w.subscribe("t", "c", 10)
		got := strings.Join(p.frames(), " ")
		if got != "in flight/2 waiting/1" && got != "waiting/1 in flight/2" {
			t.Errorf("received %s", got)
		}
		w.sleep(59 * time.Second)
		p.sendString("NOP\n")
		p.frames()
		w.sleep(980 * time.Millisecond)
		m := p.message("requeued", 3)
		if m.ID != first.ID || m.Timestamp != first.Timestamp {
			t.Error("id or timestamp changed")
		}
		p.sendString("NOP\n")
		for range 3 {
			w.sleep(20100 * time.Millisecond)
			p.sendString("NOP\n")
		}
		p.rdy(100)
		var bodies []string
		for _, f := range p.frames() {
			if strings.HasPrefix(f, "deferred") {
				bodies = append(bodies, f)
			}
		}
		if len(bodies) != 1 || bodies[0] != "deferred/1" {
			t.Errorf("deferred message: %v", bodies)
		}
	})
}

func TestRestart_BacklogWaitsForTheFirstChannel(t *testing.T) {
	restarted(t, func(w *world) {
		w.publish("t", "1", "2", "3")
	}, func(w *world) {
		if d := w.topic("t").Depth; d != 3 {
			t.Fatalf("depth %d, want 3", d)
		}
		w.subscribe("t", "c", 10).want("1/1", "2/1", "3/1")
		w.publish("t", "4")
	})
}

func TestRestart_IDsDoNotRepeat(t *testing.T) {
	var before wire.Message
	restarted(t, func(w *world) {
		w.publish("t", "x")
		before = w.subscribe("t", "c", 1).message("x", 1)
	}, func(w *world) {
		w.publish("u", "y")
		if m := w.subscribe("u", "c", 1).message("y", 1); m.ID == before.ID {
			t.Errorf("topic u uses the id %s of topic t", m.ID)
		}
		w.publish("t", "z")
		p := w.subscribe("t", "c", 2)
		for _, m := range p.messages(2) {
			if string(m.Body) == "z" && m.ID == before.ID {
				t.Errorf("id %s was given twice", m.ID)
			}
		}
	})
}

func TestShutdown_WithClientsOfEveryKind(t *testing.T) {
	o := Options{DataPath: t.TempDir()}
	w := newWorld(t, o)
	silent := w.dialSilent() // would delay nsqd for ever
	sub := w.subscribe("t", "c", 1)
	pub := w.dial()
	w.l.turn(func() {
		pub.c.OnData(pubs("t", 1, 1)) // not answered yet
		if err := w.s.Close(); err != nil {
			t.Error(err)
		}
	})
	silent.wantClosed()
	pub.wantClosed("OK")
	if !sub.closed() {
		t.Error("a subscriber is still connected")
	}
	if err := w.s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	w.start(o)
	if st := w.channel("t", "c"); st.Depth != 1 {
		t.Errorf("depth %d after the restart, want 1", st.Depth)
	}
}

func TestDataPath_IsLocked(t *testing.T) {
	o := Options{DataPath: t.TempDir()}
	w := newWorld(t, o)
	_, err := New(newBareLoop(), o)
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("second server: %v, want %v", err, ErrLocked)
	}
	want := "failed to lock data-path: cannot flock directory " + o.DataPath + " - resource temporarily unavailable (possibly in use by another instance of nsqd)"
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("second server: %q, want %q", err, want)
	}
	w.stop()
	w.start(o)
}

func TestDataPath_MustExist(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	if _, err := New(newBareLoop(), Options{DataPath: dir}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory was created")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(newBareLoop(), Options{DataPath: file}); err == nil {
		t.Error("a file was taken for a directory")
	}
}

// What nsqd has left is never ignored: with messages the start is refused, and
// the error names the way out; topics and channels alone are taken over.
func TestDataPath_OfNSQD(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*") // what a pattern would misread
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := Options{DataPath: dir}
	for name, want := range map[string]error{
		"t.diskqueue.000000.dat.bad": nil, "t.diskqueue.meta.dat.1.tmp": nil,
		"t.diskqueue.meta.dat": ErrForeignData, "t:c.diskqueue.000001.dat": ErrForeignData,
		datapath.Staging: ErrUnfinishedImport,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("1\n0,0\n0,9\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := New(newBareLoop(), o)
		if !errors.Is(err, want) {
			t.Fatalf("with %s: %v", name, err)
		}
		if want == ErrForeignData && !strings.Contains(err.Error(), "nsqd-lite data import "+dir) {
			t.Errorf("with %s the error names no way out: %v", name, err)
		}
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDataPath_TopicsOfNSQDAreTakenOver(t *testing.T) {
	for _, name := range []string{"nsqd.dat", "nsqd.631.dat"} {
		dir := t.TempDir()
		o := Options{DataPath: dir}
		for file, content := range map[string]string{
			name: `{"topics":[{"name":"t","paused":true,"channels":[{"name":"c","paused":true},{"name":"d#ephemeral","paused":false}]},` +
				`{"name":"u","paused":false,"channels":null},{"name":"no good","paused":false,"channels":null}],"version":"1.2.1"}`,
			"t:c.diskqueue.meta.dat": "0\n3,0\n3,0\n", // read to its end
		} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w := newWorld(t, o)
		for range 2 {
			if got, want := w.names(), "t(c) u()"; got != want {
				t.Errorf("%s: topics and channels %s, want %s", name, got, want)
			}
			if c := w.channel("t", "c"); !c.Paused || !w.s.topic("t").paused() {
				t.Errorf("%s: the pauses are lost", name)
			}
			w.kill()
			w.start(o)
		}
		if _, err := os.Stat(filepath.Join(dir, name+".nsqd")); err != nil {
			t.Errorf("%s is not kept: %v", name, err)
		}
	}
}

func TestDataPath_StrangeDirectoriesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"topic+a+", "lost+found"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, Options{DataPath: dir})
	if w.names() != "" {
		t.Errorf("topics %s", w.names())
	}
	w.publish("t", "x")
}

func TestID_IsTheSequenceInHex(t *testing.T) {
	for seq, want := range map[uint64]string{0: "0000000000000000", 1: "0000000000000001", 0x123456789abcdef0: "123456789abcdef0", 1<<64 - 1: "ffffffffffffffff"} {
		id := formatID(seq)
		if got := id.String(); got != want {
			t.Errorf("id of %d is %s, want %s", seq, got, want)
		}
		if back, ok := parseID(&id); !ok || back != seq {
			t.Errorf("id %s is read as %d, %v", id, back, ok)
		}
	}
	for _, s := range []string{"000000000000000g", "ABCDEFABCDEFABCD", "                ", "000000000000000/"} {
		id := wire.ID([]byte(s))
		if _, ok := parseID(&id); ok {
			t.Errorf("%q was read as an id", s)
		}
	}
}
