package simulation

import (
	"fmt"

	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// checkStats holds what the nsqds say of themselves against what is known, while
// things happen.
func (m *model) checkStats() error {
	for _, n := range m.s.nodes {
		if n.server == nil || n.over {
			continue
		}
		st, err := n.stats()
		if err != nil {
			return fmt.Errorf("stats of %s: %w", n.name, err)
		}
		for _, t := range st.Topics {
			for _, ch := range t.Channels {
				if err := m.checkChannel(n, t, ch); err != nil {
					return err
				}
			}
		}
	}
	return m.checkReaders()
}

func (m *model) checkReaders() error {
	for _, a := range m.s.apps {
		for _, r := range a.readers {
			if err := r.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// manyCopies is how often a message may be stored that is tried again when its
// outcome is unknown.
const manyCopies = 20

// checkChannel checks that a channel holds what it must, and nothing that it
// cannot.
func (m *model) checkChannel(n *node, t server.TopicStats, ch server.ChannelStats) error {
	if ch.Depth < 0 || ch.InFlightCount < 0 || ch.DeferredCount < 0 || t.Depth < 0 {
		return fmt.Errorf("%s says that %s/%s has depth %d, %d in flight, %d deferred", n.name, t.TopicName, ch.ChannelName, ch.Depth, ch.InFlightCount, ch.DeferredCount)
	}
	for _, c := range ch.Clients {
		if c.InFlightCount > m.s.plan.mostInFlight(t.TopicName, ch.ChannelName) {
			return fmt.Errorf("%s says that %s of %s/%s has %d in flight", n.name, c.RemoteAddress, t.TopicName, ch.ChannelName, c.InFlightCount)
		}
	}
	least, most := 0, 0
	now := m.now()
	for _, x := range m.messages {
		if x.topic == t.TopicName && x.many {
			most += manyCopies
		}
		if x.topic != t.TopicName || x.ended && x.outcome == writer.NotSent || x.node != nil && x.node != n {
			continue
		}
		l := &place{}
		for _, have := range x.places {
			if have.node == n && have.channel == ch.ChannelName {
				l = have
			}
		}
		if l.finished == nil && m.owed(x, ch.ChannelName) {
			least++
		}
		if l.finished == nil || now.Sub(l.finished.finish) < slack || m.excused(l.finished) {
			most++
		}
	}
	has := int(ch.Depth) + ch.InFlightCount + ch.DeferredCount
	if has > most {
		return fmt.Errorf("%s says that %s/%s has %d waiting, %d in flight, %d deferred: there can be %d in all",
			n.name, t.TopicName, ch.ChannelName, ch.Depth, ch.InFlightCount, ch.DeferredCount, most)
	}
	if has+int(t.Depth) < least-m.hidden(n, t.TopicName) {
		return fmt.Errorf("%s says that %s/%s has %d waiting, %d in flight, %d deferred, and the topic %d: it owes %d",
			n.name, t.TopicName, ch.ChannelName, ch.Depth, ch.InFlightCount, ch.DeferredCount, t.Depth, least)
	}
	return nil
}

// hidden is by how much a depth may be too low: a deferred record that damage or a
// power cut has taken is subtracted until the channel has caught up. So is one whose
// file went with a channel that was deleted or emptied, when that could not be
// written and a kill brings the channel back.
func (m *model) hidden(n *node, topic string) int {
	x := m.of(n)
	last := x.rotted[topic]
	for _, cut := range x.powers {
		if cut.After(last) {
			last = cut
		}
	}
	for _, name := range m.s.plan.channels {
		for _, v := range x.channel(topic, name).voids {
			if m.s.plan.disks && v.at.After(last) {
				last = v.at
			}
		}
	}
	most := 0
	for _, d := range m.messages {
		if d.topic == topic && !d.due.IsZero() && !d.at.After(last) {
			most++
		}
	}
	return most
}

// checkEmpty says what the nsqds still hold when all is done.
func (m *model) checkEmpty() error {
	for _, n := range m.s.nodes {
		if n.server == nil {
			return fmt.Errorf("%s is down", n.name)
		}
		st, err := n.stats()
		if err != nil {
			return fmt.Errorf("stats of %s: %w", n.name, err)
		}
		for _, t := range st.Topics {
			if t.Depth != 0 {
				return fmt.Errorf("%s says that topic %s has %d waiting", n.name, t.TopicName, t.Depth)
			}
			for _, ch := range t.Channels {
				if ch.Depth != 0 || ch.InFlightCount != 0 || ch.DeferredCount != 0 {
					return fmt.Errorf("%s says that %s/%s has %d waiting, %d in flight, %d deferred",
						n.name, t.TopicName, ch.ChannelName, ch.Depth, ch.InFlightCount, ch.DeferredCount)
				}
			}
		}
	}
	return nil
}

// diskDir is the directory of a topic on a node's disk.
func diskDir(topic string) string {
	switch topic {
	case "Clicks.":
		return "topic++clicks+-"
	}
	return "topic+" + topic
}
