// Package contract is the tests that every loop.Loop must pass: a test for
// each sentence of the contract in package loop, written against the contract
// alone. The engine and the simulator each run them.
package contract

import (
	"reflect"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// Env makes what the tests need.
type Env interface {
	// New makes a loop that runs, and that is closed when the test ends.
	New(t *testing.T, o Options) Loop

	// Path is a fresh path for a unix socket.
	Path(t *testing.T) string

	// Deaf makes a peer that accepts connections and does not read until it
	// is told to.
	Deaf(t *testing.T) Deaf

	// Silent is an address where dials get no answer.
	Silent(t *testing.T) (addr string, o loop.DialOptions)
}

// Options are what the tests vary of a loop's options. 0 is the default.
type Options struct {
	OutputLimit, OutputHigh, InputLimit int
	Linger                              time.Duration
}

// Loop is a loop under test, and how to wait for it.
type Loop interface {
	loop.Loop

	// Do runs f on the loop and waits for it.
	Do(t *testing.T, f func())

	// Until waits until cond, which is called on the loop, is true. The test
	// fails when that takes too long.
	Until(t *testing.T, what string, cond func() bool)

	// End shuts the loop down and waits for it.
	End() error

	// Close stops the loop and waits for it.
	Close() error
}

// Deaf is a peer that reads only when it is told to.
type Deaf interface {
	Addr() string
	Listen()       // begins to read
	Received() int // bytes so far
}

// Test runs all tests of the contract.
func Test(t *testing.T, e Env) {
	for _, group := range [][]namedTest{postTests, timerTests, dialTests, connTests, layerTests, limitTests, endTests} {
		for _, test := range group {
			t.Run(test.name, func(t *testing.T) { test.f(t, e) })
		}
	}
}

type namedTest struct {
	name string
	f    func(t *testing.T, e Env)
}

// recorder is a handler that writes down what it is told, and does what its
// functions say.
type recorder struct {
	conn   loop.Conn
	opened int
	closed int
	err    error
	data   []byte
	events []string

	onOpen  func(c loop.Conn)
	onData  func(p []byte) int
	onClose func(err error)
}

func (r *recorder) OnOpen(c loop.Conn) {
	r.conn = c
	r.opened++
	r.events = append(r.events, "open")
	if r.onOpen != nil {
		r.onOpen(c)
	}
}

func (r *recorder) OnData(p []byte) int {
	if r.closed > 0 {
		r.events = append(r.events, "data after close")
	}
	if r.onData != nil {
		return r.onData(p)
	}
	r.data = append(r.data, p...)
	return len(p)
}

func (r *recorder) OnClose(err error) {
	r.closed++
	r.err = err
	r.events = append(r.events, "close")
	if r.onClose != nil {
		r.onClose(err)
	}
}

// drainRecorder is a recorder that is a loop.Drainer.
type drainRecorder struct {
	recorder
	drained int
}

func (r *drainRecorder) OnDrain() { r.drained++ }

// connect connects two handlers of l with each other, and returns when both
// are open.
func connect(t *testing.T, l Loop, dialled, accepted loop.Handler, ready func() bool) {
	t.Helper()
	l.Do(t, func() {
		ln, err := l.Listen("127.0.0.1:0", func(loop.Conn) loop.Handler { return accepted })
		if err != nil {
			t.Error(err)
			return
		}
		l.Dial(ln.Addr().String(), loop.DialOptions{}, dialled)
	})
	if t.Failed() {
		t.FailNow()
	}
	l.Until(t, "both ends are open", ready)
}

// pair is connect for two recorders.
func pair(t *testing.T, l Loop, dialled, accepted *recorder) {
	t.Helper()
	connect(t, l, dialled, accepted, func() bool { return dialled.opened == 1 && accepted.opened == 1 })
}

// after returns a condition that is true when d has passed.
func after(l Loop, d time.Duration) func() bool {
	var began time.Time
	return func() bool {
		if began.IsZero() {
			began = l.Now()
		}
		return l.Now().Sub(began) >= d
	}
}

// settle lets a while pass in which what should not happen could.
func settle(t *testing.T, l Loop) {
	t.Helper()
	l.Until(t, "a while has passed", after(l, 20*time.Millisecond))
}

func check[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// pattern is n bytes that differ by place: the period is a prime, so that a
// piece in the wrong place does not look right.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := 0; i < n; {
		i += copy(p[i:], period)
	}
	return p
}

var period = func() []byte {
	p := make([]byte, 65521)
	x := uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}()

// numbers is 0 to n-1.
func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
