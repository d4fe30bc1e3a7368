// Package show consumes topics and hands message by message to a function that
// may block, such as one that writes to a terminal. A message is finished when
// that function has returned.
package show

import (
	"errors"
	"fmt"
	"sync"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

// Options say what is consumed and shown.
type Options struct {
	// Topics are what to consume, Consumer says how: Topic, Handler and
	// Workers are set for each.
	Topics   []string
	Consumer reader.Options

	// Count is how many messages are shown, 0 for any number.
	Count int

	// Show shows a message. It runs on a goroutine, one at a time.
	Show func(topic string, m *reader.Message) error

	// Done is called once, on some goroutine: with nil when Count messages
	// are shown, with Show's error when there is one.
	Done func(error)
}

// Shower shows messages.
type Shower struct {
	o       Options
	readers []*reader.Reader

	mu    sync.Mutex // readers of several topics have goroutines of their own
	shown int
	ended bool
}

// New makes a Shower on l, which ends with it.
func New(l loop.Loop, o Options) (*Shower, error) {
	if len(o.Topics) == 0 {
		return nil, errors.New("no topic to show")
	}
	s := &Shower{o: o}
	s.mu.Lock() // until all readers are there
	defer s.mu.Unlock()
	for _, topic := range o.Topics {
		c := o.Consumer
		c.Topic, c.Workers = topic, 1
		c.Handler = func(m *reader.Message) error { return s.take(topic, m) }
		if o.Count > 0 && (c.MaxInFlight == 0 || c.MaxInFlight > o.Count) {
			c.MaxInFlight = o.Count
		}
		r, err := reader.New(l, c)
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, err)
		}
		s.readers = append(s.readers, r)
	}
	return s, nil
}

// take is the readers' handler. What is not to be shown goes back at once.
func (s *Shower) take(topic string, m *reader.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		m.RequeueWithoutBackoff(0)
		return nil
	}
	if err := s.o.Show(topic, m); err != nil {
		s.end(err)
		m.RequeueWithoutBackoff(0)
		return nil
	}
	s.shown++
	if s.o.Count > 0 {
		s.slowDown(s.o.Count - s.shown)
	}
	m.Finish()
	if s.o.Count > 0 && s.shown == s.o.Count {
		s.end(nil)
	}
	return nil
}

// slowDown lets no more messages come than can be shown still.
func (s *Shower) slowDown(left int) {
	for _, r := range s.readers {
		if left == 0 {
			_ = r.Pause() // a closed reader gets no more, either
		} else if most := s.o.Consumer.MaxInFlight; most == 0 || left < most {
			_ = r.SetMaxInFlight(left)
		}
	}
}

// end tells the caller, once.
func (s *Shower) end(err error) {
	s.ended = true
	s.o.Done(err)
}
