package simulation

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server"
)

// atRest compares what the server says with what the model knows, after
// everything has happened. Messages whose publishers have no answer may still
// be on their way.
func (s *system) atRest() error {
	var last error
	for end := s.world.Now().Add(patience); s.world.Now().Before(end); s.world.Run(time.Second) {
		st, err := s.stats()
		if err != nil {
			return err
		}
		if last = s.empty(st); last == nil {
			return s.model.err
		}
	}
	return fmt.Errorf("all is finished, and yet: %w", last)
}

// empty says what the server still holds.
func (s *system) empty(st server.Stats) error {
	if len(st.Topics) != 1 {
		return fmt.Errorf("the server has %d topics, want 1", len(st.Topics))
	}
	t := st.Topics[0]
	if t.Depth != 0 {
		return fmt.Errorf("the topic's depth is %d", t.Depth)
	}
	want := map[string]bool{}
	for _, r := range s.plan.readers {
		want[r.channel] = true
	}
	if len(t.Channels) != len(want) {
		return fmt.Errorf("the topic has %d channels, want %d", len(t.Channels), len(want))
	}
	for _, c := range t.Channels {
		if c.Depth != 0 || c.InFlightCount != 0 || c.DeferredCount != 0 {
			return fmt.Errorf("channel %s has depth %d, %d in flight, %d deferred", c.ChannelName, c.Depth, c.InFlightCount, c.DeferredCount)
		}
	}
	return nil
}

// stats asks the server, as a program would, from another goroutine. In this
// world a call that meets a running callback takes itself for part of it, and is
// made again.
func (s *system) stats() (server.Stats, error) {
	for {
		st, err := s.ask()
		if !errors.Is(err, loop.ErrOnLoop) && !errors.Is(err, server.ErrOnLoop) {
			return st, err
		}
	}
}

func (s *system) ask() (server.Stats, error) {
	type answer struct {
		st  server.Stats
		err error
	}
	got := make(chan answer, 1)
	srv := s.server
	go func() {
		st, err := srv.Stats(server.StatsOptions{})
		got <- answer{st, err}
	}()
	for {
		select {
		case a := <-got:
			return a.st, a.err
		default:
			s.world.Run(10 * time.Microsecond)
			runtime.Gosched()
		}
	}
}
