package wire

import (
	"bytes"
	"time"
)

// words hands out the parameters of a line. They are separated by single
// spaces: two spaces have an empty parameter between them.
type words struct {
	rest []byte
	more bool
}

// next is the next parameter; ok is false when there is none left.
func (w *words) next() (p []byte, ok bool) {
	if !w.more {
		return nil, false
	}
	p, w.rest, w.more = cutSpace(w.rest)
	return p, true
}

// cutSpace splits b at its first space.
func cutSpace(b []byte) (word, rest []byte, found bool) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i:i], b[i+1:], true
	}
	return b[:len(b):len(b)], nil, false
}

// parseSub reads the parameters of SUB. Extra ones are ignored, as in all
// commands but AUTH.
func (c *Command) parseSub(p *words, r *Rules) *Error {
	if r.State != StateInit {
		return wrongState(Sub)
	}
	if r.HeartbeatsOff {
		return Errorf(CodeInvalid, "cannot SUB with heartbeats disabled")
	}
	c.Topic, _ = p.next()
	var ok bool
	if c.Channel, ok = p.next(); !ok {
		return Errorf(CodeInvalid, "SUB insufficient number of parameters")
	}
	if !ValidName(c.Topic) {
		return Errorf(CodeBadTopic, "SUB topic name %q is not valid", c.Topic)
	}
	if !ValidName(c.Channel) {
		return Errorf(CodeBadChannel, "SUB channel name %q is not valid", c.Channel)
	}
	if r.AuthFirst {
		return authFirst(Sub)
	}
	return nil
}

// parsePub reads the parameters of PUB, MPUB and DPUB.
func (c *Command) parsePub(p *words, r *Rules) *Error {
	topic, ok := p.next()
	var delay []byte
	if ok && c.Verb == DPub {
		delay, ok = p.next()
	}
	if !ok {
		return Errorf(CodeInvalid, "%s insufficient number of parameters", c.Verb)
	}
	if !ValidName(topic) {
		e := Errorf(CodeBadTopic, "%s topic name %q is not valid", c.Verb, topic)
		if c.Verb == MPub {
			// nsqd says the code twice here, and test suites compare it.
			e.Detail = string(CodeBadTopic) + " " + e.Detail
		}
		return e
	}
	c.Topic = topic
	if c.Verb == DPub {
		ms, ok := parseNumber(delay)
		if !ok {
			return Errorf(CodeInvalid, "DPUB could not parse timeout %s", delay)
		}
		// The product wraps for absurd numbers, exactly as it does in nsqd.
		c.Delay = time.Duration(ms) * time.Millisecond
		if c.Delay < 0 || c.Delay > r.MaxReqTimeout {
			return Errorf(CodeInvalid, "DPUB timeout %d out of range 0-%d", ms, r.MaxReqTimeout/time.Millisecond)
		}
	}
	if !r.Numbered {
		return nil
	}
	number, ok := p.next()
	if !ok {
		return Errorf(CodeInvalid, "%s insufficient number of parameters", c.Verb)
	}
	if c.Number, ok = parsePublishNumber(number); !ok {
		return Errorf(CodeInvalid, "%s could not parse number %s", c.Verb, number)
	}
	return nil
}

// MaxNumber is the highest number of a publish. Those of an MPUB, which count
// on from it, do not wrap.
const MaxNumber = 1<<62 - 1

// parsePublishNumber reads the number of a publish. As nothing of it is nsqd's,
// an empty one and one that is out of range are refused.
func parsePublishNumber(p []byte) (n uint64, ok bool) {
	const digits = 19 // of MaxNumber; as many never wrap
	if len(p) == 0 || len(p) > digits {
		return 0, false
	}
	n, ok = parseNumber(p)
	return n, ok && 0 < n && n <= MaxNumber
}

// parseRdy reads the parameter of RDY. Without one the count is 1; an empty
// one is 0, as an empty number is everywhere.
func (c *Command) parseRdy(p *words, r *Rules) *Error {
	if r.State == StateClosing {
		return nil // ignored whatever it says: a client that is closing may still be adjusting
	}
	if r.State != StateSubscribed {
		return wrongState(Rdy)
	}
	count := int64(1)
	if word, ok := p.next(); ok {
		u, ok := parseNumber(word)
		if !ok {
			return Errorf(CodeInvalid, "RDY could not parse count %s", word)
		}
		count = int64(u)
	}
	if count < 0 || count > int64(r.MaxRdyCount) {
		return Errorf(CodeInvalid, "RDY count %d out of range 0-%d", count, r.MaxRdyCount)
	}
	c.Count = int(count)
	return nil
}

// parseAnswer reads the parameters of FIN, REQ and TOUCH.
func (c *Command) parseAnswer(p *words, r *Rules) *Error {
	if r.State != StateSubscribed && r.State != StateClosing {
		return wrongState(c.Verb)
	}
	id, ok := p.next()
	var delay []byte
	if ok && c.Verb == Req {
		delay, ok = p.next()
	}
	if !ok {
		// "params" here and "parameters" elsewhere: nsqd's own words.
		return Errorf(CodeInvalid, "%s insufficient number of params", c.Verb)
	}
	if len(id) != len(c.ID) {
		return Errorf(CodeInvalid, "invalid message ID")
	}
	c.ID = ID(id)
	if c.Verb != Req {
		return nil
	}
	ms, ok := parseNumber(delay)
	if !ok {
		return Errorf(CodeInvalid, "REQ could not parse timeout %s", delay)
	}
	// Clamped where DPUB refuses: the asymmetry is nsqd's.
	c.Delay = min(max(time.Duration(ms)*time.Millisecond, 0), r.MaxReqTimeout)
	return nil
}

// parseNumber reads decimal digits. As in nsqd there is no sign, an empty
// number is 0, and what does not fit 64 bits wraps silently.
func parseNumber(p []byte) (n uint64, ok bool) {
	for _, d := range p {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + uint64(d-'0')
	}
	return n, true
}

// wrongState refuses a command that the client's state does not allow.
func wrongState(v Verb) *Error {
	return Errorf(CodeInvalid, "cannot %s in current state", v)
}

// authFirst refuses a command that needs AUTH before it.
func authFirst(v Verb) *Error {
	return Errorf(CodeAuthFirst, "AUTH required before %s", v)
}
