package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// unstarted is a loop that nobody has started.
func unstarted(t *testing.T) *loop.Engine {
	t.Helper()
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// within runs f, which waits for nobody.
func within(t *testing.T, what string, f func() error) error {
	t.Helper()
	returned := make(chan error, 1)
	go func() { returned <- f() }()
	select {
	case err := <-returned:
		return err
	case <-time.After(10 * time.Second):
		t.Fatalf("%s does not return", what)
		return nil
	}
}

// onUnstarted makes a server, with all its doors, on a loop that nobody has started.
func onUnstarted(t *testing.T, dir string) (*Server, *loop.Engine) {
	t.Helper()
	l := unstarted(t)
	s, err := New(l, Options{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", DataPath: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s, l
}

// wantShut checks that nobody listens on addr any more.
func wantShut(t *testing.T, addr net.Addr) {
	t.Helper()
	if c, err := net.Dial("tcp", addr.String()); err == nil {
		c.Close()
		t.Errorf("%v is still open", addr)
	}
}

// A server ends though its loop never began, gives everything back, and leaves
// what it had found where it was.
func TestServer_EndsOnALoopThatNeverStarted(t *testing.T) {
	for name, end := range map[string]func(*Server) error{
		"Close":    (*Server).Close,
		"Shutdown": func(s *Server) error { return s.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			before := startReal(t, Options{DataPath: dir})
			if err := before.Publish("t", []byte("kept")); err != nil {
				t.Fatal(err)
			}
			if err := before.Close(); err != nil {
				t.Fatal(err)
			}
			s, l := onUnstarted(t, dir)
			for range 2 {
				if err := within(t, name, func() error { return end(s) }); err != nil {
					t.Fatal(err)
				}
			}
			wantShut(t, s.TCPAddr())
			wantShut(t, s.HTTPAddr())
			after := startReal(t, Options{DataPath: dir}) // it is free
			st, err := after.Stats(StatsOptions{Topic: "t"})
			if err != nil || st.Topics[0].Depth != 1 {
				t.Errorf("topic t is %+v, %v", st.Topics, err)
			}
			if err := l.Start(); err != nil {
				t.Fatal(err)
			}
			if err := s.Publish("t", []byte("late")); !errors.Is(err, ErrClosed) {
				t.Errorf("Publish after %s: %v", name, err)
			}
			ran := make(chan struct{})
			if err := l.Post(func() { close(ran) }); err != nil {
				t.Fatal(err)
			}
			<-ran // begin has come, and found nothing to begin
		})
	}
}

// What a publisher has numbered is known again by the server after the one that
// never began.
func TestServer_ThatNeverBeganKeepsThePublishers(t *testing.T) {
	dir := t.TempDir()
	identify := func(s *Server) string {
		c := dialRaw(t, s.TCPAddr().String(), wire.AppendIdentify(nil,
			[]byte(`{"feature_negotiation":true,"lite_publisher":"0123456789abcdef"}`)))
		defer c.Close()
		_, answer, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	before := startReal(t, Options{DataPath: dir})
	first := identify(before)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ := onUnstarted(t, dir)
	if err := within(t, "Close", s.Close); err != nil {
		t.Fatal(err)
	}
	if again := identify(startReal(t, Options{DataPath: dir})); again != first {
		t.Errorf("IDENTIFY is answered %s, before %s", again, first)
	}
}

// What needs the loop says that it does not run, and works once it does.
func TestServer_CallsOnALoopThatNeverStarted(t *testing.T) {
	s, l := onUnstarted(t, "")
	calls := map[string]func() error{
		"Stats":       func() error { _, err := s.Stats(StatsOptions{}); return err },
		"Publish":     func() error { return s.Publish("t", []byte("x")) },
		"Advance":     func() error { return s.Advance(time.Second) },
		"SetLookupds": func() error { return s.SetLookupds(nil) },
	}
	for name, call := range calls {
		if err := within(t, name, call); !errors.Is(err, ErrNotStarted) {
			t.Errorf("%s: %v, want %v", name, err, ErrNotStarted)
		}
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	for name, call := range calls {
		if err := within(t, name, call); err != nil {
			t.Errorf("%s once the loop runs: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Who waits for a loop to start hears of the end before.
func TestServer_ThatNeverBeganReleasesWhoWaits(t *testing.T) {
	l := &tellingLoop{unstarted(t), make(chan struct{}, 2)}
	s, err := New(l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	<-l.posted // its first turn
	ended := make(chan error, 1)
	go func() { ended <- s.call(func() { t.Error("it ran") }) }()
	<-l.posted
	if err := within(t, "Close", s.Close); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "the call", func() error { return <-ended }); !errors.Is(err, ErrClosed) {
		t.Errorf("the call returned %v", err)
	}
}

// tellingLoop tells of a Post.
type tellingLoop struct {
	*loop.Engine
	posted chan struct{}
}

func (l *tellingLoop) Post(f func()) error {
	defer func() { l.posted <- struct{}{} }()
	return l.Engine.Post(f)
}

// Whoever comes first ends the server, the loop's first turn or a Close from
// elsewhere: never both at a time.
func TestServer_ClosesWhileItsLoopBegins(t *testing.T) {
	dir := t.TempDir()
	for range 50 {
		s, l := onUnstarted(t, dir)
		var all sync.WaitGroup
		for _, f := range []func() error{l.Start, s.Close, s.Close, func() error { return s.Shutdown(context.Background()) }} {
			all.Go(func() {
				if err := f(); err != nil {
					t.Error(err)
				}
			})
		}
		within(t, "the end", func() error { all.Wait(); return nil })
		wantShut(t, s.TCPAddr())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLookupd_EndsOnALoopThatNeverStarted(t *testing.T) {
	for name, end := range map[string]func(*Lookupd) error{
		"Close":    (*Lookupd).Close,
		"Shutdown": func(d *Lookupd) error { return d.Shutdown(context.Background()) },
	} {
		d, err := NewLookupd(unstarted(t), LookupdOptions{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := within(t, name, func() error { return end(d) }); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		wantShut(t, d.TCPAddr())
		wantShut(t, d.HTTPAddr())
	}
}

// A scrape of a registry that holds a server's figures among others comes to
// its end whatever the server does, and the others are in it.
func TestCollector_OfAServerThatDoesNotRun(t *testing.T) {
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "other", Help: "Of the program."})
	families := func(c prometheus.Collector) map[string]*dto.MetricFamily {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(other, c)
		all := map[string]*dto.MetricFamily{}
		if err := within(t, "Gather", func() error {
			found, err := registry.Gather()
			for _, f := range found {
				all[f.GetName()] = f
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		value(t, all, "other")
		return all
	}
	s, _ := onUnstarted(t, "")
	unstartedToo, err := NewLookupd(unstarted(t), LookupdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	running := startReal(t, Options{})
	lookupd, err := StartLookupd(LookupdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := value(t, families(running.Collector()), "nsqd_healthy"); got != 1 {
		t.Errorf("nsqd_healthy is %v while it runs", got)
	}
	for _, end := range []io.Closer{running, lookupd} {
		if err := end.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]prometheus.Collector{"closed": running.Collector(), "not started": s.Collector()} {
		all := families(c)
		if got := value(t, all, "nsqd_healthy"); got != 0 || len(all) != 2 {
			t.Errorf("%s: nsqd_healthy is %v, of %d families", name, got, len(all))
		}
	}
	for name, d := range map[string]*Lookupd{"closed": lookupd, "not started": unstartedToo} {
		if all := families(d.Collector()); len(all) != 1 {
			t.Errorf("nsqlookupd %s: %d families", name, len(all))
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := unstartedToo.Close(); err != nil {
		t.Error(err)
	}
}

// A request that came before the loop was started has its answer when it is.
func TestServer_RequestsWaitForTheLoop(t *testing.T) {
	l := &tellingLoop{unstarted(t), make(chan struct{}, 10)}
	s, err := New(l, Options{HTTPAddress: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	<-l.posted // its first turn
	status := make(chan int, 1)
	go func() {
		r, err := http.Get("http://" + s.HTTPAddr().String() + "/ping")
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		r.Body.Close()
		status <- r.StatusCode
	}()
	<-l.posted
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != http.StatusOK {
		t.Errorf("/ping: %d", got)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
