package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sort"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server/journal"
)

// Server is a broker. All its fields belong to its loop once New has returned.
type Server struct {
	l    loop.Loop
	life life
	o    Options
	log  *slog.Logger

	topics []*topic          // sorted by name
	byName map[string]*topic // the same ones, for looking up; never ranged over

	remains []*topic // deleted, with files that the disk would not remove
	serial  uint64   // of the topic made last; its messages' sequences begin with it

	conns       []*conn          // in no particular but repeatable order
	subscribers map[uint32]*conn // by owner, for looking up; never ranged over
	lastOwner   uint32
	publishers  publishers

	turn           turn // what is to be done at the end of the turn
	chores         chores
	fsync          fsync
	longIdentities longIdentities
	larges         larges
	auth           *authenticator // nil: AUTH is off
	tlsConfig      *tls.Config    // nil: no TLS
	output         output
	budget         budget
	relief         relief
	origins        origins
	statsd         statsd
	metadata       metadataWriter
	peers          peers
	idle           idle
	retain         retain
	taps           taps
	wrote          error // how the last write to a file went
	measures       measures
	draining       bool  // no more clients are accepted
	start          int64 // unix seconds
	closed         bool
	path           *dataPath // nil: everything is in memory
	blocks         journal.Blocks
	tcp            loop.Listener
	http           *httpServer
	https          *httpServer
	release        func() // takes the registrations at the loop's end back
	own            *ownLoop

	cmd      wire.Command     // used again for each command
	delivery journal.Delivery // used again for each delivery
}

// New makes a server on l, recovers what the data path holds, and listens. It
// does not wait for l, which need not run yet. When l shuts down, so does the
// server.
func New(l loop.Loop, o Options) (*Server, error) { return newServer(l, o, nil) }

// NewOnDisk makes a server as New does, on a disk of the caller's in place of a
// directory: one that fails on purpose, say, as package journaltest has.
// Options.DataPath only names it then. Nobody but the server may use the disk
// meanwhile. The list of topics for other tools, nsqd.dat, is not written.
func NewOnDisk(l loop.Loop, o Options, d journal.Disk) (*Server, error) {
	o.DataPath = cmp.Or(o.DataPath, "disk")
	return newServer(l, o, &dataPath{disk: d})
}

// newServer makes a server. path is nil when Options.DataPath says where to keep
// messages, or not to.
func newServer(l loop.Loop, o Options, path *dataPath) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		l: l, life: newLife(), o: o, log: o.Logger, path: path,
		byName:      map[string]*topic{},
		subscribers: map[uint32]*conn{},
	}
	s.turn.init(s)
	s.chores.s = s
	s.fsync.s = s
	s.longIdentities.s = s
	s.larges.init(s)
	s.measures.init()
	s.output.s = s
	s.relief.s = s
	s.budget.limit = o.MaxMemory
	s.origins.l, s.origins.log = l, o.Logger
	s.peers.s = s
	s.idle.s = s
	s.publishers.s, s.publishers.most = s, publishersMost
	s.retain.s = s
	s.taps.s = s
	s.statsd.s = s
	s.metadata.s = s
	if err := s.open(); err != nil {
		s.abandon() // the first error says what is wrong
		return nil, err
	}
	return s, nil
}

