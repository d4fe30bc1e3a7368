package nsqtest

// Kill ends the server as kill -9 does: clients lose their connections, what was
// not written is gone, nothing is said to anybody. What the server had
// acknowledged is kept, also in memory, for Restart. A server with a DataPath
// writes what it has before it ends: its files are those of the test's process.
// Killing a server that does not run does nothing.
func (s *Server) Kill() {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return
	}
	s.noteFinished()
	if s.disk != nil {
		s.disk.Kill()
	}
	if err := s.loop.Close(); err != nil {
		s.tb.Fatalf("kill NSQ server: %v", err)
	}
	_ = s.srv.Close() // HTTP; the rest is dead, and says so
	s.srv = nil
}

// Restart kills the server, if it runs, and starts it again at the same
// addresses and with what it had acknowledged: messages that were in flight are
// delivered again, with one attempt more.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range []struct {
		option *string
		was    string
	}{{&s.o.TCPAddress, s.tcp}, {&s.o.HTTPAddress, s.http}} {
		if at.was != "" {
			*at.option = at.was
		}
	}
	if err := s.bootAgain(); err != nil {
		s.tb.Fatalf("start NSQ server again: %v", err)
	}
}
