package client

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/nsqloop/nsqloop/internal/layer"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// Handler receives the events of one Conn, all on the loop. A handler that has
// a method String() string names itself in the loop's reports about callbacks
// that panic or hold the loop.
type Handler interface {
	// OnReady is called at most once, when the handshake is over and
	// commands may be given.
	OnReady(c *Conn)

	// OnMessage is called for each message. m.Body is borrowed: it is valid
	// until OnMessage returns.
	OnMessage(m wire.Message)

	// OnResponse is called for each response that is neither a heartbeat nor
	// part of the handshake: the OK of a publish or of SUB, and CLOSE_WAIT.
	// data is borrowed.
	OnResponse(data []byte)

	// OnError is called for each error frame after the handshake. When
	// e.Fatal() the connection is about to close: nsqd executes nothing of
	// what was sent after the command that failed.
	OnError(e *Error)

	// OnClose is called exactly once, last, also when the dial or the
	// handshake failed. err is nil after Close and says what ended the
	// connection otherwise: it wraps an *Error when a fatal one came, io.EOF
	// when the peer hung up, and one of this package's sentinels when this
	// side gave up.
	OnClose(err error)
}

// State is where a connection stands in its life. The package comment lists
// the states.
type State uint8

// The states of a connection, in order.
const (
	StateDialing State = iota
	StateIdentifying
	StateReady
	StateClosing
	StateClosed
)

