package tofile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// world is a server and an Archiver on a loop of its own, which syncs only when
// it is told to.
type world struct {
	t      *testing.T
	s      *nsqtest.Server
	dir    string
	a      *Archiver
	failed chan error
	stop   func() error // what Run returned
	kill   func()
}

func newWorld(t *testing.T, s *nsqtest.Server, dir string, set func(*Options)) *world {
	t.Helper()
	w := &world{t: t, s: s, dir: dir, failed: make(chan error, 1)}
	l, err := loop.New(loop.Options{SlowCallback: -1})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Topics: []string{"t"}, Dir: dir, Format: standardName, DateTime: "day", Host: "box", GzipLevel: 6,
		SyncInterval: time.Hour, IdleSync: time.Hour,
		Consumer: reader.Options{Channel: "nsq_to_file", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 10, MaxAttempts: -1},
		Fail:     func(err error) { w.failed <- err },
	}
	if set != nil {
		set(&o)
	}
	if w.a, err = New(l, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	var once atomic.Bool
	w.kill = func() {
		if once.CompareAndSwap(false, true) {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			<-ended
		}
		cancel()
	}
	w.stop = func() error {
		cancel()
		once.Store(true)
		return <-ended
	}
	t.Cleanup(w.kill)
	return w
}

// unfinished waits until the channel holds so many messages that are in flight.
func (w *world) unfinished(n int) {
	w.t.Helper()
	testwait.Until(w.t, "messages in flight", func() bool {
		c := w.s.Channel("t", "nsq_to_file")
		return c.InFlightCount == n && c.Depth == 0
	})
}

func (w *world) contents() []string { return files(w.t, w.dir) }

// TestArchiver_FinishesAfterSync is statement 333: each body is written once,
// and finished when, and only when, the disk has it.
func TestArchiver_FinishesAfterSync(t *testing.T) {
	s := nsqtest.Start(t)
	syncing, sync := make(chan struct{}, 10), make(chan struct{})
	w := newWorld(t, s, t.TempDir(), func(o *Options) {
		o.syncFile = func(f *os.File) error {
			syncing <- struct{}{}
			<-sync
			return f.Sync()
		}
	})
	s.Publish("t", "a")
	<-syncing // the first message of a file
	w.unfinished(1)
	close(sync)
	w.unfinished(0)
	s.Publish("t", "b", "c")
	testwait.Until(t, "three lines", func() bool { return slices.Equal(w.contents(), []string{"t.box.day.log: a|b|c|"}) })
	w.unfinished(2)
	w.a.Reopen()
	w.unfinished(0)
	s.Publish("t", "d")
	testwait.Until(t, "the fourth line", func() bool { return slices.Contains(w.contents(), "t.box.day.log: a|b|c|d|") })
	if err := w.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if got := s.Channel("t", "nsq_to_file"); got.Depth != 0 || got.MessageCount != 4 || got.RequeueCount != 0 {
		t.Errorf("the channel at the end: %+v", got)
	}
	wantFiles(t, w.dir, "t.box.day.log: a|b|c|d|")
}

// TestArchiver_KilledBeforeSync is statement 334: what was not synced when the
// program was killed is delivered again.
func TestArchiver_KilledBeforeSync(t *testing.T) {
	s := nsqtest.Start(t, func(o *server.Options) { o.MsgTimeout = 300 * time.Millisecond })
	dir := t.TempDir()
	w := newWorld(t, s, dir, nil)
	s.Publish("t", "a")
	testwait.Until(t, "a", func() bool { return slices.Equal(w.contents(), []string{"t.box.day.log: a|"}) })
	w.unfinished(0)
	s.Publish("t", "b", "c")
	testwait.Until(t, "b and c", func() bool { return slices.Equal(w.contents(), []string{"t.box.day.log: a|b|c|"}) })
	w.kill()
	again := newWorld(t, s, dir, func(o *Options) { o.IdleSync = time.Millisecond })
	testwait.Until(t, "b and c again", func() bool {
		got := w.contents()[0]
		return strings.Count(got, "b|") == 2 && strings.Count(got, "c|") == 2 && strings.Count(got, "a|") == 1
	})
	again.unfinished(0)
}

