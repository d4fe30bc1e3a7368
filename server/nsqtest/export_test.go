package nsqtest

import (
	"testing"
	"time"
)

// SetPatience is how long the Wait methods wait.
func (s *Server) SetPatience(d time.Duration) { s.patience = d }

// LogLines are the last n lines of log.
func (s *Server) LogLines(n int) string { return s.logs.last(n) }

// Log writes to the log.
func (s *Server) Log(p []byte) { _, _ = s.logs.Write(p) }

// LogSize is how many bytes of log are kept.
func (s *Server) LogSize() int { return len(s.logs.String()) }

// SetTB has tb hear of what fails, until restore.
func (s *Server) SetTB(tb testing.TB) (restore func()) {
	was := s.tb
	s.tb = tb
	return func() { s.tb = was }
}
