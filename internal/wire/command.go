package wire

import (
	"bytes"
	"encoding/binary"
	"time"
)

// MaxLine is the most bytes that a command line may have, LF included. It is
// the size of nsqd's read buffer.
const MaxLine = 16384

// Verb is the name of a command.
type Verb uint8

// The verbs that nsqd knows.
const (
	Identify Verb = iota + 1
	Auth
	Sub
	Pub
	MPub
	DPub
	Rdy
	Fin
	Req
	Touch
	Cls
	Nop
)

var verbNames = [...]string{
	Identify: "IDENTIFY", Auth: "AUTH", Sub: "SUB", Pub: "PUB", MPub: "MPUB", DPub: "DPUB",
	Rdy: "RDY", Fin: "FIN", Req: "REQ", Touch: "TOUCH", Cls: "CLS", Nop: "NOP",
}

// String is the verb as it stands on the wire.
func (v Verb) String() string {
	if v == 0 || int(v) >= len(verbNames) {
		return "unknown"
	}
	return verbNames[v]
}

// State is how far a client has come. The numbers are visible in /stats; nsqd
// never uses 1 and 2 for clients.
type State uint8

// The states of a client.
const (
	StateInit       State = 0
	StateSubscribed State = 3
	StateClosing    State = 4 // has sent CLS: answers what it holds and gets nothing new
)

// Rules are the limits and the state that a command is checked against. All
// limits must be set.
type Rules struct {
	State         State
	HeartbeatsOff bool // the client asked for no heartbeats, so it may not subscribe
	TLSRequired   bool // nothing but IDENTIFY before the upgrade
	AuthFirst     bool // the server asks for AUTH, and this client has not sent it
	Numbered      bool // publishes have a number, the last parameter of their line

	MaxMsgSize    int           // bytes of one message's body
	MaxBodySize   int           // bytes of IDENTIFY's, AUTH's and MPUB's body
	MaxRdyCount   int           // highest count of RDY
	MaxReqTimeout time.Duration // longest delay: DPUB beyond it is refused, REQ is clamped to it

	// MaxBeforeAuth, when not 0, is how many bytes of a body are waited for
	// while AuthFirst holds: nobody needs more to say who he is.
	MaxBeforeAuth int

	// MayMPub, when not nil, is asked before anything of an MPUB but its line
	// is looked at, which may be more than once: nsqd checks the grant there,
	// where it checks that of PUB and DPUB after their bodies. When wait is
	// true the command counts as not whole, and is to be read again once the
	// answer is known.
	MayMPub func(topic []byte) (wait bool, err *Error)

	// Progress, when not nil, spares ReadCommand from looking again at what
	// it has seen of an unfinished command. It belongs to one connection.
	Progress *Progress
}

// Progress is how far an unfinished command has been read. The zero value is
// the beginning of any command, and ReadCommand leaves it zero whenever it
// returns a command or an error. With it, reading an MPUB that arrives in many
// pieces costs one look at each message, whatever the pieces; without it, each
// call walks over the messages that have arrived (two loads for each, at most
// MaxBodySize/5 of them).
type Progress struct {
	need  int // no outcome before this many bytes have arrived
	at    int // MPUB: offset of the first message not looked at, 0 at the start
	index int // MPUB: its index
}

// Command is one command. Only the fields that its verb names below mean
// anything; a Command is meant to be used again for the next one. Topic,
// Channel and Body are borrowed from the bytes it was read from.
type Command struct {
	Verb    Verb
	Topic   []byte        // SUB PUB MPUB DPUB
	Channel []byte        // SUB
	ID      ID            // FIN REQ TOUCH
	Count   int           // RDY: the count. MPUB: how many messages
	Delay   time.Duration // DPUB REQ, within the limits
	Number  uint64        // PUB MPUB DPUB: with Rules.Numbered that of the (first) message, 1 to MaxNumber
	Body    []byte        // IDENTIFY AUTH PUB DPUB. MPUB: its messages, for NextMessage

	// What is missing when the command is not whole: for Truncated.
	lacks      shortage
	lacksIndex int
}

// Words of the command line and their first four bytes as a number.
const (
	finPrefix = 'F'<<24 | 'I'<<16 | 'N'<<8 | ' '
	pubPrefix = 'P'<<24 | 'U'<<16 | 'B'<<8 | ' '

	finLength = len("FIN 0123456789abcdef\n")
)

// ReadCommand reads the first command of b into c and returns its length n in
// bytes. n is 0, and err nil, while the command is not whole. Lengths and
// counts out of bounds are refused as soon as they are seen, without waiting
// for what they announce.
//
// All errors are fatal: the connection is to be closed after the error frame,
// or at once, without a frame, when the error's code is empty, which is nsqd's
// answer to a line longer than MaxLine. What AUTH means, what is inside
// IDENTIFY's JSON, who owns a message and what a topic takes are the caller's
// to check. A RDY in the state Closing is to be ignored; its count is 0.
func ReadCommand(b []byte, r *Rules, c *Command) (n int, err *Error) {
	if p := r.Progress; p != nil && p.need != 0 {
		if len(b) < p.need {
			return 0, nil
		}
		p.need = 0
	}
	if len(b) >= finLength && !r.TLSRequired {
		// The two commands that come once per message are recognised without
		// taking the line apart. What is not exactly as every client writes
		// it goes the long way, and so do all errors.
		switch binary.BigEndian.Uint32(b) {
		case finPrefix:
			if r.State != StateInit && plainID(b[4:finLength]) {
				c.Verb = Fin
				c.ID = ID(b[4:20])
				return finLength, nil
			}
		case pubPrefix:
			if n := c.plainPub(b, r); n != 0 {
				n, err = c.readMessageBody(b, n, r)
				return finish(n, err, r)
			}
		}
	}
	n, err = c.readLine(b, r)
	return finish(n, err, r)
}

