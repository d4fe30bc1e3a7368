package wire

import "encoding/binary"

// shortage is what an unfinished command is waiting for.
type shortage uint8

const (
	shortLine        shortage = iota + 1 // the rest of its line
	shortSize                            // the length of its body
	shortBody                            // its body
	shortCount                           // MPUB: the number of messages
	shortMessageSize                     // MPUB: the length of a message
	shortMessage                         // MPUB: a message
)

// lack notes what is missing, and that nothing changes before b has need
// bytes. It returns what ReadCommand returns for an unfinished command.
func (c *Command) lack(what shortage, index, need int, r *Rules) (int, *Error) {
	c.lacks, c.lacksIndex = what, index
	if r.Progress != nil {
		r.Progress.need = need
	}
	return 0, nil
}

// readSize reads the length that stands at b[at:].
func readSize(b []byte, at int) (size int, ok bool) {
	if len(b)-at < 4 {
		return 0, false
	}
	return int(int32(binary.BigEndian.Uint32(b[at:]))), true
}

// readJSONBody reads the body of IDENTIFY or AUTH, whose line has n bytes.
func (c *Command) readJSONBody(b []byte, n int, r *Rules) (int, *Error) {
	size, ok := readSize(b, n)
	most := r.MaxBodySize
	if r.AuthFirst && r.MaxBeforeAuth > 0 {
		most = min(most, r.MaxBeforeAuth)
	}
	switch {
	case !ok:
		return c.lack(shortSize, 0, n+4, r)
	case size > most:
		return 0, Errorf(CodeBadBody, "%s body too big %d > %d", c.Verb, size, most)
	case size <= 0:
		return 0, Errorf(CodeBadBody, "%s invalid body size %d", c.Verb, size)
	}
	return c.takeBody(b, n+4, size, r)
}

// readMessageBody reads the body of PUB or DPUB, whose line has n bytes.
func (c *Command) readMessageBody(b []byte, n int, r *Rules) (int, *Error) {
	size, ok := readSize(b, n)
	switch {
	case !ok:
		return c.lack(shortSize, 0, n+4, r)
	case size <= 0:
		return 0, Errorf(CodeBadMessage, "%s invalid message body size %d", c.Verb, size)
	case size > r.MaxMsgSize:
		return 0, Errorf(CodeBadMessage, "%s message too big %d > %d", c.Verb, size, r.MaxMsgSize)
	case r.AuthFirst && r.MaxBeforeAuth > 0 && size > r.MaxBeforeAuth:
		return 0, authFirst(c.Verb) // what would be said after the body, without keeping it
	}
	n, err := c.takeBody(b, n+4, size, r)
	if n != 0 && r.AuthFirst {
		// Only now: nsqd reads the body before it asks who sent it.
		return 0, authFirst(c.Verb)
	}
	return n, err
}

// takeBody sets the body to the size bytes at b[at:], when they are there.
func (c *Command) takeBody(b []byte, at, size int, r *Rules) (int, *Error) {
	if len(b)-at < size {
		return c.lack(shortBody, 0, at+size, r)
	}
	n := at + size
	c.Body = b[at:n:n]
	return n, nil
}

// readMessages reads what follows the line of MPUB, n bytes. As in nsqd the
// length of the whole is checked against its bounds and then ignored: the
// count and the length of each message say where the command ends. Unlike nsqd
// it also holds the messages together to the limit, which bounds how much of a
// command may have to be kept.
func (c *Command) readMessages(b []byte, n int, r *Rules) (int, *Error) {
	size, ok := readSize(b, n)
	switch {
	case !ok:
		return c.lack(shortSize, 0, n+4, r)
	case size <= 0:
		return 0, Errorf(CodeBadBody, "MPUB invalid body size %d", size)
	case size > r.MaxBodySize:
		return 0, Errorf(CodeBadBody, "MPUB body too big %d > %d", size, r.MaxBodySize)
	}
	start := n + 4
	count, ok := readSize(b, start)
	if !ok {
		return c.lack(shortCount, 0, start+4, r)
	}
	// 5 is the length of the smallest message with its own length.
	if count <= 0 || count > (r.MaxBodySize-4)/5 {
		return 0, Errorf(CodeBadBody, "MPUB invalid message count %d", count)
	}

	first := start + 4
	at, i := first, 0
	if p := r.Progress; p != nil && p.at != 0 {
		at, i = p.at, p.index
	}
	for ; i < count; i++ {
		size, ok := readSize(b, at)
		if !ok {
			return c.lackMessage(shortMessageSize, at, i, at+4, r)
		}
		if size <= 0 {
			return 0, Errorf(CodeBadMessage, "MPUB invalid message(%d) body size %d", i, size)
		}
		if size > r.MaxMsgSize {
			return 0, Errorf(CodeBadMessage, "MPUB message too big %d > %d", size, r.MaxMsgSize)
		}
		end := at + 4 + size
		if end-start > r.MaxBodySize {
			return 0, Errorf(CodeBadBody, "MPUB body too big %d > %d", end-start, r.MaxBodySize)
		}
		if end > len(b) {
			return c.lackMessage(shortMessage, at, i, end, r)
		}
		at = end
	}
	c.Count = count
	c.Body = b[first:at:at]
	return at, nil
}

// lackMessage is lack inside the messages of MPUB: it also notes where to go
// on, which is message i at b[at:].
func (c *Command) lackMessage(what shortage, at, i, need int, r *Rules) (int, *Error) {
	if r.Progress != nil {
		r.Progress.at, r.Progress.index = at, i
	}
	return c.lack(what, i, need, r)
}

// NextMessage takes the next message off the body of an MPUB; ok is false
// after the last one. The body of the message is borrowed as Body is.
func (c *Command) NextMessage() (body []byte, ok bool) {
	if len(c.Body) < 4 {
		return nil, false
	}
	end := 4 + int(binary.BigEndian.Uint32(c.Body))
	body, c.Body = c.Body[4:end:end], c.Body[end:]
	return body, true
}

// Truncated is what nsqd says when the input ends, or the deadline passes,
// with b received: nil when b is no more than a part of a line, or starts with
// a whole command, because then it says nothing.
func Truncated(b []byte, r *Rules) *Error {
	var c Command
	whole := *r
	whole.Progress, whole.MayMPub = nil, nil
	if n, err := ReadCommand(b, &whole, &c); n != 0 || err != nil {
		return err
	}
	switch c.lacks {
	case shortCount:
		return Errorf(CodeBadBody, "MPUB failed to read message count")
	case shortMessageSize:
		return Errorf(CodeBadMessage, "MPUB failed to read message(%d) body size", c.lacksIndex)
	case shortMessage:
		return Errorf(CodeBadMessage, "MPUB failed to read message body")
	case shortSize, shortBody:
		code, what := CodeBadBody, "body"
		if c.Verb == Pub || c.Verb == DPub {
			code, what = CodeBadMessage, "message body"
		}
		if c.lacks == shortSize {
			what += " size"
		}
		return Errorf(code, "%s failed to read %s", c.Verb, what)
	}
	return nil
}
