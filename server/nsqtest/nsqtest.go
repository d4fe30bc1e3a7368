// Package nsqtest runs an NSQ server inside a test: in memory, on free ports of
// the loopback interface, ready in milliseconds, gone when the test ends.
//
//	func TestOrders(t *testing.T) {
//		s := nsqtest.Start(t)
//		r, err := reader.New(l, reader.Options{Topic: "orders", Channel: "billing", NSQDs: []string{s.TCPAddr()}, Handler: h})
//		...
//		s.Publish("orders", `{"id":1}`)
//	}
//
// Any NSQ client can be tested against it.
package nsqtest

import (
	"bytes"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/nsqloop/nsqloop/server"
)

// Server is a server that belongs to a test. Its methods may be called from any
// goroutine.
type Server struct {
	tb   testing.TB
	srv  *server.Server
	logs logs
	stop sync.Once
}

// Option changes the options of the server: any but the logger. A DataPath
// keeps its messages in files, TCPAddress "" leaves the server without clients.
type Option func(*server.Options)

// Start starts a server and stops it at the end of the test. What it logs is
// shown if the test fails.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s := &Server{tb: tb}
	o := server.Options{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", BroadcastAddress: "127.0.0.1"}
	for _, opt := range opts {
		opt(&o)
	}
	o.Logger = slog.New(slog.NewTextHandler(&s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv, err := server.Start(o)
	if err != nil {
		tb.Fatalf("start NSQ server: %v", err)
	}
	s.srv = srv
	tb.Cleanup(func() {
		s.Close()
		if tb.Failed() {
			tb.Logf("the NSQ server logged:\n%s", s.logs.String())
		}
	})
	return s
}

// TCPAddr is the address for clients, "127.0.0.1:port".
func (s *Server) TCPAddr() string { return addr(s.srv.TCPAddr()) }

// HTTPAddr is the address of the HTTP API, "127.0.0.1:port".
func (s *Server) HTTPAddr() string { return addr(s.srv.HTTPAddr()) }

func addr(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// Publish publishes messages in one go, in this order, and returns when the
// server has them. It must be called on the test's goroutine, as everything
// that can end the test.
func (s *Server) Publish(topic string, bodies ...string) {
	s.tb.Helper()
	if len(bodies) == 0 {
		return
	}
	messages := make([][]byte, len(bodies))
	for i, b := range bodies {
		messages[i] = []byte(b)
	}
	if err := s.srv.Publish(topic, messages...); err != nil {
		s.tb.Fatal(err)
	}
}

// Stats is what the server holds now.
func (s *Server) Stats() server.Stats {
	s.tb.Helper()
	st, err := s.srv.Stats(server.StatsOptions{ExcludeMemory: true})
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

// Close stops the server before the test ends. Clients lose their connections.
// Later calls do nothing.
func (s *Server) Close() {
	s.stop.Do(func() {
		if err := s.srv.Close(); err != nil {
			s.tb.Errorf("close NSQ server: %v", err)
		}
	})
}

// logs keeps what the server logs, from whatever goroutine.
type logs struct {
	mu sync.Mutex // the server's loop writes, the test reads
	b  bytes.Buffer
}

// Write is io.Writer's.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what has been logged so far.
func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
