package core

import "time"

// How often a stream looks whether its output was taken. A socket does not
// say when it was, so somebody has to ask: soon at first, then more seldom.
const (
	pollFirst = time.Millisecond
	pollLast  = 16 * time.Millisecond
)

// Output is the plain output gathered so far in this turn.
func (s *Stream) Output() []byte {
	if s.out == nil && s.phase == open {
		s.out = s.core.buffers.scratch()
	}
	return s.out
}

// SetOutput replaces the gathered output.
func (s *Stream) SetOutput(b []byte) {
	if s.phase != open {
		return
	}
	s.out = b
	if len(b) > s.core.cfg.OutputLimit {
		s.gone(s.core.cfg.Errors.OutputLimit)
		return
	}
	s.mark()
}

// Write appends a copy of p to the output.
func (s *Stream) Write(p []byte) { s.SetOutput(append(s.Output(), p...)) }

// Buffered is the number of bytes gathered, or written and not taken yet.
func (s *Stream) Buffered() int {
	n := len(s.out)
	for i := range s.layers {
		n += len(s.layers[i].below)
	}
	if s.sock != nil {
		n += s.sock.Buffered()
	}
	return n
}

// mark lets the stream be flushed at the end of the turn.
func (s *Stream) mark() {
	if !s.dirty {
		s.dirty = true
		s.core.dirty = append(s.core.dirty, s)
		s.core.need()
	}
}

// flush seals what was gathered and writes it at once.
func (s *Stream) flush() {
	s.dirty = false
	if s.sock == nil {
		return
	}
	data, ok := s.seal()
	if !ok {
		return
	}
	if len(data) > 0 {
		if err := s.write(data); err != nil {
			s.gone(err)
		}
	}
	s.core.buffers.putScratch(data)
	if s.sock != nil {
		s.flushed()
	}
}

// write gives data to the socket.
func (s *Stream) write(data []byte) error {
	s.writing = true
	err := s.sock.Write(data)
	s.writing = false
	return err
}

// seal takes the gathered output down through the layers. What was gathered
// below a layer before the layer came goes first.
func (s *Stream) seal() (data []byte, ok bool) {
	b := &s.core.buffers
	data, s.out = s.out, nil
	for i := len(s.layers) - 1; i >= 0; i-- {
		l := &s.layers[i]
		dst := l.below
		l.below = nil
		if dst == nil {
			dst = b.scratch()
		}
		var err error
		s.guard(KindLayer, func() { dst, err = l.Seal(dst, data) })
		b.putScratch(data)
		if err != nil {
			s.gone(err)
		}
		if s.phase >= gone {
			return nil, false
		}
		data = dst
	}
	return data, true
}

// flushed looks what became of the output: too much, enough to tell the
// handler when it has gone, or nothing left of a stream that is being closed.
func (s *Stream) flushed() {
	left, cfg := s.sock.Buffered(), &s.core.cfg
	switch {
	case left > cfg.OutputLimit:
		s.gone(cfg.Errors.OutputLimit)
	case s.phase == flushing && cfg.Linger < 0:
		s.gone(nil)
	case s.phase == flushing && left == 0:
		s.phase = shut
		s.sock.CloseWrite()
	case s.phase == flushing:
		s.ask()
	case left > cfg.OutputHigh && !s.hot:
		if _, ok := s.handler.(Drainer); ok {
			s.hot = true
			s.ask()
		}
	}
}

// ask starts to look how much output is left, again and again.
func (s *Stream) ask() {
	w := s.waits()
	w.pause = pollFirst
	w.left = s.sock.Buffered()
	if w.poll == nil {
		w.poll = s.core.After(w.pause, s.polled)
	} else {
		w.poll.Reset(w.pause)
	}
}

// lingerMost is how many times Linger a closing stream may take in all.
const lingerMost = 10

// extend gives a closing stream whose peer takes its output another Linger.
func (s *Stream) extend() {
	c := s.core
	linger := int64(c.cfg.Linger)
	if left := s.wait.began + lingerMost*linger - c.since; left > 0 {
		s.wait.linger.Reset(time.Duration(min(linger, left)))
	}
}

func (s *Stream) polled() {
	if s.sock == nil {
		return
	}
	w, left := s.wait, s.sock.Buffered()
	if s.phase == flushing && left < w.left {
		s.extend()
	}
	w.left = left
	switch {
	case s.phase == flushing && left == 0:
		s.phase = shut
		s.sock.CloseWrite()
	case s.phase == open && left < s.core.cfg.OutputHigh/2:
		s.hot = false
		s.guard(KindDrain, s.handler.(Drainer).OnDrain)
	case s.phase == open || s.phase == flushing:
		w.pause = min(2*w.pause, pollLast)
		w.poll.Reset(w.pause)
	}
}
