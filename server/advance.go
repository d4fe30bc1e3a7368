package server

import (
	"errors"
	"fmt"
	"time"
)

// Advance lets d pass at once, for tests: deferred messages and those in flight
// come due as if so much time had gone by. Clients are not taken for silent
// because of it. It returns when all that follows has been done, though clients
// may not have read of it yet. It must not be called on the loop, and only for a
// server whose loop can be advanced: that of Start, or one of package loop's.
func (s *Server) Advance(d time.Duration) error {
	l, ok := s.l.(interface{ Advance(time.Duration) error })
	if !ok {
		return fmt.Errorf("advance the server's clock: a loop of type %T cannot be advanced", s.l)
	}
	var err error
	for _, step := range []func(){
		func() { s.excuse(d); err = l.Advance(d) },
		func() {}, // in a turn that has the new time, at whose end all is done that was due
		func() {},
	} {
		if stopped := s.ask(step); stopped != nil || err != nil {
			err = errors.Join(err, stopped)
			return fmt.Errorf("advance the server's clock: %w", err)
		}
	}
	return nil
}

// excuse takes each client for heard d later than it was.
func (s *Server) excuse(d time.Duration) {
	for _, c := range s.conns {
		h := &c.heartbeat
		if !c.greeted {
			h.timer.Reset(d + magicTimeout)
			continue
		}
		h.last += int64(d)
		h.next += int64(d)
		if h.began != 0 {
			h.began += int64(d)
		}
	}
}
