package core

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

var (
	errClosed = errors.New("closed")
	errOutput = errors.New("output limit")
	errInput  = errors.New("input limit")
	errPanic  = errors.New("panicked")
)

// fakeHost is a clock that a test moves, and a record of what was asked.
type fakeHost struct {
	since  int64
	clocks int
	wakes  int
	arms   []int64
	panics []string
}

func (h *fakeHost) Clock() (time.Time, int64) {
	h.clocks++
	return time.Unix(0, h.since), h.since
}
func (h *fakeHost) Wake()        { h.wakes++ }
func (h *fakeHost) Arm(at int64) { h.arms = append(h.arms, at) }
func (h *fakeHost) Panicked(what string, value any, stack []byte) {
	h.panics = append(h.panics, fmt.Sprintf("%s: %v", what, value))
}

// newCore returns a core on a fake host. change may alter its configuration.
func newCore(change func(c *Config)) (*Core, *fakeHost) {
	h := &fakeHost{since: 1000}
	cfg := Config{
		Host:   h,
		Errors: Errors{Closed: errClosed, OutputLimit: errOutput, InputLimit: errInput, Panic: errPanic},
		Linger: time.Second, OutputLimit: 1 << 20, OutputHigh: 1 << 10, InputLimit: 1 << 20,
		Recover: true,
	}
	if change != nil {
		change(&cfg)
	}
	c := new(Core)
	c.Init(cfg)
	return c, h
}

// turn is a turn with the event f.
func turn(c *Core, f func()) {
	c.Begin()
	f()
	c.End()
}

// advance moves the clock and makes a turn of what is due then.
func (h *fakeHost) advance(c *Core, d time.Duration) {
	h.since += int64(d)
	turn(c, func() {})
}

// fakeSocket is a socket that records.
type fakeSocket struct {
	writes   []string
	buffered int
	shut     int
	closed   int
	onWrite  func() error
}

func (s *fakeSocket) Write(p []byte) error {
	s.writes = append(s.writes, string(p))
	if s.onWrite != nil {
		return s.onWrite()
	}
	return nil
}
func (s *fakeSocket) Buffered() int { return s.buffered }
func (s *fakeSocket) CloseWrite()   { s.shut++ }
func (s *fakeSocket) Close()        { s.closed++ }

// fakeHandler is a handler made of functions.
type fakeHandler struct {
	onData  func(p []byte) int
	onClose func(err error)
	onDrain func()
	name    func() string
	closed  int
	err     error
}

func (h *fakeHandler) OnData(p []byte) int {
	if h.onData == nil {
		return len(p)
	}
	return h.onData(p)
}

func (h *fakeHandler) OnClose(err error) {
	h.closed++
	h.err = err
	if h.onClose != nil {
		h.onClose(err)
	}
}

func (h *fakeHandler) OnDrain() {
	if h.onDrain != nil {
		h.onDrain()
	}
}

func (h *fakeHandler) String() string {
	if h.name == nil {
		return "fake"
	}
	return h.name()
}

// opened returns an open stream.
func opened(c *Core, h Handler) (*Stream, *fakeSocket) {
	s, sock := &Stream{}, &fakeSocket{}
	turn(c, func() { s.Accept(c, sock, Addrs{}, func() (Handler, func()) { return h, func() {} }) })
	return s, sock
}

func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