// open takes the data path, recovers its topics and listens.
func (s *Server) open() error {
	var err error
	if s.auth, err = newAuthenticator(s); err != nil {
		return err
	}
	if s.tlsConfig, err = newTLSConfig(&s.o, s.log); err != nil {
		return err
	}
	if s.tlsConfig != nil {
		s.tlsConfig.Time = s.l.Now // handshakes of clients run on the loop
	}
	if s.path == nil && s.o.DataPath != "" {
		if s.path, err = openDataPath(s.o.DataPath, s.o.fs); err != nil {
			return err
		}
	}
	if s.path != nil {
		if err = s.recoverTopics(); err != nil {
			return err
		}
		if err = s.adopt(); err != nil {
			return err
		}
		s.publishers.load()
	}
	if s.o.TCPAddress != "" {
		var err error
		s.tcp, err = s.l.Listen(s.o.TCPAddress, func(loop.Conn) loop.Handler { return newConn(s) })
		if err != nil {
			return fmt.Errorf("listen on %s for clients: %w", s.o.TCPAddress, err)
		}
	}
	if s.o.HTTPSAddress != "" && s.tlsConfig != nil {
		if s.https, err = s.listenHTTPS(s.o.HTTPSAddress); err != nil {
			return fmt.Errorf("listen on %s for HTTPS: %w", s.o.HTTPSAddress, err)
		}
	}
	if s.o.HTTPAddress != "" {
		var err error
		if s.http, err = s.listenHTTP(s.o.HTTPAddress); err != nil {
			return fmt.Errorf("listen on %s for HTTP: %w", s.o.HTTPAddress, err)
		}
	}
	release := s.l.OnShutdown(func(done func()) {
		s.stop()
		done()
	})
	// A loop that is closed has no drains. What is in the files is safe then
	// too, but the data path must be free for the next one.
	forget := s.l.OnStop(func() { s.stop() })
	s.release = func() { release(); forget() }
	// The clock and the timers belong to the loop. This comes last: what can
	// fail has not failed, and what was written here is seen over there.
	if err := s.l.Post(s.begin); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	return nil
}

// begin is the server's first turn.
func (s *Server) begin() {
	if !s.life.begin() || s.closed {
		return
	}
	s.start = s.l.Now().Unix()
	for _, t := range s.topics {
		for _, ch := range t.channels {
			ch.arm()
		}
	}
	s.publishers.begin()
	s.retain.start()
	s.statsd.start()
	s.metadata.changed()
	s.peers.start()
}

// abandon ends a server that could not start.
func (s *Server) abandon() {
	if ended, _ := s.life.end(s.giveBack); !ended {
		_ = s.giveBack()
	}
}

// giveBack gives back what a server has taken that has not begun.
func (s *Server) giveBack() error {
	errs := []error{s.http.close(), s.https.close()}
	if s.tcp != nil {
		errs = append(errs, s.tcp.Close())
	}
	for _, t := range s.topics {
		errs = append(errs, t.j.Close())
	}
	if s.life.isOver() { // else somebody may have published already
		s.publishers.save(s.publishers.loaded) // for the next one
	}
	s.auth.close()
	errs = append(errs, s.path.close())
	s.closed = true
	s.topics = nil
	if s.release != nil {
		s.release()
	}
	return errors.Join(errs...)
}

// TCPAddr is the address that clients connect to; nil when there is none.
func (s *Server) TCPAddr() net.Addr {
	if s.tcp == nil {
		return nil
	}
	return s.tcp.Addr()
}

// HTTPAddr is the address of the HTTP API; nil when there is none.
func (s *Server) HTTPAddr() net.Addr { return s.http.addr() }

// Shutdown stops the server in this order:
//
//  1. stop accepting clients
//  2. stop accepting HTTP requests, and wait for those that are running
//  3. write what was published, answer the publishers
//  4. close the clients' connections
//  5. close the journals and give the data path back
//  6. stop the loop, if Start made it
//
// When ctx ends, step 2 waits no longer. With Options.DataPath everything is
// kept: what waits, what is deferred and when it is due, and what is in flight,
// which will be delivered again. Without one it is gone. On a loop that was not
// started there is nothing to wait for. Shutdown must not be called on the loop.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.l.OnLoop() {
		return ErrOnLoop
	}
	if ended, err := s.life.end(s.giveBack); ended {
		return errors.Join(err, s.own.shutdown(ctx))
	}
	if err := s.call(s.stopAccepting); err != nil && !errors.Is(err, ErrClosed) { // 1
		return err
	}
	var errs []error
	for _, h := range []*httpServer{s.http, s.https} { // 2
		if err := h.shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("shut down HTTP: %w", err), h.close())
		}
	}
	var err error
	if stopped := s.call(func() { err = s.stop() }); stopped == nil { // 3, 4, 5
		errs = append(errs, err)
	}
	errs = append(errs, s.own.shutdown(ctx)) // 6
	return errors.Join(errs...)
}

