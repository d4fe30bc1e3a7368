package reader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/client/lookup"
	"github.com/nsqloop/nsqloop/loop"
)

// GroupOptions say what a Group consumes. Options.Channel, a handler, an address
// and one of Topics and Match are required.
type GroupOptions struct {
	// Options are those of each topic's reader, but that Topic stays empty
	// and MaxInFlight is for all topics together. Workers, when there are
	// any, are for each topic, and MaxInFlight 0 means as many as those of one.
	Options

	// Topics are consumed from the start on. SetTopics changes them.
	Topics []string

	// Match, if set, says which of the topics that the Lookupds know are
	// consumed too:
	//
	//	Match: regexp.MustCompile(`^orders\.`).MatchString
	//
	// It runs on the loop after each poll, every LookupdPollInterval. A topic
	// that is not named any more is left when no nsqd has it.
	Match func(topic string) bool

	// OnJoin and OnLeave, if set, are called with the reader of each topic
	// that is consumed from now on, and that has ended: for a
	// nsqprom.Collector's AddReader and RemoveReader, say. They run on the
	// loop. The reader's share of the budget is the group's affair.
	OnJoin, OnLeave func(*Reader)

	// MaxTopics is how many topics there may be at once; more are not
	// consumed, and a warning is logged. 0 means 1,000.
	MaxTopics int
}

// Group consumes a channel of many topics with one budget of messages in
// flight. Message.Topic tells a handler where a message is from. All methods
// may be called from any goroutine.
//
// Each topic has a Reader of its own, with its own connections and its own
// backoff. The budget is divided among them as a reader divides its own among
// connections: every topic may have one message in flight on each nsqd that has
// it, as far as the budget goes, and the rest of it goes to the topics that use
// it. With more topics than MaxInFlight they take turns.
type Group struct {
	loop loop.Loop
	o    GroupOptions
	each Options // with defaults, for what the group does itself
	log  *slog.Logger
	life atomic.Int32

	first []*member // those of Topics

	// Of the loop.
	epoch   time.Time // when the group started; see Reader.now
	fixed   []string  // Topics, as set last
	members []*member // in the order in which they became known
	ready   ready     // whose slots are topics
	topics  *lookup.Poller
	ticker  loop.Timer
	full    bool // that MaxTopics is reached was logged
	remove  func()
}

// member is one topic of a group.
type member struct {
	group  *Group
	reader *Reader
	fixed  bool // one of Topics
	found  bool // by Match: it goes, unless it is fixed, when nobody names it any more
	missed int  // polls in a row that did not name it
	ended  bool // by the group
	slot   *slot
}

// NewGroup makes a Group that connects when the loop runs. What New says of
// errors and of the end holds for it too.
func NewGroup(l loop.Loop, o GroupOptions) (*Group, error) {
	if o.MaxTopics == 0 {
		o.MaxTopics = 1000
	}
	each, err := o.check()
	if err != nil {
		return nil, fmt.Errorf("group options: %w", err)
	}
	g := &Group{loop: l, o: o, each: each, log: slog.New(slog.DiscardHandler), fixed: slices.Clone(o.Topics)}
	if o.Logger != nil {
		g.log = o.Logger.With("channel", o.Channel)
	}
	for _, topic := range o.Topics {
		m, err := g.newMember(topic)
		if err != nil {
			g.closeAll(g.first)
			return nil, err
		}
		g.first = append(g.first, m)
	}
	g.remove = l.OnShutdown(func(done func()) { g.stop(); done() })
	if l.Post(g.start) != nil {
		g.remove()
		g.closeAll(g.first)
		return nil, fmt.Errorf("new group: %w", ErrClosed)
	}
	return g, nil
}

// check returns the options of each topic with defaults, or an error for the
// first field that breaks its rule.
func (o *GroupOptions) check() (each Options, err error) {
	switch {
	case o.Topic != "":
		return each, errors.New("Topic: want it empty: a group has Topics")
	case len(o.Topics) == 0 && o.Match == nil:
		return each, errors.New("Topics, Match: want at least one of them")
	case o.Match != nil && len(o.Lookupds) == 0:
		return each, errors.New("Match: want Lookupds, which know what topics there are")
	case o.MaxTopics < 0:
		return each, fmt.Errorf("MaxTopics %d: want at least 1, or 0 for the default", o.MaxTopics)
	}
	if each, err = o.of("topic"); err != nil { // one that is in order, for what Match finds is not there yet
		return each, err
	}
	return each, o.checkTopics(o.Topics)
}

// of returns the options of a topic, with defaults.
func (o *GroupOptions) of(topic string) (Options, error) {
	each := o.Options
	each.Topic = topic
	return each.withDefaults()
}

// checkTopics returns an error for the first topic that cannot be one of Topics.
func (o *GroupOptions) checkTopics(topics []string) error {
	if len(topics) > o.MaxTopics {
		return fmt.Errorf("Topics: want at most MaxTopics, %d, not %d", o.MaxTopics, len(topics))
	}
	known := make(map[string]bool, len(topics))
	for _, topic := range topics {
		if known[topic] {
			return fmt.Errorf("Topics: %s is there twice", topic)
		}
		known[topic] = true
		if err := client.CheckTopic(topic); err != nil {
			return fmt.Errorf("Topics: %w", err)
		}
	}
	return nil
}

// newMember makes the reader of a topic, which has nothing of the budget yet.
func (g *Group) newMember(topic string) (*member, error) {
	o, err := g.o.of(topic)
	if err != nil {
		return nil, fmt.Errorf("group options: topic %q: %w", topic, err)
	}
	var w *workers
	if o.Workers > 0 {
		w = newWorkers(o.Workers)
	}
	m := &member{group: g}
	m.reader, err = newReader(g.loop, o, w, m)
	return m, err
}

