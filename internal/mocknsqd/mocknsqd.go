// Package mocknsqd is a scripted nsqd for tests of the client's side: it
// speaks the protocol, keeps nothing but a record of what it was told, and
// does what the test says. It runs on any loop.Loop, so also in virtual time.
//
// Without a script it acts as an nsqd that likes everything: IDENTIFY and AUTH
// are answered, publishes and SUB get OK, CLS gets CLOSE_WAIT, bad commands get
// nsqd's error and a close. It never delivers a message by itself.
package mocknsqd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// IdentifyReply is what the mock answers to IDENTIFY unless told otherwise:
// nsqd's values.
const IdentifyReply = `{"max_rdy_count":2500,"version":"1.3.0","max_msg_timeout":900000,"msg_timeout":60000,` +
	`"tls_v1":false,"deflate":false,"deflate_level":6,"max_deflate_level":6,"snappy":false,"sample_rate":0,` +
	`"auth_required":false,"output_buffer_size":16384,"output_buffer_timeout":250,"topology_region":"","topology_zone":""}`

// AuthReply is what the mock answers to AUTH.
const AuthReply = `{"identity":"somebody","identity_url":"","permission_count":1}`

// Published is one message that the mock has executed the publish of.
type Published struct {
	Topic string
	Body  string
	Delay time.Duration
}

// NSQD is the mock. Its fields and methods belong to the loop, or to the test
// while the loop does not run.
type NSQD struct {
	// Script, when not nil, sees each command first, on its connection.
	// True means that it was dealt with, and the mock does nothing more. The
	// command is borrowed.
	Script func(c *Conn, cmd *wire.Command) (handled bool)

	// OnAccept, when not nil, sees each connection before anything else.
	// False refuses it.
	OnAccept func(c *Conn) bool

	// Identify answers IDENTIFY: IdentifyReply, "OK", or anything else.
	Identify string

	// Token, when not empty, is the answer to those who want to be remembered
	// as a publisher, as nsqd-lite's: of what they number, nothing is stored
	// twice. Forget changes it.
	Token string

	// Quiet keeps no record of commands and messages, for measurements.
	Quiet bool

	Commands  []string    // every command as one line: "PUB topic body", "RDY 5"
	Published []Published // every message published, in order of execution
	Conns     []*Conn     // open connections, in order of arrival
	Accepted  int         // connections ever
	Repeats   int         // messages that it was sent and had already: see Token

	marks    map[string]uint64 // the highest number stored, by publisher and topic
	listener loop.Listener
}

// Listen starts a mock on addr of l. It must be called on the loop or before
// it starts.
func Listen(l loop.Loop, addr string) (*NSQD, error) {
	s := &NSQD{Identify: IdentifyReply}
	ln, err := l.Listen(addr, s.accept)
	if err != nil {
		return nil, err
	}
	s.listener = ln
	return s, nil
}

// Addr is the address to dial.
func (s *NSQD) Addr() string { return s.listener.Addr().String() }

// Stop closes the listener and cuts all connections, as kill -9 does.
func (s *NSQD) Stop() {
	s.listener.Close()
	s.Cut()
}

// Forget makes the mock remember no publisher, and then those who connect, with
// another token.
func (s *NSQD) Forget(token string) { s.Token, s.marks = token, nil }

// Cut cuts all connections.
func (s *NSQD) Cut() {
	for _, c := range slices.Clone(s.Conns) {
		c.Abort()
	}
}

// Bodies are the bodies published so far.
func (s *NSQD) Bodies() []string {
	var all []string
	for _, p := range s.Published {
		all = append(all, p.Body)
	}
	return all
}

func (s *NSQD) accept(lc loop.Conn) loop.Handler {
	s.Accepted++
	c := &Conn{Server: s, Number: s.Accepted, conn: lc}
	c.rules = wire.Rules{
		MaxMsgSize:    1 << 20,
		MaxBodySize:   5 << 20,
		MaxRdyCount:   2500,
		MaxReqTimeout: time.Hour,
		Progress:      &c.progress,
	}
	if s.OnAccept != nil && !s.OnAccept(c) {
		return nil
	}
	s.Conns = append(s.Conns, c)
	return c
}

