package nsqtest

import (
	"log/slog"
	"sync"
	"testing"

	"github.com/nsqloop/nsqloop/server"
)

// Lookupd is an nsqlookupd that belongs to a test. Its methods may be called
// from any goroutine.
type Lookupd struct {
	tb   testing.TB
	d    *server.Lookupd
	logs logs
	stop sync.Once
}

// LookupdOption changes the options of the nsqlookupd: any but the logger.
type LookupdOption func(*server.LookupdOptions)

// StartLookupd starts an nsqlookupd on free ports and stops it at the end of
// the test. What it logs is shown if the test fails. Servers register with it
// when they are started with Registered.
func StartLookupd(tb testing.TB, opts ...LookupdOption) *Lookupd {
	tb.Helper()
	s := &Lookupd{tb: tb}
	o := server.LookupdOptions{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", BroadcastAddress: "127.0.0.1"}
	for _, opt := range opts {
		opt(&o)
	}
	o.Logger = slog.New(slog.NewTextHandler(&s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d, err := server.StartLookupd(o)
	if err != nil {
		tb.Fatalf("start nsqlookupd: %v", err)
	}
	s.d = d
	tb.Cleanup(func() {
		s.Close()
		if tb.Failed() {
			tb.Logf("the nsqlookupd logged:\n%s", s.logs.String())
		}
	})
	return s
}

// Registered has a server register with nsqlookupds.
func Registered(lookupds ...*Lookupd) Option {
	return func(o *server.Options) {
		for _, d := range lookupds {
			o.LookupdTCPAddresses = append(o.LookupdTCPAddresses, d.TCPAddr())
		}
	}
}

// TCPAddr is the address that servers register at, "127.0.0.1:port".
func (s *Lookupd) TCPAddr() string { return addr(s.d.TCPAddr()) }

// HTTPAddr is the address that consumers ask, "127.0.0.1:port".
func (s *Lookupd) HTTPAddr() string { return addr(s.d.HTTPAddr()) }

// Close stops the nsqlookupd before the test ends. Servers lose their
// connections to it. Later calls do nothing.
func (s *Lookupd) Close() {
	s.stop.Do(func() {
		if err := s.d.Close(); err != nil {
			s.tb.Errorf("close nsqlookupd: %v", err)
		}
	})
}