// start takes in the topics that are known, and asks for others.
func (g *Group) start() {
	if !g.life.CompareAndSwap(lifeNew, lifeRunning) {
		return
	}
	g.epoch = g.loop.Now()
	g.ready = ready{
		max:         g.each.MaxInFlight,
		adaptive:    true,
		idleTimeout: int64(g.each.LowReadyIdleTimeout),
		holdTimeout: int64(g.each.LowReadyTimeout),
		rand:        g.loop.Rand(),
		turned:      g.epoch.UnixNano(),
	}
	g.ticker = g.loop.Every(g.each.RedistributeInterval, g.onTick)
	for _, m := range g.first {
		m.fixed = true
		g.join(m)
	}
	if g.o.Match != nil {
		g.poll()
	}
}

// SetMaxInFlight changes the budget of all topics together. 0 stops them as
// Pause does.
func (g *Group) SetMaxInFlight(n int) error {
	if n < 0 {
		return fmt.Errorf("max in flight %d: want at least 0", n)
	}
	return g.do(func() { g.ready.setMax(n, g.now()) })
}

// Pause stops the nsqds from sending more, of whatever topic. Messages in
// flight, and those on their way, are still handled.
func (g *Group) Pause() error { return g.do(func() { g.ready.pause(true, g.now()) }) }

// Resume ends what Pause began.
func (g *Group) Resume() error { return g.do(func() { g.ready.pause(false, g.now()) }) }

// SetTopics changes GroupOptions.Topics, also to none. What is new is consumed
// from now on; while there are MaxTopics already it waits for room. What is gone
// ends as Reader.Shutdown says, unless Match has found it too, and its part of
// the budget goes to the others as its messages in flight are answered. If it is
// set again before that, it is consumed again after it. What stays is not
// disturbed.
//
// An error says which topic breaks a rule that NewGroup has as well; then nothing
// has changed.
func (g *Group) SetTopics(topics []string) error {
	if err := g.o.checkTopics(topics); err != nil {
		return fmt.Errorf("set topics: %w", err)
	}
	topics = slices.Clone(topics)
	return g.do(func() { g.fixed = topics; g.follow() })
}

// do runs f, which changes the budget, on the loop.
func (g *Group) do(f func()) error {
	if g.life.Load() == lifeClosed {
		return ErrClosed
	}
	run := func() {
		if g.life.Load() != lifeClosed {
			f()
			g.share()
		}
	}
	if g.life.Load() == lifeRunning && g.loop.OnLoop() {
		run()
		return nil
	}
	if g.loop.Post(run) != nil {
		return ErrClosed
	}
	return nil
}

// GroupStats is how a Group stands.
type GroupStats struct {
	MaxInFlight int     // as set last
	InFlight    int     // of all topics
	Paused      bool    // by Pause
	Topics      []Stats // in the order in which they became known; each one's MaxInFlight is its part now
}

// Stats returns how the group stands; nothing when it has ended or has not
// started. Off the loop it waits for the loop.
func (g *Group) Stats() (s GroupStats) {
	look := func() {
		s = GroupStats{MaxInFlight: g.ready.max, Paused: g.ready.paused}
		for _, m := range g.members {
			one := m.reader.snapshot()
			s.InFlight += one.InFlight
			s.Topics = append(s.Topics, one)
		}
	}
	if g.loop.OnLoop() {
		look()
		return s
	}
	ran := make(chan struct{})
	if g.life.Load() != lifeNew && g.loop.Post(func() { look(); close(ran) }) == nil {
		<-ran
	}
	return s
}

// Shutdown ends the group in order: it looks for no more topics, and every
// topic ends as Reader.Shutdown says, all at once.
func (g *Group) Shutdown(ctx context.Context) error {
	if g.loop.OnLoop() {
		return fmt.Errorf("shut down group: %w", client.ErrWouldBlock)
	}
	if g.closeUnstarted() {
		return nil
	}
	left := make(chan []*member, 1)
	leave := func() {
		g.stop()
		all := slices.Clone(g.members)
		for _, m := range all {
			m.reader.leave()
		}
		left <- all
	}
	if g.loop.Post(leave) != nil {
		return nil // the loop has stopped, and with it every reader
	}
	for _, m := range <-left {
		select {
		case <-m.reader.done:
		case <-ctx.Done():
			g.Close()
			return fmt.Errorf("shut down group: topic %s: %w", m.reader.o.Topic, ctx.Err())
		}
	}
	return nil
}

// Close ends the group at once, every topic as Reader.Close says.
func (g *Group) Close() error {
	if g.closeUnstarted() {
		return nil
	}
	end := func() {
		g.stop()
		g.closeAll(g.members)
	}
	if g.loop.OnLoop() {
		end()
	} else {
		_ = g.loop.Post(end) // a loop that has stopped has closed everything
	}
	return nil
}

// closeUnstarted closes a group that the loop has not started, and reports
// whether it was one.
func (g *Group) closeUnstarted() bool {
	if !g.life.CompareAndSwap(lifeNew, lifeClosed) {
		return false
	}
	g.remove()
	g.closeAll(g.first)
	return true
}

func (g *Group) closeAll(members []*member) {
	for _, m := range slices.Clone(members) {
		m.reader.Close()
	}
}

// stop ends everything that would make readers or move the budget.
func (g *Group) stop() {
	if g.closeUnstarted() || g.life.Swap(lifeClosed) == lifeClosed {
		return
	}
	g.remove()
	g.ticker.Stop()
	if g.topics != nil {
		g.topics.Stop()
	}
}
