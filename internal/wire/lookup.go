package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
)

// Between nsqd and nsqlookupd, after MagicV1, the client sends lines as above,
// one of them with a body, and the server answers each with a length and bytes
// that have no type:
//
//	command  name *( ' ' parameter ) LF [ size int32 | body ]
//	reply    | size int32 | data |       OK, JSON, or E_CODE description

// Limits of what is read of an nsqd. The original has none. A line holds at
// most two names; IDENTIFY says a handful of words.
const (
	MaxLookupLine = 1024     // bytes of one line, its end included
	MaxLookupBody = 16 << 10 // bytes of IDENTIFY's body
)

// ErrLookupReply is returned for a reply to an nsqd whose size makes no sense.
var ErrLookupReply = errors.New("reply of an invalid size")

// LookupVerb is a command of an nsqd to nsqlookupd.
type LookupVerb uint8

// The commands of an nsqd.
const (
	LookupPing LookupVerb = iota + 1
	LookupIdentify
	LookupRegister
	LookupUnregister
)

var lookupVerbs = [...]string{LookupPing: "PING", LookupIdentify: "IDENTIFY", LookupRegister: "REGISTER", LookupUnregister: "UNREGISTER"}

// String is the word on the wire.
func (v LookupVerb) String() string { return lookupVerbs[v] }

// LookupCommand is a command of an nsqd to nsqlookupd.
type LookupCommand struct {
	Verb    LookupVerb
	Topic   []byte         // borrowed
	Channel []byte         // borrowed; empty: the command is about the topic
	Peer    LookupIdentity // of IDENTIFY
}

// ReadLookupCommand reads the command at the beginning of b. n is 0 when it has
// not come whole. identified says whether the connection's IDENTIFY has been
// answered; an error ends the conversation. Everything is checked here, in
// nsqlookupd's order and words.
func ReadLookupCommand(b []byte, identified bool, c *LookupCommand) (n int, err *Error) {
	end := bytes.IndexByte(b[:min(len(b), MaxLookupLine)], '\n')
	if end < 0 {
		if len(b) >= MaxLookupLine {
			return 0, Errorf(CodeInvalid, "line is longer than %d bytes", MaxLookupLine)
		}
		return 0, nil
	}
	n = end + 1
	p := words{rest: bytes.TrimSpace(b[:end]), more: true}
	word, _ := p.next()
	*c = LookupCommand{}
	switch string(word) {
	case "PING":
		c.Verb = LookupPing
	case "IDENTIFY":
		c.Verb = LookupIdentify
		if identified {
			return n, Errorf(CodeInvalid, "cannot IDENTIFY again")
		}
		return c.readIdentify(b, n)
	case "REGISTER":
		c.Verb = LookupRegister
		return n, c.readNames(&p, identified)
	case "UNREGISTER":
		c.Verb = LookupUnregister
		return n, c.readNames(&p, identified)
	default:
		return n, Errorf(CodeInvalid, "invalid command %s", word)
	}
	return n, nil
}

// readNames reads the parameters of REGISTER and UNREGISTER. An empty channel
// is none.
func (c *LookupCommand) readNames(p *words, identified bool) *Error {
	if !identified {
		return Errorf(CodeInvalid, "client must IDENTIFY")
	}
	var ok bool
	if c.Topic, ok = p.next(); !ok {
		return Errorf(CodeInvalid, "%s insufficient number of params", c.Verb)
	}
	c.Channel, _ = p.next()
	if !ValidName(c.Topic) {
		return Errorf(CodeBadTopic, "%s topic name '%s' is not valid", c.Verb, c.Topic)
	}
	if len(c.Channel) > 0 && !ValidName(c.Channel) {
		return Errorf(CodeBadChannel, "%s channel name '%s' is not valid", c.Verb, c.Channel)
	}
	return nil
}

