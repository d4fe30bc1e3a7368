package reader

import (
	"runtime/debug"
	"slices"
)

// lines lets messages that have a key in common be handled one after another:
// the next when the one before is answered, and its handler has returned. It
// belongs to the loop. A map by key is what the program asks for when it sets
// Options.SerialBy; it holds what is in flight.
type lines struct {
	reader  *Reader
	key     func(m *Message) string
	byKey   map[string]*line
	free    []*line // whose front is done, until pump runs
	behind  int     // messages that wait behind others
	pumping bool    // pump will run at the end of the turn
}

// line is the messages of one key: one that the handler has, and those behind
// it in the order in which they came.
type line struct {
	key      string
	front    *Message
	ended    bool // front was answered, is lost or has expired
	returned bool // its handler does not run any more
	behind   []*Message
}

func newLines(r *Reader) *lines {
	return &lines{reader: r, key: r.o.SerialBy, byKey: map[string]*line{}}
}

// queue puts m into the line of its key, and reports whether it has to wait
// there.
func (s *lines) queue(m *Message) bool {
	key := s.keyOf(m)
	if key == "" {
		return false
	}
	n := s.byKey[key]
	if n == nil {
		n = &line{key: key, front: m}
		s.byKey[key] = n
		m.line = n
		return false
	}
	m.line = n
	n.behind = append(n.behind, m)
	s.behind++
	return true
}

// keyOf asks the program, and survives its panic: the message has no key then.
func (s *lines) keyOf(m *Message) (key string) {
	defer func() {
		if v := recover(); v != nil {
			s.reader.log.Error("SerialBy panicked", "nsqd", m.NSQD, "id", m.ID, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	return s.key(m)
}

// ended notes that a message is not in flight any more.
func (s *lines) ended(m *Message) {
	n := m.line
	if n.front != m {
		if i := slices.Index(n.behind, m); i >= 0 {
			n.behind = slices.Delete(n.behind, i, i+1)
			s.behind--
		}
		return
	}
	n.ended = true
	s.done(n)
}

// returned notes that no handler runs for a message any more.
func (s *lines) returned(m *Message) {
	n := m.line
	if n.front == m {
		n.returned = true
		s.done(n)
	}
}

// done lets the next of a line have its turn, at the turn's end: the caller may
// be a handler.
func (s *lines) done(n *line) {
	if !n.ended || !n.returned {
		return
	}
	n.front = nil
	s.free = append(s.free, n)
	s.wake()
}

// wake lets pump run at the turn's end, when a line is free and there may be
// room.
func (s *lines) wake() {
	if len(s.free) > 0 && !s.pumping {
		s.pumping = true
		s.reader.loop.AtTurnEnd(s.pump)
	}
}

// pump hands on the next messages of the lines that are free, as far as the
// handler may have more. It always has room, unless max in flight was lowered.
func (s *lines) pump() {
	r := s.reader
	for len(s.free) > 0 {
		n := s.free[0]
		if len(n.behind) > 0 && r.given-s.behind >= r.bound {
			break
		}
		s.free = s.free[1:]
		if len(n.behind) == 0 {
			delete(s.byKey, n.key)
			continue
		}
		n.front, n.ended, n.returned = n.behind[0], false, false
		n.behind = n.behind[1:]
		s.behind--
		r.handle(n.front)
	}
	s.pumping = false
}

// unstarted are the messages that wait behind others.
func (s *lines) unstarted() (all []*Message) {
	for _, node := range s.reader.nodes { // not over the map: its order is random
		if node.conn == nil {
			continue
		}
		for m := node.conn.head; m != nil; m = m.next {
			if m.line != nil && m.line.front != m {
				all = append(all, m)
			}
		}
	}
	return all
}