// String is the state's name in lower case.
func (s State) String() string {
	switch s {
	case StateDialing:
		return "dialing"
	case StateIdentifying:
		return "identifying"
	case StateReady:
		return "ready"
	case StateClosing:
		return "closing"
	case StateClosed:
		return "closed"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Conn is one connection to one nsqd. Its methods must be called on the loop.
// Commands given before OnReady or after the connection has closed do nothing.
type Conn struct {
	loop   loop.Loop
	addr   string
	dialed string // addr, unless Options.Rewrite says otherwise
	o      Options
	h      Handler
	log    *slog.Logger
	dials  race

	conn     loop.Conn // nil until a dial has succeeded
	state    State
	open     bool         // commands may be written: ready or closing
	step     step         // of the handshake
	info     Info         // what was negotiated
	upgrades []loop.Layer // granted, and not put on yet
	tls      *layer.TLS   // nil without TLS
	frameMax int          // for wire.ReadFrame
	received uint64       // frames
	number   uint64       // of the next publish; 0: none
	cause    error        // why this side aborted

	handshakeTimer loop.Timer
	silenceTimer   loop.Timer
	silentTicks    int
}

// Dial starts a connection to addr ("host:port", or the path of a unix socket)
// and returns at once. It must be called on the loop, with options that
// Options.WithDefaults has returned. h hears of everything that follows, never
// before Dial has returned.
func Dial(l loop.Loop, addr string, o Options, h Handler) *Conn {
	c := &Conn{loop: l, addr: addr, dialed: addr, o: o, h: h, log: o.Logger, frameMax: max(o.MaxFrameSize, 0)}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = c.log.With("nsqd", addr)
	if o.Rewrite != nil {
		if to := o.Rewrite(addr); to != "" {
			c.dialed = to
		}
	}
	c.race()
	return c
}

// Addr is the address that was dialled, as it was given.
func (c *Conn) Addr() string { return c.addr }

// State is where the connection stands.
func (c *Conn) State() State { return c.state }

// Info is what was negotiated. It is complete from OnReady on.
func (c *Conn) Info() Info { return c.info }

// Received is the number of frames that have arrived, heartbeats included.
func (c *Conn) Received() uint64 { return c.received }

// Buffered is the number of bytes that the kernel has not taken yet. Those of
// the current turn are not among them.
func (c *Conn) Buffered() int {
	if c.conn == nil {
		return 0
	}
	return c.conn.Buffered()
}

// Close sends what was written and closes the connection, or gives up the
// dial. No event but OnClose(nil) follows.
func (c *Conn) Close() {
	if c.state == StateClosed {
		return
	}
	c.end()
	if c.conn == nil {
		c.dials.stop()
		return
	}
	c.conn.Close()
}

// Abort closes the connection at once. No event but OnClose follows, with an
// error that wraps err.
func (c *Conn) Abort(err error) {
	if c.state == StateClosed {
		return
	}
	c.cause = err
	c.end()
	if c.conn == nil {
		c.dials.stop()
		return
	}
	c.conn.Abort(err)
}

// end is the end of everything but OnClose.
func (c *Conn) end() {
	c.state, c.open = StateClosed, false
	if c.handshakeTimer != nil {
		c.handshakeTimer.Stop()
	}
	if c.silenceTimer != nil {
		c.silenceTimer.Stop()
	}
}

// events is Conn as the dial that has won sees it, so that a Conn's own methods
// are only those its user needs.
type events Conn

func (e *events) OnOpen(lc loop.Conn) {
	c := (*Conn)(e)
	c.conn = lc
	if c.state == StateClosed { // closed while the dial was on its way back
		lc.Abort(c.cause)
		return
	}
	c.tell(EventConnect, nil)
	c.identify()
}

// OnData turns whole frames into events until one of them closes the
// connection or hands what follows to a new layer.
func (e *events) OnData(p []byte) int {
	c := (*Conn)(e)
	c.silentTicks = 0
	n := 0
	for c.state != StateClosed {
		t, data, size, err := wire.ReadFrame(p[n:], c.frameMax)
		if err != nil {
			c.onBadFrame(err)
			break
		}
		if size == 0 {
			break
		}
		n += size
		c.received++
		if c.state == StateIdentifying {
			if stop := c.handshake(t, data); stop {
				break
			}
			continue
		}
		c.onFrame(t, data)
	}
	return n
}

// onFrame is one frame after the handshake.
func (c *Conn) onFrame(t wire.FrameType, data []byte) {
	switch t {
	case wire.FrameMessage:
		m, err := wire.ReadMessage(data)
		if err != nil {
			c.onBadFrame(err)
			return
		}
		c.h.OnMessage(m)
	case wire.FrameResponse:
		if string(data) == wire.Heartbeat {
			c.Nop()
			c.tell(EventHeartbeat, nil)
			return
		}
		c.h.OnResponse(data)
	case wire.FrameError:
		e := (*Error)(wire.ParseError(data))
		c.h.OnError(e)
		// Nsqd closes after a fatal error. So do we, lest a peer that does
		// not leaves commands waiting for answers that never come.
		if e.Fatal() {
			c.Abort(e)
		}
	}
}

// onBadFrame closes the connection because of bytes that are not a frame.
func (c *Conn) onBadFrame(err error) {
	if errors.Is(err, wire.ErrHTTP) {
		c.Abort(ErrHTTPEndpoint)
		return
	}
	c.Abort(fmt.Errorf("%w: %w", ErrProtocol, err))
}

func (e *events) OnClose(err error) {
	c := (*Conn)(e)
	// Asked for: Close, or Abort with the cause that is kept. The loop
	// reports a cancelled dial with an error of its own.
	asked := c.state == StateClosed
	opened, step := c.conn != nil, c.step
	c.end()
	switch {
	case asked:
		err = c.cause
	case err == nil:
		err = io.EOF // a close that nobody here asked for has no better name
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", operation(opened, step), c.name(), trimDial(err))
	}
	c.tell(EventClose, err)
	c.h.OnClose(err)
}

// name is the address, with the one that was dialled in its place if any was.
func (c *Conn) name() string {
	if c.dialed == c.addr {
		return c.addr
	}
	return c.addr + " (at " + c.dialed + ")"
}

// operation is what a connection was doing when it ended.
func operation(opened bool, s step) string {
	switch {
	case !opened:
		return "dial"
	case s == stepUpgrade:
		return "upgrade connection to"
	case s == stepAuth:
		return "authenticate to"
	case s == stepReady:
		return "connection to"
	}
	return "identify"
}

// trimDial is err without the operation and the address that the system's
// dialer puts before the cause.
func trimDial(err error) error {
	var e *net.OpError
	if errors.As(err, &e) && e.Op == "dial" && e.Err != nil {
		return e.Err
	}
	return err
}