// Conn is one connection to the mock.
type Conn struct {
	Server *NSQD
	Number int // of the connection, from 1 in order of arrival

	// Mute executes and records commands but answers nothing.
	Mute bool

	// Deaf leaves what arrives unread.
	Deaf bool

	Commands []string // as NSQD.Commands, of this connection
	Closed   bool     // the connection is gone

	conn      loop.Conn
	publisher string // as whom it is remembered
	magic     bool
	upgraded  bool // the command that runs has put a layer on
	closing   bool // a fatal error was sent: nothing more is executed
	rules     wire.Rules
	progress  wire.Progress
	cmd       wire.Command
}

// OnOpen implements loop.Handler.
func (c *Conn) OnOpen(lc loop.Conn) { c.conn = lc }

// OnClose implements loop.Handler.
func (c *Conn) OnClose(error) {
	c.Closed = true
	if i := slices.Index(c.Server.Conns, c); i >= 0 {
		c.Server.Conns = slices.Delete(c.Server.Conns, i, i+1)
	}
}

// OnData implements loop.Handler.
func (c *Conn) OnData(p []byte) int {
	n := 0
	if !c.magic {
		if len(p) < len(wire.MagicV2) {
			return 0
		}
		if string(p[:4]) != wire.MagicV2 {
			c.Fail(wire.CodeBadProtocol, "")
			return len(p)
		}
		c.magic, n = true, 4
	}
	for !c.closing && !c.Closed && !c.Deaf {
		size, err := wire.ReadCommand(p[n:], &c.rules, &c.cmd)
		if err != nil {
			c.Fail(err.Code, err.Detail)
			return len(p)
		}
		if size == 0 {
			break
		}
		n += size
		if c.exec(&c.cmd); c.upgraded {
			c.upgraded = false
			break // the rest is for the layer
		}
	}
	if c.closing {
		return len(p)
	}
	return n
}

// exec records and answers one command.
func (c *Conn) exec(cmd *wire.Command) {
	s := c.Server
	if !s.Quiet {
		line := Line(cmd)
		s.Commands = append(s.Commands, line)
		c.Commands = append(c.Commands, line)
	}
	if s.Script != nil && s.Script(c, cmd) {
		return
	}
	switch cmd.Verb {
	case wire.Identify:
		c.Respond(c.identify(cmd))
	case wire.Auth:
		c.Respond(AuthReply)
	case wire.Pub, wire.MPub, wire.DPub:
		c.Take(cmd)
		c.OK()
	case wire.Sub:
		c.rules.State = wire.StateSubscribed
		c.OK()
	case wire.Cls:
		c.rules.State = wire.StateClosing
		c.Respond(wire.CloseWait)
	}
}

// identify is the answer to IDENTIFY.
func (c *Conn) identify(cmd *wire.Command) string {
	s := c.Server
	q, err := wire.DecodeIdentify(cmd.Body)
	if err != nil || q.LitePublisher == "" || s.Token == "" {
		return s.Identify
	}
	c.publisher, c.rules.Numbered = q.LitePublisher, true
	return strings.TrimSuffix(s.Identify, "}") + `,"lite_publisher":"` + s.Token + `"}`
}

// Take records the messages of a publish without answering it.
func (c *Conn) Take(cmd *wire.Command) {
	s := c.Server
	if s.Quiet {
		return
	}
	if cmd.Verb != wire.MPub {
		if !c.fresh(cmd, 0) {
			return
		}
		m := Published{Topic: string(cmd.Topic), Body: string(cmd.Body)}
		if cmd.Verb == wire.DPub { // for a PUB the field is left from another command
			m.Delay = cmd.Delay
		}
		s.Published = append(s.Published, m)
		return
	}
	batch := *cmd // NextMessage consumes the command's body
	for i := uint64(0); ; i++ {
		body, ok := batch.NextMessage()
		if !ok {
			return
		}
		if !c.fresh(cmd, i) {
			continue
		}
		s.Published = append(s.Published, Published{Topic: string(cmd.Topic), Body: string(body)})
	}
}