// readIdentify reads the body that follows the line of n bytes.
func (c *LookupCommand) readIdentify(b []byte, n int) (int, *Error) {
	body := b[n:]
	if len(body) < 4 {
		return 0, nil
	}
	// The original trusts this number: a negative one ends its process.
	size := int32(binary.BigEndian.Uint32(body))
	if size < 0 || size > MaxLookupBody {
		return 0, Errorf(CodeBadBody, "IDENTIFY failed to read body size")
	}
	if body = body[4:]; len(body) < int(size) {
		return 0, nil
	}
	n += 4 + int(size)
	if json.Unmarshal(body[:size], &c.Peer) != nil {
		return n, Errorf(CodeBadBody, "IDENTIFY failed to decode JSON body")
	}
	if p := &c.Peer; p.BroadcastAddress == "" || p.TCPPort == 0 || p.HTTPPort == 0 || p.Version == "" {
		return n, Errorf(CodeBadBody, "IDENTIFY missing fields")
	}
	return n, nil
}

// LookupTruncated is what nsqlookupd says when the input ends inside the
// command that begins b; nil when it says nothing.
func LookupTruncated(b []byte) *Error {
	line, body, found := bytes.Cut(b, []byte{'\n'})
	switch {
	case !found || string(bytes.TrimSpace(line)) != "IDENTIFY":
		return nil
	case len(body) < 4:
		return Errorf(CodeBadBody, "IDENTIFY failed to read body size")
	}
	return Errorf(CodeBadBody, "IDENTIFY failed to read body")
}

// LookupIdentity is the body of an nsqd's IDENTIFY to nsqlookupd: where others
// find it. The keys stand in nsqd's order.
type LookupIdentity struct {
	BroadcastAddress string `json:"broadcast_address"`
	Hostname         string `json:"hostname"`
	HTTPPort         int    `json:"http_port"`
	TCPPort          int    `json:"tcp_port"`
	TopologyRegion   string `json:"topology_region"`
	TopologyZone     string `json:"topology_zone"`
	Version          string `json:"version"`
}

// LookupReply is nsqlookupd's answer to IDENTIFY: where its HTTP API is found.
// The keys stand in nsqlookupd's order.
type LookupReply struct {
	BroadcastAddress string `json:"broadcast_address"`
	Hostname         string `json:"hostname"`
	HTTPPort         int    `json:"http_port"`
	TCPPort          int    `json:"tcp_port"`
	Version          string `json:"version"`
}

// DecodeLookupReply reads nsqlookupd's answer to IDENTIFY.
func DecodeLookupReply(data []byte) (r LookupReply, err error) {
	if bytes.HasPrefix(data, []byte("E_")) {
		return r, ParseError(data)
	}
	err = json.Unmarshal(data, &r)
	return r, err
}

// ReadLookupReply reads the reply at the beginning of b. n is 0 when it has not
// come whole. data is borrowed from b. A reply of more than max bytes is
// ErrLookupReply.
func ReadLookupReply(b []byte, max int) (data []byte, n int, err error) {
	if len(b) < 4 {
		return nil, 0, nil
	}
	size := int32(binary.BigEndian.Uint32(b))
	if size < 0 || int(size) > max {
		return nil, 0, ErrLookupReply
	}
	if len(b) < 4+int(size) {
		return nil, 0, nil
	}
	return b[4 : 4+size : 4+size], 4 + int(size), nil
}

// AppendLookupReply appends a reply to an nsqd.
func AppendLookupReply[T ~string | ~[]byte](dst []byte, data T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	return append(dst, data...)
}

// AppendLookupPing appends PING.
func AppendLookupPing(dst []byte) []byte { return append(dst, "PING\n"...) }

// AppendLookupIdentify appends IDENTIFY with its body.
func AppendLookupIdentify(dst, body []byte) []byte {
	dst = append(dst, "IDENTIFY\n"...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}

// AppendRegister appends REGISTER of a channel, or of a topic when channel is
// empty.
func AppendRegister(dst []byte, topic, channel string) []byte {
	return appendNames(dst, "REGISTER ", topic, channel)
}

// AppendUnregister appends UNREGISTER of a channel, or of a topic when channel
// is empty.
func AppendUnregister(dst []byte, topic, channel string) []byte {
	return appendNames(dst, "UNREGISTER ", topic, channel)
}

func appendNames(dst []byte, verb, topic, channel string) []byte {
	dst = append(dst, verb...)
	dst = append(dst, topic...)
	if channel != "" {
		dst = append(dst, ' ')
		dst = append(dst, channel...)
	}
	return append(dst, '\n')
}
