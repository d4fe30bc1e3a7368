package server

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// Server is the broker.
type Server struct {
	l      loop.Loop
	o      Options
	log    *slog.Logger
	topics []*topic // sorted by name
	start  int64    // unix seconds
	http   *httpServer
}

// New makes a server on the caller's loop, listening when it returns.
func New(l loop.Loop, o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{l: l, o: o, log: o.Logger, start: l.Now().Unix()}
	if o.HTTPAddress != "" {
		if s.http, err = s.listenHTTP(o.HTTPAddress); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// TCPAddr is the address that clients connect to; nil when off.
func (s *Server) TCPAddr() net.Addr { return nil }

// HTTPAddr is the address of the HTTP API; nil when off.
func (s *Server) HTTPAddr() net.Addr { return s.http.addr() }

// Shutdown stops the server in order.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.shutdown(ctx) }

// Close stops the server at once.
func (s *Server) Close() error { return s.http.close() }

func (s *Server) call(f func()) error {
	if s.l.OnLoop() {
		return ErrOnLoop
	}
	done := make(chan struct{})
	if err := s.l.Post(func() { f(); close(done) }); err != nil {
		return ErrClosed
	}
	<-done
	return nil
}

func (s *Server) topic(name string) *topic {
	for _, t := range s.topics {
		if t.name == name {
			return t
		}
	}
	return nil
}

func (s *Server) createTopic(name string) (*topic, error) {
	if !wire.ValidName(name) {
		return nil, ErrBadName
	}
	if t := s.topic(name); t != nil {
		return t, nil
	}
	t := &topic{s: s, name: name}
	s.topics = append(s.topics, t)
	slices.SortFunc(s.topics, func(a, b *topic) int { return strings.Compare(a.name, b.name) })
	return t, nil
}

func (s *Server) deleteTopic(t *topic) error {
	s.topics = slices.DeleteFunc(s.topics, func(o *topic) bool { return o == t })
	return nil
}

func (s *Server) health() error { return nil }

func (s *Server) snapshot(o StatsOptions) Stats {
	return Stats{Version: Version, Health: "OK", StartTime: s.start, Taken: s.l.Now(), Topics: []TopicStats{}}
}
