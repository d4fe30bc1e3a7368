package nsqtest

import (
	"cmp"
	"fmt"
	"math"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// watchedLoop is a loop that writes down what passes through the connections it
// accepts, above TLS and compression. The server knows nothing of it.
type watchedLoop struct {
	*loop.Engine
	protocol *protocol
}

// Listen is loop.Loop's.
func (l watchedLoop) Listen(addr string, accept func(loop.Conn) loop.Handler) (loop.Listener, error) {
	return l.Engine.Listen(addr, func(c loop.Conn) loop.Handler {
		h, ok := accept(c).(client)
		if !ok { // it is nil: the server refuses
			return nil
		}
		return &watchedClient{client: h, l: l, rules: wire.Rules{
			MaxMsgSize: math.MaxInt32, MaxBodySize: math.MaxInt32, MaxRdyCount: math.MaxInt32, MaxReqTimeout: math.MaxInt64,
		}}
	})
}

// client is all that the server's handlers can do.
type client interface {
	loop.Handler
	loop.Drainer
	fmt.Stringer
}

// watchedClient stands between a connection and the server's handler of it. It
// belongs to the loop.
type watchedClient struct {
	client
	l       watchedLoop
	who     string
	rules   wire.Rules // what the server refuses is written down as well
	greeted bool

	inData bool
	frames []byte // sent in OnData: they are written down after its commands
	text   []byte // used again for each line
}

// OnOpen is loop.Handler's.
func (w *watchedClient) OnOpen(c loop.Conn) {
	w.who = cmp.Or(addr(c.RemoteAddr()), "@") // unix sockets: as the server prints them
	w.note(append(w.begin(":"), "connected"...))
	w.client.OnOpen(&watchedConn{Conn: c, w: w})
}

// OnData is loop.Handler's.
func (w *watchedClient) OnData(p []byte) (consumed int) {
	w.inData = true
	consumed = w.client.OnData(p)
	w.inData = false
	w.received(p[:consumed])
	w.sent(w.frames)
	w.frames = w.frames[:0]
	return consumed
}

// OnClose is loop.Handler's.
func (w *watchedClient) OnClose(err error) {
	w.client.OnClose(err)
	if err == nil {
		w.note(append(w.begin(":"), "closed by the server"...))
		return
	}
	w.note(fmt.Appendf(w.begin(":"), "closed: %v", err))
}

// begin begins a line; between is what stands behind who it is about.
func (w *watchedClient) begin(between string) []byte {
	return append(append(append(w.text[:0], w.who...), between...), ' ')
}

// note writes down a line that begin began.
func (w *watchedClient) note(text []byte) {
	w.text = text
	w.l.protocol.add(w.l.Now(), text)
}

// received writes down the commands in p. It ends with one that the server
// cannot have understood.
func (w *watchedClient) received(p []byte) {
	if !w.greeted && len(p) >= len(wire.MagicV2) && string(p[:len(wire.MagicV2)]) == wire.MagicV2 {
		w.greeted = true
		w.note(fmt.Appendf(w.begin(" >"), "%q", wire.MagicV2))
		p = p[len(wire.MagicV2):]
	}
	var cmd wire.Command
	for len(p) > 0 {
		n := 0
		if w.greeted {
			n, _ = wire.ReadCommand(p, &w.rules, &cmd) // what was wrong the server says
		}
		if n == 0 {
			w.note(appendNoCommand(w.begin(" >"), p))
			return
		}
		if cmd.Verb == wire.Sub {
			w.rules.State = wire.StateSubscribed
		}
		w.note(appendCommand(w.begin(" >"), &cmd))
		p = p[n:]
	}
}

// say is told what the server sends.
func (w *watchedClient) say(p []byte) {
	if w.inData {
		w.frames = append(w.frames, p...)
		return
	}
	w.sent(p)
}

// sent writes down the frames in p, and what is none, such as an answer in HTTP.
func (w *watchedClient) sent(p []byte) {
	for len(p) > 0 {
		kind, data, n, err := wire.ReadFrame(p, 0)
		if err != nil || n == 0 {
			w.note(appendCut(w.begin(" <"), p, errorShown))
			return
		}
		w.note(appendFrame(w.begin(" <"), kind, data))
		p = p[n:]
	}
}

// watchedConn is a connection whose output is watched.
type watchedConn struct {
	loop.Conn
	w   *watchedClient
	had int // bytes of output when it was asked for
}

// Output is loop.Conn's.
func (c *watchedConn) Output() []byte {
	out := c.Conn.Output()
	c.had = len(out)
	return out
}

// SetOutput is loop.Conn's.
func (c *watchedConn) SetOutput(b []byte) {
	c.w.say(b[c.had:])
	c.Conn.SetOutput(b)
}

// Write is loop.Conn's.
func (c *watchedConn) Write(p []byte) {
	c.w.say(p)
	c.Conn.Write(p)
}
