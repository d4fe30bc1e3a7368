package server

import (
	"errors"
	"fmt"
)

// errLimit is wrapped by the refusals of what would pass a limit.
var errLimit = errors.New("limit reached")

// limited is a refusal that says which limit it was.
type limited struct{ text string }

func (e *limited) Error() string { return e.text }
func (e *limited) Unwrap() error { return errLimit }

// errNoMemory refuses what --max-memory has no room for.
var errNoMemory error = &limited{"the server holds as much for its clients as it may (--max-memory)"}

// mayMakeTopic says why somebody may not make one more topic; a nil o is the
// server itself, which may.
func (s *Server) mayMakeTopic(o *origin) error {
	if o == nil {
		return nil
	}
	if most := s.o.MaxTopicsPerClient; o.topics >= most {
		return &limited{fmt.Sprintf("this address has made %d topics that are still there, as many as it may (--max-topics-per-client)", most)}
	}
	return s.mayHold(topicCost)
}

// mayMakeChannel says why somebody may not make one more channel.
func (s *Server) mayMakeChannel(o *origin) error {
	if o == nil {
		return nil
	}
	if most := s.o.MaxChannelsPerClient; o.channels >= most {
		return &limited{fmt.Sprintf("this address has made %d channels that are still there, as many as it may (--max-channels-per-client)", most)}
	}
	return s.mayHold(channelCost)
}

// mayHold says why there is no room for n bytes more.
func (s *Server) mayHold(n int64) error {
	if s.budget.has(n) || s.relief.look() && s.budget.has(n) {
		return nil
	}
	return errNoMemory
}

// count adds n topics, or channels, to what somebody has made.
func (o *origin) count(topics, channels int) {
	if o != nil {
		o.topics += topics
		o.channels += channels
	}
}
