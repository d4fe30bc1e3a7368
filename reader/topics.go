package reader

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nsqloop/nsqloop/client/lookup"
)

// poll asks the nsqlookupds what topics there are.
func (g *Group) poll() {
	g.topics = lookup.NewPoller(g.loop, lookup.PollerOptions{
		Query:      lookup.Topics(),
		Interval:   g.each.LookupdPollInterval,
		Jitter:     g.each.LookupdPollJitter,
		OnAnswer:   g.onTopics,
		OnInterval: g.onInterval,
		OnError:    g.report,
		HTTPClient: g.each.HTTPClient,
		Secret:     g.each.LookupdSecret,
		Logger:     g.log,
	})
	servers, _ := lookup.ParseAll(g.each.Lookupds) // checked before
	for _, at := range servers {
		g.topics.Add(at)
	}
}

// onTopics makes readers for the topics that are new.
func (g *Group) onTopics(all lookup.Answer) {
	for _, topic := range all.Topics {
		if m := g.member(topic); (m == nil || !m.found) && g.o.Match(topic) {
			g.want(topic, false)
		}
	}
}

// follow makes of the topics that there are those that there should be.
func (g *Group) follow() {
	fixed := make(map[string]bool, len(g.fixed))
	for _, topic := range g.fixed {
		fixed[topic] = true
	}
	for _, m := range slices.Clone(g.members) {
		m.fixed = fixed[m.reader.o.Topic]
		if !m.fixed && !m.found {
			g.leave(m)
		}
	}
	for _, topic := range g.fixed {
		g.want(topic, true)
	}
}

// want makes a reader for a topic of Topics, or one that Match has found, when
// there is none, and there is room. One that is about to end is not replaced
// before: a topic has one reader at a time.
func (g *Group) want(topic string, fixed bool) {
	m := g.member(topic)
	if m == nil {
		if len(g.members) >= g.o.MaxTopics {
			if !g.full {
				g.log.Warn("topics are not consumed: there are too many", "topic", topic, "max_topics", g.o.MaxTopics)
			}
			g.full = true
			return
		}
		var err error
		if m, err = g.newMember(topic); errors.Is(err, ErrClosed) {
			return // the loop has stopped
		} else if err != nil {
			g.report(err)
			return
		}
		g.join(m)
	}
	m.fixed = m.fixed || fixed
	m.found = m.found || !fixed
}

// onInterval counts the topics that the answers since the last poll have not
// named, and leaves those that no nsqd has.
func (g *Group) onInterval(all lookup.Answer) {
	for _, m := range slices.Clone(g.members) {
		m.missed++
		if m.fixed || slices.Contains(all.Topics, m.reader.o.Topic) {
			m.missed = 0
		}
		if m.missed >= missedPolls && len(m.reader.ready.slots) == 0 && !m.reader.leaving {
			g.log.Info("topic left: nobody has it", "topic", m.reader.o.Topic)
			g.leave(m)
		}
	}
}

// leave ends a topic in order. Of the budget it keeps what is in flight.
func (g *Group) leave(m *member) {
	if !m.reader.leaving {
		m.ended = true
		g.ready.retire(m.slot, g.now())
		m.reader.leave()
	}
}

// report logs what went wrong and tells OnError.
func (g *Group) report(err error) {
	g.log.Warn("looking for topics", "err", err)
	if g.o.OnError != nil {
		g.loop.AtTurnEnd(func() { g.o.OnError(fmt.Errorf("looking for topics: %w", err)) })
	}
}

func (g *Group) member(topic string) *member {
	for _, m := range g.members {
		if m.reader.o.Topic == topic {
			return m
		}
	}
	return nil
}

// join takes a topic into the budget.
func (g *Group) join(m *member) {
	g.members = append(g.members, m)
	m.slot = g.ready.add(nil, math.MaxInt32, g.now())
	m.slot.member = m
	g.share()
	m.tell(g.o.OnJoin)
}

// tell calls a function of the program's, at the end of the turn.
func (m *member) tell(f func(*Reader)) {
	if f != nil {
		m.reader.emit(func() { f(m.reader) })
	}
}

// left takes a topic whose reader has ended out of it.
func (g *Group) left(m *member) {
	i := slices.Index(g.members, m)
	if i < 0 {
		return // the group has not started
	}
	g.members = slices.Delete(g.members, i, i+1)
	g.ready.remove(m.slot, g.now())
	m.slot = nil
	m.tell(g.o.OnLeave)
	if g.life.Load() == lifeClosed {
		return
	}
	if g.full || m.ended && slices.Contains(g.fixed, m.reader.o.Topic) {
		g.full = false
		g.follow()
	}
	g.share()
}

// message and answered tell the group's budget what a topic's has been told.
func (m *member) message() {
	if m.slot != nil {
		m.group.ready.message(m.slot, m.group.now())
		m.group.share()
	}
}

func (m *member) answered() {
	if m.slot != nil {
		m.group.ready.answered(m.slot, m.group.now())
		m.group.share()
	}
}

// resize notes how many nsqds have the topic: as many messages it should be
// able to have in flight before it has had one.
func (m *member) resize() {
	if m.slot == nil {
		return
	}
	m.slot.least = len(m.reader.ready.slots)
	m.group.ready.adjust(m.group.now())
	m.group.share()
}

func (g *Group) onTick() {
	g.ready.tick(g.now())
	g.share()
}

// share gives the readers what has been decided: first those that get less.
func (g *Group) share() {
	if len(g.ready.changed) == 0 {
		return
	}
	for _, less := range []bool{true, false} {
		for _, s := range g.ready.changed {
			if s.member != nil && s.member.slot == s && s.count != s.sent && (s.count < s.sent) == less {
				s.sent = s.count
				s.member.reader.lend(s.count)
			}
		}
	}
	for _, s := range g.ready.changed {
		s.changed = false
	}
	clear(g.ready.changed)
	g.ready.changed = g.ready.changed[:0]
}

func (g *Group) now() int64 { return g.epoch.UnixNano() + int64(g.loop.Now().Sub(g.epoch)) }
