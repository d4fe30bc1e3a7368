package core

import (
	"fmt"
	"math"
)

// Layer turns plain bytes into what goes over the socket and back.
type Layer interface {
	Open(dst, raw []byte) ([]byte, error)
	Seal(dst, plain []byte) ([]byte, error)
	Close()
}

// partial is a layer whose Open may stop before it has opened all it was given.
type partial interface{ More() bool }

type layer struct {
	Layer
	below []byte // output gathered before the layer came, to be sent below it
	raw   []byte // what came and is to be opened in a later turn
	more  bool   // Open has stopped half way, until a later turn
}

// waits says whether there is something to be opened in a later turn.
func (l *layer) waits() bool { return l.more || len(l.raw) > 0 }

const (
	// openPiece is how much a layer is given at once, so that the handler sees
	// what was opened, and can object, before there is too much. A layer that
	// can make a thousand bytes of one stops by itself; see partial.
	openPiece = 64 << 10

	// openMost is how many plain bytes are opened for a stream in a turn, about:
	// the last Open may make as much again. The rest waits for a later turn, so
	// that one peer, with some bytes that become megabytes, does not hold up the
	// others.
	openMost = 512 << 10

	// joinPiece is how many new bytes are joined, at least, to unconsumed
	// ones. When that completes what was missing, the others are offered
	// where they lie, without a copy.
	joinPiece = 2 << 10
)

// Receive takes bytes that came from the socket. p is borrowed. If what came
// before is not opened yet, because the socket goes on reading all the same, it
// is opened now.
func (s *Stream) Receive(p []byte) {
	if s.phase != open {
		return
	}
	if s.behind {
		s.catchUp(math.MaxInt)
	}
	s.opened, s.openMost = 0, openMost
	s.feed(0, p)
	s.fallBehind()
}

// Behind says whether something that was received has to be opened yet, or
// offered. It is, in later turns; meanwhile nothing more should be read from the
// socket.
func (s *Stream) Behind() bool { return s.behind }

// Yield has what OnData leaves offered in a later turn.
func (s *Stream) Yield() bool {
	w, ok := s.sock.(catcher)
	if s.phase != open || !ok || !w.CanWait() {
		return false
	}
	s.yielded = true
	s.fallBehind()
	return true
}

// fallBehind asks for another turn if some of the input waits for one.
func (s *Stream) fallBehind() {
	waits := s.yielded
	for i := range s.layers {
		waits = waits || s.layers[i].waits()
	}
	if s.phase == open && waits && !s.behind {
		s.behind = true
		s.core.behind = append(s.core.behind, s)
	}
}

// goOn offers what was left to a later turn, and opens some more of what waits.
func (s *Stream) goOn() {
	s.behind = false
	if s.yielded {
		s.yielded = false
		s.again()
	}
	s.catchUp(openMost)
	s.fallBehind()
	if w, ok := s.sock.(catcher); ok && !s.behind {
		w.CaughtUp()
	}
}

// catchUp opens what waits, up to most plain bytes: first what has come through
// more layers already.
func (s *Stream) catchUp(most int) {
	s.opened, s.openMost = 0, most
	for level := len(s.layers) - 1; level >= 0 && s.phase == open && !s.yielded; level-- {
		if l := &s.layers[level]; l.waits() && s.opened < most {
			raw, more := l.raw, l.more
			l.raw, l.more = nil, false
			s.unseal(level, raw, more)
		}
	}
}

// feed takes raw, which the layers below level have opened, through the
// others to the handler.
func (s *Stream) feed(level int, raw []byte) {
	switch {
	case len(raw) == 0:
	case level == len(s.layers):
		s.deliver(raw)
	case s.layers[level].waits():
		s.layers[level].raw = append(s.layers[level].raw, raw...)
	default:
		s.unseal(level, raw, false)
	}
}

// unseal has a layer open raw, after what it has not opened of something before
// if there is more of that, and feeds what that makes to the next.
func (s *Stream) unseal(level int, raw []byte, more bool) {
	b := &s.core.buffers
	for (len(raw) > 0 || more) && s.phase == open {
		if s.opened >= s.openMost || s.yielded {
			l := &s.layers[level]
			l.raw, l.more = append([]byte(nil), raw...), more
			return
		}
		var piece []byte
		if !more {
			piece = raw[:min(len(raw), openPiece)]
			raw = raw[len(piece):]
		}
		s.mark() // the layer may have something to say
		buf := b.scratch()
		plain, err := buf, error(nil)
		more = false
		s.guard(KindLayer, func() {
			l := s.layers[level].Layer
			plain, err = l.Open(buf, piece)
			if p, ok := l.(partial); ok && err == nil {
				more = p.More()
			}
		})
		s.opened += len(plain)
		if s.phase == open {
			s.feed(level+1, plain)
		}
		b.putScratch(plain)
		if err != nil {
			s.lastWords()
			s.gone(err)
		}
	}
}