// Close stops the server as Shutdown does, without waiting for HTTP requests
// that are running. It may be called anywhere, also before the loop is started.
// On the loop, a loop made by Start stops later, by itself.
func (s *Server) Close() error {
	var errs []error
	if s.l.OnLoop() {
		errs = append(errs, s.stop())
	} else if ended, err := s.life.end(s.giveBack); ended {
		errs = append(errs, err)
	} else {
		var err error
		if stopped := s.call(func() { err = s.stop() }); stopped == nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, s.http.close(), s.https.close(), s.own.close())
	return errors.Join(errs...)
}

// stopAccepting closes the door for clients, and ends the streams that would
// otherwise go on for ever.
func (s *Server) stopAccepting() {
	s.draining = true
	s.taps.end()
	if s.tcp != nil {
		if err := s.tcp.Close(); err != nil {
			s.log.Warn("close listener", "err", err)
		}
	}
}

// stop is steps 1 and 3 to 5 of Shutdown, on the loop. Later calls do nothing.
func (s *Server) stop() error {
	if !s.life.begin() || s.closed {
		return nil
	}
	s.stopAccepting() // 1
	s.larges.finish() // 3
	s.turn.run()
	s.fsync.finish()
	s.turn.settle()
	s.closed = true
	for len(s.conns) > 0 { // 4
		s.conns[len(s.conns)-1].close()
	}
	for _, t := range s.topics {
		t.stopTimers()
	}
	publishers := s.publishers.saved()
	errs := make([]error, len(s.topics))
	sideBySide(len(s.topics), func(i int) { // 5
		t := s.topics[i]
		if err := t.j.Close(); err != nil {
			errs[i] = fmt.Errorf("close journal of topic %s: %w", t.name, err)
		}
	})
	for len(s.remains) > 0 {
		t := s.remains[0]
		if err := s.removeRemains(t.name); err != nil {
			errs = append(errs, fmt.Errorf("delete topic %s, whose files are left: %w", t.name, err))
			s.remains = s.remains[1:]
		}
	}
	s.peers.stop()
	s.turn.stopTimer()
	s.output.stopTimer()
	s.origins.stopTimer()
	s.idle.stopTimer()
	s.publishers.stopTimer()
	s.retain.stopTimer()
	s.statsd.stop()
	s.metadata.finish()
	s.auth.close()
	s.publishers.save(publishers)
	errs = append(errs, s.path.close())
	if s.release != nil {
		s.release()
	}
	return errors.Join(errs...)
}

// call runs f on the loop and waits for it. It returns ErrOnLoop when it is
// called there, and ErrClosed, without having run f, when the server is closed.
func (s *Server) call(f func()) error {
	return callOn(s.l, &s.life, &s.closed, f)
}

// ask is call for those outside: it does not wait for ever for a loop that was never
// started, but returns ErrNotStarted.
func (s *Server) ask(f func()) error {
	if err := awaitStart(s.l); err != nil {
		return err
	}
	return s.call(f)
}

// now is the time of this turn: unix nanoseconds.
func (s *Server) now() int64 { return s.l.Now().UnixNano() }

// health is how the last write to a file of a journal went: nil, or why
// publishing fails.
func (s *Server) health() error { return s.wrote }

// noteWrite remembers how a write went, and says so when that has changed.
func (s *Server) noteWrite(err error) {
	switch {
	case err != nil && s.wrote == nil:
		s.log.Error("journal cannot be written: publishing fails until it can", "err", err)
	case err == nil && s.wrote != nil:
		s.log.Info("journal can be written again")
	}
	s.wrote = err
}

// search finds the place of the topic called name.
func (s *Server) search(name string) (int, bool) {
	i := sort.Search(len(s.topics), func(i int) bool { return s.topics[i].name >= name })
	return i, i < len(s.topics) && s.topics[i].name == name
}
