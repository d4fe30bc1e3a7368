package nsqtest

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/nsqloop/nsqloop/server"
)

const (
	patience = 10 * time.Second     // how long the Wait methods wait
	interval = 2 * time.Millisecond // how often they look
)

// WaitFinished waits until a channel's subscribers have finished n messages or
// more since the server was started first. After 10 s the test ends with the
// channel's state and the last 20 lines of the protocol: which client said what,
// and what it was sent. Bodies are cut to 40 bytes, and secrets are not shown.
func (s *Server) WaitFinished(topic, channel string, n int) {
	s.tb.Helper()
	s.wait(fmt.Sprintf("%d finished on %s/%s", n, topic, channel), topic, channel, func() bool {
		return s.finishedOf(topic, channel) >= uint64(n)
	})
}

// WaitDepth waits until n messages wait in a channel, neither in flight nor
// deferred, or, with channel "", in a topic that no channel has received from
// yet. It ends as WaitFinished does.
func (s *Server) WaitDepth(topic, channel string, n int) {
	s.tb.Helper()
	if channel == "" {
		s.wait(fmt.Sprintf("depth %d of %s", n, topic), topic, channel, func() bool {
			return s.Topic(topic).Depth == int64(n)
		})
		return
	}
	s.wait(fmt.Sprintf("depth %d of %s/%s", n, topic, channel), topic, channel, func() bool {
		ch := s.Channel(topic, channel)
		return ch.ChannelName != "" && ch.Depth == int64(n)
	})
}

// WaitDeferred waits until n messages of a channel are deferred: requeued with a
// delay, or published for later. It ends as WaitFinished does.
func (s *Server) WaitDeferred(topic, channel string, n int) {
	s.tb.Helper()
	s.wait(fmt.Sprintf("%d deferred on %s/%s", n, topic, channel), topic, channel, func() bool {
		ch := s.Channel(topic, channel)
		return ch.ChannelName != "" && ch.DeferredCount == n
	})
}

// WaitInFlight waits until n messages of a channel are in flight. It ends as
// WaitFinished does.
func (s *Server) WaitInFlight(topic, channel string, n int) {
	s.tb.Helper()
	s.wait(fmt.Sprintf("%d in flight on %s/%s", n, topic, channel), topic, channel, func() bool {
		ch := s.Channel(topic, channel)
		return ch.ChannelName != "" && ch.InFlightCount == n
	})
}

// wait waits until done. what names it.
func (s *Server) wait(what, topic, channel string, done func() bool) {
	s.tb.Helper()
	end := time.NewTimer(s.patience)
	defer end.Stop()
	again := time.NewTicker(interval)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-end.C:
			s.tb.Fatalf("no %s after %v: %s\nthe last of the protocol:\n%s", what, s.patience, s.state(topic, channel), &s.protocol)
		}
	}
}

// state says how a channel stands, for somebody who expected something else.
func (s *Server) state(topic, channel string) string {
	s.tb.Helper()
	t := s.Topic(topic)
	switch {
	case t.TopicName == "":
		return "there is no topic " + topic
	case len(t.Channels) == 0:
		return fmt.Sprintf("topic %s has depth %d and no channel", topic, t.Depth)
	case channel == "":
		return fmt.Sprintf("topic %s has depth %d, channels %s", topic, t.Depth, names(t.Channels))
	}
	ch := s.Channel(topic, channel)
	if ch.ChannelName == "" {
		return fmt.Sprintf("topic %s has depth %d and no channel %s, but %s", topic, t.Depth, channel, names(t.Channels))
	}
	text := fmt.Sprintf("%s/%s has %d finished, depth %d, in flight %d, deferred %d, requeued %d, timed out %d, %d clients",
		topic, channel, s.finishedOf(topic, channel), ch.Depth, ch.InFlightCount, ch.DeferredCount, ch.RequeueCount, ch.TimeoutCount, ch.ClientCount)
	if ch.Paused || t.Paused {
		text += ", and is paused"
	}
	for _, c := range ch.Clients {
		text += fmt.Sprintf("\n  client %s: ready count %d, in flight %d, delivered %d, finished %d, requeued %d",
			c.RemoteAddress, c.ReadyCount, c.InFlightCount, c.MessageCount, c.FinishCount, c.RequeueCount)
	}
	return text
}

func names(channels []server.ChannelStats) string {
	text := ""
	for i, ch := range channels {
		if i > 0 {
			text += ", "
		}
		text += ch.ChannelName
	}
	return text
}

// finishedOf is how many messages of a channel were finished, in all lives of
// the server.
func (s *Server) finishedOf(topic, channel string) uint64 {
	s.tb.Helper()
	n := s.Channel(topic, channel).FinishCount
	s.mu.Lock()
	defer s.mu.Unlock()
	return n + s.finished[[2]string{topic, channel}]
}

// noteFinished keeps what the server has counted in the life that ends. The
// caller has locked mu.
func (s *Server) noteFinished() {
	st, err := s.srv.Stats(server.StatsOptions{ExcludeMemory: true, ExcludeClients: true})
	if err != nil {
		return // the server is gone already
	}
	for _, t := range st.Topics {
		for _, ch := range t.Channels {
			s.finished[[2]string{t.TopicName, ch.ChannelName}] += ch.FinishCount
		}
	}
}

// bootAgain is boot, tried again while somebody else has a port that was free for
// a moment: any connection may be given it for its own end.
func (s *Server) bootAgain() error {
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(interval)
	defer again.Stop()
	for {
		err := s.boot()
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		select {
		case <-again.C:
		case <-end.C:
			return err
		}
	}
}