// TestArchiver_SyncsInTime: when as many messages wait as may be in flight, and
// when no more come.
func TestArchiver_SyncsInTime(t *testing.T) {
	s := nsqtest.Start(t)
	w := newWorld(t, s, t.TempDir(), func(o *Options) { o.Consumer.MaxInFlight = 2 })
	s.Publish("t", "a", "b", "c", "d", "e", "f", "g")
	testwait.Until(t, "all but one are finished", func() bool { return s.Channel("t", "nsq_to_file").InFlightCount <= 1 && len(w.contents()) == 1 })
	w.kill()

	s = nsqtest.Start(t)
	w = newWorld(t, s, t.TempDir(), func(o *Options) { o.IdleSync = time.Millisecond })
	s.Publish("t", "a", "b", "c")
	testwait.Until(t, "all finished", func() bool { return s.Channel("t", "nsq_to_file").MessageCount == 3 })
	w.unfinished(0)
	w.kill()

	s = nsqtest.Start(t)
	w = newWorld(t, s, t.TempDir(), func(o *Options) { o.SyncInterval = 5 * time.Millisecond })
	s.Publish("t", "a", "b", "c")
	testwait.Until(t, "all finished", func() bool { return s.Channel("t", "nsq_to_file").MessageCount == 3 })
	w.unfinished(0)
}

// TestArchiver_Fails: a disk that refuses ends the program, and what it has not
// kept is not finished.
func TestArchiver_Fails(t *testing.T) {
	s := nsqtest.Start(t)
	full := errors.New("no space left on device")
	w := newWorld(t, s, t.TempDir(), func(o *Options) { o.syncFile = func(*os.File) error { return full } })
	s.Publish("t", "a", "b")
	if err := <-w.failed; !errors.Is(err, full) || !strings.HasPrefix(err.Error(), "topic t: ") {
		t.Errorf("error %v", err)
	}
	s.Publish("t", "c")
	w.unfinished(3)
}

// TestArchiver_Discovers: topics that match are found, at once and later.
func TestArchiver_Discovers(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	s := nsqtest.Start(t, nsqtest.Registered(d))
	s.Publish("orders", "a")
	s.Publish("other", "b")
	var asked atomic.Int32
	found := make(chan []string, 100)
	w := newWorld(t, s, t.TempDir(), func(o *Options) {
		o.Topics, o.Pattern, o.Refresh = nil, regexp.MustCompile("^ord"), 5*time.Millisecond
		o.IdleSync = time.Millisecond
		o.Consumer.NSQDs, o.Consumer.Lookupds, o.Consumer.LookupdPollInterval = nil, []string{d.HTTPAddr()}, 10*time.Millisecond
		o.Discover = func(context.Context) ([]string, error) {
			if asked.Add(1) == 2 {
				return nil, errors.New("no answer")
			}
			select {
			case topics := <-found:
				return topics, nil
			default:
				return []string{"orders", "other"}, nil
			}
		}
	})
	testwait.Until(t, "the first topic", func() bool { return slices.Equal(w.contents(), []string{"orders.box.day.log: a|"}) })
	s.Publish("ordinary", "c")
	found <- []string{"orders", "ordinary"}
	testwait.Until(t, "the second topic", func() bool {
		return slices.Equal(w.contents(), []string{"orders.box.day.log: a|", "ordinary.box.day.log: c|"})
	})
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

func TestOptions_Check(t *testing.T) {
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, set := range map[string]func(*Options){
		"no topic":        func(o *Options) { o.Topics = nil },
		"gzip level 10":   func(o *Options) { o.Gzip, o.GzipLevel = true, 10 },
		"sync interval":   func(o *Options) { o.SyncInterval = 0 },
		"topic refresh":   func(o *Options) { o.Discover = func(context.Context) ([]string, error) { return nil, nil } },
		"rotation":        func(o *Options) { o.RotateSize = -1 },
		"needs <REV>":     func(o *Options) { o.Gzip, o.Format = true, "<TOPIC>" },
		"topic bad topic": func(o *Options) { o.Topics = []string{"bad topic"} },
	} {
		o := Options{
			Topics: []string{"t"}, Dir: filepath.Join(t.TempDir(), "d"), Format: standardName, GzipLevel: 6, SyncInterval: time.Second,
			Consumer: reader.Options{Channel: "c", NSQDs: []string{"127.0.0.1:4150"}, Client: client.Options{}},
		}
		set(&o)
		if _, err := New(l, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
