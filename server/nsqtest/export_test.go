package nsqtest

import (
	"testing"
	"time"
)

// SetPatience is how long the Wait methods wait.
func (s *Server) SetPatience(d time.Duration) { s.patience = d }

// LogText is what is kept of the log.
func (s *Server) LogText() string { return s.logs.String() }

// Log writes to the log.
func (s *Server) Log(p []byte) { _, _ = s.logs.Write(p) }

// SetTB has tb hear of what fails, until restore.
func (s *Server) SetTB(tb testing.TB) (restore func()) {
	was := s.tb
	s.tb = tb
	return func() { s.tb = was }
}

// ProtocolText is what is kept of the protocol.
func (s *Server) ProtocolText() string { return s.protocol.String() }
