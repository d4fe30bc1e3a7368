// Package nsqtest runs an NSQ server inside a test: in memory, on free ports of
// the loopback interface, ready in milliseconds, gone when the test ends.
//
//	func TestOrders(t *testing.T) {
//		s := nsqtest.Start(t)
//		r, err := reader.New(l, reader.Options{Topic: "orders", Channel: "billing", NSQDs: []string{s.TCPAddr()}, Handler: h})
//		...
//		s.Publish("orders", `{"id":1}`)
//		s.WaitFinished("orders", "billing", 1)
//	}
//
// Any NSQ client can be tested against it, also in bad times: Kill and Restart
// end the server as kill -9 does and bring it back with what it had
// acknowledged, Advance lets timeouts and delays pass at once, and Faults puts a
// bad network in front of it. Tests of a handler alone have reader/readertest.
package nsqtest

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// Server is a server that belongs to a test. Its methods may be called from any
// goroutine, but those that can end the test, which are all but TCPAddr,
// HTTPAddr and Close, only from the test's.
type Server struct {
	tb   testing.TB
	o    server.Options
	disk *journaltest.Disk // nil with a DataPath
	tcp  string
	http string
	logs logs

	protocol protocol
	patience time.Duration

	mu       sync.Mutex // guards what follows: Close may come from anywhere
	loop     *loop.Engine
	srv      *server.Server // nil between Kill and Restart, and after Close
	finished map[[2]string]uint64
}

// Option changes the options of the server: any but the logger. A DataPath
// keeps its messages in files, TCPAddress "" leaves the server without clients.
type Option func(*server.Options)

// Start starts a server and stops it at the end of the test. What it logs, the
// last MiB of it, is shown if the test fails.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s := &Server{tb: tb, patience: patience, finished: map[[2]string]uint64{}}
	s.o = server.Options{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", BroadcastAddress: "127.0.0.1"}
	for _, opt := range opts {
		opt(&s.o)
	}
	s.o.Logger = slog.New(slog.NewTextHandler(&s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if s.o.DataPath == "" {
		s.disk = journaltest.New(rand.New(rand.NewPCG(0, 0))) // which it asks for nothing while nothing fails
	}
	s.mu.Lock()
	err := s.boot()
	s.mu.Unlock()
	if err != nil {
		tb.Fatalf("start NSQ server: %v", err)
	}
	s.tcp, s.http = addr(s.srv.TCPAddr()), addr(s.srv.HTTPAddr())
	tb.Cleanup(func() {
		s.Close()
		if tb.Failed() {
			tb.Logf("the NSQ server logged:\n%s", s.logs.String())
		}
	})
	return s
}

// boot starts a server with the options and the disk that there are. The caller
// has locked mu.
func (s *Server) boot() error {
	l, err := loop.New(loop.Options{Logger: s.o.Logger})
	if err != nil {
		return err
	}
	if err := l.Start(); err != nil {
		return err
	}
	var srv *server.Server
	watched := watchedLoop{l, &s.protocol}
	if s.disk != nil {
		srv, err = server.NewOnDisk(watched, s.o, s.disk)
	} else {
		srv, err = server.New(watched, s.o)
	}
	if err != nil {
		_ = l.Close() // the first error says what is wrong
		return err
	}
	s.loop, s.srv = l, srv
	return nil
}

// TCPAddr is the address for clients, "127.0.0.1:port". It stays the same when
// the server is started again.
func (s *Server) TCPAddr() string { return s.tcp }

// HTTPAddr is the address of the HTTP API, "127.0.0.1:port". It stays as
// TCPAddr does.
func (s *Server) HTTPAddr() string { return s.http }

func addr(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// running is the server; the test ends when there is none.
func (s *Server) running() *server.Server {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		s.tb.Fatal("the NSQ server is not running: it was killed or closed")
	}
	return s.srv
}

// Publish publishes messages in one go, in this order, and returns when the
// server has them.
func (s *Server) Publish(topic string, bodies ...string) {
	s.tb.Helper()
	if len(bodies) == 0 {
		return
	}
	messages := make([][]byte, len(bodies))
	for i, b := range bodies {
		messages[i] = []byte(b)
	}
	if err := s.running().Publish(topic, messages...); err != nil {
		s.tb.Fatal(err)
	}
}

// Advance lets d pass at once for the server: what is deferred by less is due,
// what has been in flight for its timeout goes to somebody else. Clients live in
// their own time; the server does not take them for silent. When it returns, what
// was due is on its way to whoever is ready for it.
func (s *Server) Advance(d time.Duration) {
	s.tb.Helper()
	if err := s.running().Advance(d); err != nil {
		s.tb.Fatal(err)
	}
}

// Stats is what the server holds now.
func (s *Server) Stats() server.Stats {
	s.tb.Helper()
	st, err := s.running().Stats(server.StatsOptions{ExcludeMemory: true})
	if err != nil {
		s.tb.Fatalf("stats of the NSQ server: %v", err)
	}
	return st
}

// Topic is what the server holds of one topic; the zero value when there is no
// such topic.
func (s *Server) Topic(name string) server.TopicStats {
	s.tb.Helper()
	for _, t := range s.Stats().Topics {
		if t.TopicName == name {
			return t
		}
	}
	return server.TopicStats{}
}

// Channel is what the server holds of one channel; the zero value when there is
// no such channel.
func (s *Server) Channel(topic, name string) server.ChannelStats {
	s.tb.Helper()
	for _, ch := range s.Topic(topic).Channels {
		if ch.ChannelName == name {
			return ch
		}
	}
	return server.ChannelStats{}
}

// Close stops the server before the test ends, as a signal does. Clients lose
// their connections. Later calls do nothing.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return
	}
	if err := s.srv.Close(); err != nil {
		s.tb.Errorf("close NSQ server: %v", err)
	}
	if err := s.loop.Close(); err != nil {
		s.tb.Errorf("close the NSQ server's loop: %v", err)
	}
	s.srv = nil
}

// logsMost is how many bytes of log are kept at least; twice as much at most.
const logsMost = 1 << 20

// logs keeps the last of what the server logs, from whatever goroutine.
type logs struct {
	mu sync.Mutex // the server's loop writes, the test reads
	b  []byte
}

// Write is io.Writer's.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.b)+len(p) > 2*logsMost {
		_, rest, _ := bytes.Cut(l.b[len(l.b)-min(len(l.b), logsMost):], []byte("\n"))
		l.b = append(l.b[:0], rest...)
	}
	l.b = append(l.b, p...)
	return len(p), nil
}

// String returns what has been logged last.
func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}