// finish forgets the progress when a command is whole or refused, and sees to
// it that a refused command has no length.
func finish(n int, err *Error, r *Rules) (int, *Error) {
	if n == 0 && err == nil {
		return 0, nil
	}
	if r.Progress != nil {
		*r.Progress = Progress{}
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// plainID reports whether b, 17 bytes, is an id that needs no second look and
// an LF. A space, an LF or a CR among the bytes would mean something else.
func plainID(b []byte) bool {
	const low = 0x2121212121212121
	const high = 0x8080808080808080
	x, y := binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint64(b[8:])
	// A byte below 0x21 borrows into its own high bit.
	below := (x-low)&^x | (y-low)&^y
	return b[16] == '\n' && below&high == 0
}

// plainPub reads the line of a PUB and returns its length, 0 when b starts with
// anything that needs a second look.
func (c *Command) plainPub(b []byte, r *Rules) (n int) {
	end := plainTopic(b)
	switch {
	case end == 0:
		return 0
	case !r.Numbered && b[end] == '\n':
		n = end + 1
	case r.Numbered && b[end] == ' ':
		if c.Number, n = plainNumber(b, end+1); n == 0 {
			return 0
		}
	default:
		return 0
	}
	c.Verb = Pub
	c.Topic = b[4:end:end]
	return n
}

// plainNumber is the number of a publish at b[at:] and the offset behind the LF
// that follows it, 0 when something else stands there.
func plainNumber(b []byte, at int) (number uint64, n int) {
	end := at
	for limit := min(len(b), at+20); end < limit && b[end] != '\n'; end++ {
	}
	if end == len(b) || b[end] != '\n' {
		return 0, 0
	}
	number, ok := parsePublishNumber(b[at:end])
	if !ok {
		return 0, 0
	}
	return number, end + 1
}

// plainTopic is the offset behind "PUB " and a valid topic without a suffix, 0
// when b starts with anything else or ends there.
func plainTopic(b []byte) int {
	end := 4
	for limit := min(len(b), end+MaxNameLength+1); end < limit; end++ {
		if !nameByte[b[end]] {
			break
		}
	}
	if end == 4 || end > 4+MaxNameLength || end == len(b) {
		return 0
	}
	return end
}

// readLine finds the command line, checks what comes before any verb, and
// reads the command it names.
func (c *Command) readLine(b []byte, r *Rules) (n int, err *Error) {
	end := bytes.IndexByte(b[:min(len(b), MaxLine)], '\n')
	if end < 0 {
		if len(b) >= MaxLine {
			return 0, &Error{Detail: "command line longer than 16384 bytes"}
		}
		return c.lack(shortLine, 0, len(b)+1, r)
	}
	n = end + 1
	line := b[:end]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	name, params, some := cutSpace(line)
	verb := verbOf(name)
	if r.TLSRequired && verb != Identify {
		return 0, Errorf(CodeInvalid, "cannot %s in current state (TLS required)", name)
	}
	if verb == 0 {
		return 0, Errorf(CodeInvalid, "invalid command %s", name)
	}
	*c = Command{Verb: verb}
	p := words{rest: params, more: some}

	switch verb {
	case Identify:
		if r.State != StateInit {
			return 0, wrongState(verb)
		}
		return c.readJSONBody(b, n, r)
	case Auth:
		if r.State != StateInit {
			return 0, wrongState(verb)
		}
		if some {
			return 0, Errorf(CodeInvalid, "AUTH invalid number of parameters")
		}
		return c.readJSONBody(b, n, r)
	case Sub:
		return n, c.parseSub(&p, r)
	case Pub, DPub:
		if err := c.parsePub(&p, r); err != nil {
			return 0, err
		}
		return c.readMessageBody(b, n, r)
	case MPub:
		if err := c.parsePub(&p, r); err != nil {
			return 0, err
		}
		if r.AuthFirst {
			return 0, authFirst(verb)
		}
		if r.MayMPub != nil {
			if wait, err := r.MayMPub(c.Topic); wait || err != nil {
				return 0, err
			}
		}
		return c.readMessages(b, n, r)
	case Rdy:
		return n, c.parseRdy(&p, r)
	case Fin, Req, Touch:
		return n, c.parseAnswer(&p, r)
	case Cls:
		if r.State != StateSubscribed {
			return 0, wrongState(verb)
		}
	}
	return n, nil
}

// verbOf is the verb of that name, 0 when there is none.
func verbOf(name []byte) Verb {
	switch string(name) {
	case "IDENTIFY":
		return Identify
	case "AUTH":
		return Auth
	case "SUB":
		return Sub
	case "PUB":
		return Pub
	case "MPUB":
		return MPub
	case "DPUB":
		return DPub
	case "RDY":
		return Rdy
	case "FIN":
		return Fin
	case "REQ":
		return Req
	case "TOUCH":
		return Touch
	case "CLS":
		return Cls
	case "NOP":
		return Nop
	}
	return 0
}