// fresh says whether the i-th message of a publish was not stored before, and
// that it is now.
func (c *Conn) fresh(cmd *wire.Command, i uint64) bool {
	if c.publisher == "" {
		return true
	}
	s, key, number := c.Server, c.publisher+" "+string(cmd.Topic), cmd.Number+i
	if number <= s.marks[key] {
		s.Repeats++
		return false
	}
	if s.marks == nil {
		s.marks = map[string]uint64{}
	}
	s.marks[key] = number
	return true
}

// OK answers "OK".
func (c *Conn) OK() {
	if !c.Mute {
		c.conn.SetOutput(append(c.conn.Output(), wire.OKFrame...))
	}
}

// Respond sends a response frame.
func (c *Conn) Respond(data string) {
	if !c.Mute {
		c.conn.SetOutput(wire.AppendResponse(c.conn.Output(), data))
	}
}

// Heartbeat sends a heartbeat.
func (c *Conn) Heartbeat() { c.Respond(wire.Heartbeat) }

// Message sends a message frame with the given id, which is filled up to 16
// bytes.
func (c *Conn) Message(id string, attempts uint16, timestamp time.Time, body string) {
	if !c.Mute {
		c.conn.SetOutput(wire.AppendMessage(c.conn.Output(), timestamp.UnixNano(), attempts, ID(id), []byte(body)))
	}
}

// ID is a message id that begins with s and is filled up with zeros.
func ID(s string) wire.ID {
	var id wire.ID
	for i := range id {
		id[i] = '0'
	}
	copy(id[:], s)
	return id
}

// Error sends an error frame. When the code is a fatal one, use Fail.
func (c *Conn) Error(code wire.Code, detail string) {
	if !c.Mute {
		c.conn.SetOutput(wire.AppendError(c.conn.Output(), &wire.Error{Code: code, Detail: detail}))
	}
}

// Fail sends an error frame, executes nothing more and closes, as nsqd does.
func (c *Conn) Fail(code wire.Code, detail string) {
	if code != "" {
		c.Error(code, detail)
	}
	c.Close()
}

// Upgrade puts l on the connection, after what was written and before what is
// written next.
func (c *Conn) Upgrade(l loop.Layer) {
	c.upgraded = true
	c.conn.Upgrade(l)
}

// Raw sends bytes as they are.
func (c *Conn) Raw(p []byte) { c.conn.Write(p) }

// Close sends what was written, executes nothing more and closes.
func (c *Conn) Close() {
	c.closing = true
	c.conn.Close()
}

// Abort cuts the connection.
func (c *Conn) Abort() {
	c.closing = true
	c.conn.Abort(fmt.Errorf("cut by the mock"))
}

// Hear makes a Deaf connection read again.
func (c *Conn) Hear() {
	c.Deaf = false
	c.conn.Offer()
}

// Line is a command as one line of text.
func Line(cmd *wire.Command) string {
	v, topic := cmd.Verb.String(), string(cmd.Topic)
	if cmd.Number != 0 {
		topic += fmt.Sprint(" #", cmd.Number)
	}
	switch cmd.Verb {
	case wire.Identify, wire.Auth:
		return v + " " + string(cmd.Body)
	case wire.Sub:
		return fmt.Sprintf("%s %s %s", v, cmd.Topic, cmd.Channel)
	case wire.Pub:
		return fmt.Sprintf("%s %s %s", v, topic, cmd.Body)
	case wire.MPub:
		return fmt.Sprintf("%s %s %d", v, topic, cmd.Count)
	case wire.DPub:
		return fmt.Sprintf("%s %s %d %s", v, topic, cmd.Delay.Milliseconds(), cmd.Body)
	case wire.Rdy:
		return fmt.Sprintf("%s %d", v, cmd.Count)
	case wire.Fin, wire.Touch:
		return fmt.Sprintf("%s %s", v, cmd.ID)
	case wire.Req:
		return fmt.Sprintf("%s %s %d", v, cmd.ID, cmd.Delay.Milliseconds())
	}
	return v
}
