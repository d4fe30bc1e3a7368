package loop

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"
)

// Errors of a loop and its connections.
var (
	// ErrClosed is returned by Post and Listen on a loop that has stopped, and
	// given to OnClose of the connections that were open at that moment.
	ErrClosed = errors.New("loop closed")

	// ErrOutputLimit is given to OnClose when a peer did not read and the
	// connection's output passed Options.OutputLimit.
	ErrOutputLimit = errors.New("output limit exceeded: the peer does not read")

	// ErrInputLimit is given to OnClose when a handler left more than
	// Options.InputLimit unconsumed.
	ErrInputLimit = errors.New("input limit exceeded: the handler does not consume")

	// ErrOnLoop is wrapped by the error of a call that waits for the loop and
	// was made on the loop: it would wait for itself.
	ErrOnLoop = errors.New("called on the loop: it would wait for itself")

	// ErrPanic is wrapped by the error that OnClose receives when the
	// connection's own handler panicked.
	ErrPanic = errors.New("callback panicked")
)

// Loop runs callbacks one at a time. The package comment says in which order.
type Loop interface {
	// Now is the time at which the current turn began. It does not move
	// during a turn.
	Now() time.Time

	// Rand is the loop's source of chance, for jitter and for choices. It
	// must only be used on the loop.
	Rand() *rand.Rand

	// Post runs f on the loop, after everything posted before it. It may be
	// called from any goroutine and never blocks. Functions posted before the
	// loop starts run when it starts. It returns ErrClosed, and f never runs,
	// once the loop has stopped; nil means f runs exactly once.
	Post(f func()) error

	// After runs f once, d from now; not earlier, and in the order of
	// deadlines.
	After(d time.Duration, f func()) Timer

	// Every runs f each d, which must be positive, the first time d from now.
	// A run that comes late does not make the later ones late, and missed
	// runs are not made up for.
	Every(d time.Duration, f func()) Timer

	// AtTurnEnd runs f at the end of the current turn, before output is sent.
	// A function given during that phase runs in the same phase.
	AtTurnEnd(f func())

	// Go runs work on a goroutine of its own and then, on the loop, the
	// function that work returned (nil for none). It is the door for calls
	// that block: DNS, HTTP, fsync. It may be called from any goroutine.
	// After the loop has stopped the returned function is dropped.
	Go(work func() (then func()))

	// Dial connects to addr ("host:port", or the path of a unix socket).
	// The name is resolved on every call. Success is h.OnOpen; a failed or
	// cancelled dial is h.OnClose without OnOpen. Neither runs before Dial
	// has returned. cancel belongs to the loop and does nothing after either.
	Dial(addr string, o DialOptions, h Handler) (cancel func())

	// Listen accepts connections on addr ("host:port", port 0 for a free one,
	// or the path of a unix socket) until the listener is closed or the loop
	// stops. For each connection it calls accept on the loop, then OnOpen of
	// the handler that accept returned. A nil handler refuses the connection.
	// Listen may also be called before the loop starts.
	Listen(addr string, accept func(Conn) Handler) (Listener, error)

	// OnLoop says whether the caller runs inside a callback of this loop. A
	// call that waits for the loop asks it first, and fails instead of
	// waiting for itself. It is meant for such calls, not for every message:
	// while the loop is busy it costs microseconds.
	OnLoop() bool

	// OnShutdown registers drain, to be called once on the loop when it
	// shuts down; it must call done, at any time, on the loop. Drains run one
	// after another, the latest registered first (as defer does), so that a
	// reader made after the writer its handler uses drains before it.
	// remove takes the registration back.
	OnShutdown(drain func(done func())) (remove func())

	// OnStop registers f, to be called once in the loop's last turn, however
	// it comes to that: after every connection has had its OnClose, the
	// latest registered first. What f gives to AtTurnEnd still runs; what it
	// posts does not. remove takes the registration back.
	OnStop(f func()) (remove func())
}