// lastWords sends what was gathered, and what a layer whose Open has failed has
// to say about it, as a TLS alert.
func (s *Stream) lastWords() {
	if s.phase != open || s.sock == nil {
		return
	}
	if data, ok := s.seal(); ok && len(data) > 0 {
		_ = s.write(data) // the connection ends anyway
	}
}

// deliver offers p to the handler, after what it has not consumed yet.
func (s *Stream) deliver(p []byte) {
	for len(p) > 0 && s.phase == open {
		if s.yielded {
			s.keep(p)
			return
		}
		old := len(s.in) - s.off
		if old == 0 {
			n := s.offer(p)
			s.after(p[n:], nil)
			return
		}
		k := min(len(p), max(joinPiece, old))
		if !s.keep(p[:k]) {
			return
		}
		n := s.offer(s.in[s.off:])
		switch {
		case s.phase != open:
			return
		case s.level < len(s.layers): // upgraded
			s.off += n
			s.after(nil, p[k:])
			return
		case n >= old && k < len(p): // the rest lies in p
			s.dropInput()
			p = p[n-old:]
		default:
			s.consume(n)
			p = p[k:]
		}
	}
}

// offer calls OnData and returns how much was consumed.
func (s *Stream) offer(p []byte) (n int) {
	s.core.probe.enter(KindData, s.name, 0)
	defer s.caught(KindData)
	n = s.handler.OnData(p)
	if n < 0 || n > len(p) {
		bad := n
		n = 0
		panic(fmt.Sprintf("OnData consumed %d of %d bytes", bad, len(p)))
	}
	return n
}

// after deals with what OnData left: rest, or what is in s.in when rest is
// nil, and then more, which was not offered yet. Normally rest is kept. When
// OnData has put a layer on top, all of it goes through that layer first.
func (s *Stream) after(rest, more []byte) {
	if s.phase != open {
		return
	}
	from := s.level
	if from == len(s.layers) {
		s.keep(rest)
		return
	}
	s.level = len(s.layers)
	if rest == nil && len(s.in) > s.off {
		held := s.in
		rest = held[s.off:]
		s.in, s.off = nil, 0
		s.feed(from, rest)
		s.core.buffers.putInput(held)
	} else {
		s.dropInput()
		s.feed(from, rest)
	}
	s.feed(from, more)
}

// Offer asks for OnData once more in this turn.
func (s *Stream) Offer() {
	if s.phase == open && !s.offered {
		s.offered = true
		s.core.offered = append(s.core.offered, s)
		s.core.need()
	}
}

// again serves an Offer, or an Upgrade made outside OnData.
func (s *Stream) again() {
	s.offered = false
	if s.phase != open || s.yielded || len(s.in) == s.off && s.level == len(s.layers) {
		return
	}
	if s.level == len(s.layers) {
		n := s.offer(s.in[s.off:])
		if s.phase != open {
			return
		}
		s.consume(n)
	}
	if s.level < len(s.layers) {
		s.after(nil, nil)
	}
}

// Upgrade puts l on top of the layers.
func (s *Stream) Upgrade(l Layer) {
	if s.phase != open {
		s.protect(KindLayer, l.Close)
		return
	}
	s.layers = append(s.layers, layer{Layer: l, below: s.out})
	s.out = nil
	s.Offer() // for unconsumed input, when no OnData runs that would see to it
	s.mark()  // the layer may have the first word
}

// keep appends a copy of p to the unconsumed input. It reports whether the
// stream survived that.
func (s *Stream) keep(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	b := &s.core.buffers
	have := len(s.in) - s.off
	if limit := s.core.cfg.InputLimit; have+len(p) > limit {
		s.gone(s.core.cfg.Errors.InputLimit)
		return false
	}
	switch {
	case s.in == nil:
		s.in = b.input(len(p))
	case len(s.in)+len(p) <= cap(s.in):
	case s.off > have && have+len(p) <= cap(s.in):
		s.in = s.in[:copy(s.in, s.in[s.off:])]
		s.off = 0
	default:
		next := b.input(max(have+len(p), 2*have))
		next = append(next, s.in[s.off:]...)
		b.putInput(s.in)
		s.in, s.off = next, 0
	}
	s.in = append(s.in, p...)
	return true
}

// consume drops n bytes of the unconsumed input.
func (s *Stream) consume(n int) {
	s.off += n
	if s.off == len(s.in) {
		s.dropInput()
	}
}

// dropInput gives the buffer of unconsumed input back.
func (s *Stream) dropInput() {
	if s.in != nil {
		s.core.buffers.putInput(s.in)
		s.in, s.off = nil, 0
	}
}