// DialOptions are the options of one dial. The zero value is ready to use.
type DialOptions struct {
	// Timeout bounds the dial, name resolution included. 0 means 5 s.
	Timeout time.Duration

	// LocalAddr is the address to dial from; nil lets the system choose.
	LocalAddr net.Addr

	// PeerTimeout is how long the peer's system may be silent when it is asked
	// for a sign of life, which it is when nothing has come for a third of that
	// time (TCP keepalive), or, on Linux, owe the acknowledgement of what was
	// sent. Then the connection fails. 0 means 3 s, which is the least, and
	// negative leaves it to the system. It notices machines and networks that
	// are gone; the system of a program that hangs goes on answering.
	PeerTimeout time.Duration

	// DialContext replaces the system's dialer, for a proxy for example. It
	// runs on a goroutine of its own and must return a TCP or unix socket.
	// PeerTimeout is its own affair.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Timer is a function to be called later. Its methods belong to the loop.
type Timer interface {
	// Stop prevents the next run and reports whether there was one to prevent.
	Stop() bool

	// Reset lets the function run d from now (and, after Every, each d),
	// whether or not the timer was still waiting.
	Reset(d time.Duration)
}

// Listener accepts connections.
type Listener interface {
	// Addr is the address that is bound; with port 0, the port chosen.
	Addr() net.Addr

	// Close stops accepting. Connections that are open stay open.
	Close() error
}

// Conn is one connection. Its methods belong to the loop, and do nothing once
// OnClose has been called.
type Conn interface {
	// Output is the plain output gathered so far in this turn. Append to it
	// and hand the result to SetOutput, which marks the connection for the
	// flush at the end of the turn. The pair lets an encoder write straight
	// into the buffer; between the two calls no other method may be called.
	Output() []byte
	SetOutput(b []byte)

	// Write appends a copy of p to the output.
	Write(p []byte)

	// Buffered is the number of bytes that the kernel has not taken yet.
	Buffered() int

	// Offer asks for OnData once more in this turn, with the bytes that the
	// handler did not consume, as when something it waited for has happened.
	Offer()

	// Yield has what the running OnData leaves offered again in a later turn,
	// when others have had theirs, and nothing more read from the socket until
	// then; Offer does not make it earlier. It is for input that makes more
	// work than others should wait for. What is left is lost with the
	// connection when the peer resets that meanwhile. It returns false, and
	// does nothing, where reading cannot be put off: OnData goes on then.
	// Reading can on TCP connections on Linux, and in package looptest.
	Yield() bool

	// Upgrade puts l between the handler and the socket, on top of the layers
	// that are there. Output gathered before the call is sent below l. Bytes
	// that the running OnData has not consumed by its return, and all later
	// ones, are opened by l first.
	Upgrade(l Layer)

	// Close sends what is gathered, waits for the peer to take it and to close
	// its end (at most Options.Linger, or ten times that when it goes on
	// reading), and closes. Nothing is delivered to OnData any more, and
	// nothing can be written. OnClose(nil) follows in a later turn.
	Close()

	// Abort closes without sending. OnClose(err) follows in a later turn.
	Abort(err error)

	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// Handler receives the events of one connection, all on the loop. A handler
// that has a method String() string names itself in the reports about
// callbacks that panic or hold the loop; it is asked for its name when the
// connection is dialled or accepted, and once more after OnOpen.
type Handler interface {
	// OnOpen is called once, when the connection can be used.
	OnOpen(c Conn)

	// OnData offers the bytes received and not consumed yet, and returns how
	// many of them it consumed. The rest is offered again with the next
	// bytes. p is borrowed: it is valid until OnData returns.
	OnData(p []byte) (consumed int)

	// OnClose is called exactly once per dial or accepted connection, after
	// which no method of the handler is called any more. err is nil after
	// Close, wraps io.EOF when the peer closed, and says what went wrong in
	// all other cases, a failed dial included.
	OnClose(err error)
}

// Drainer is implemented by handlers that want to know when a connection that
// could not send (Buffered above Options.OutputHigh at the end of a turn) can
// send again (Buffered below half of it).
type Drainer interface {
	OnDrain()
}

// Layer turns plain bytes into what goes over the socket and back: TLS, snappy
// or deflate. It never blocks and is used only on the loop.
type Layer interface {
	// Open appends to dst the plain bytes that raw, the next piece of what
	// was received, completes. raw is borrowed. An error closes the
	// connection.
	Open(dst, raw []byte) ([]byte, error)

	// Seal appends to dst what must be sent for plain and for anything that
	// the layer has to say by itself, as in a handshake, so that the peer can
	// read all of it. It is called once per turn in which there is output,
	// Open was called, or the layer was put on the connection; plain may be
	// empty.
	Seal(dst, plain []byte) ([]byte, error)

	// Close releases what the layer holds. It is called once.
	Close()
}

// Partial is implemented by layers that can make much of little, and whose Open
// therefore may stop before it has opened all of raw. While More reports true
// after an Open without an error, Open is called again, with an empty raw, once
// the handler has had what there was. That may be in a later turn, when others
// have had theirs; so the layer has to keep what it has not opened of raw.
type Partial interface {
	More() bool
}
