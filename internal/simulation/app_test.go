package simulation

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// app is a program with Writers and Readers.
type app struct {
	s       *system
	index   int
	name    string
	loop    *looptest.Loop // nil while it is down
	life    int
	writers []*writer.Writer
	readers []*member
	pending []*publication // whose done has not run
}

// start starts the program, unless somebody has.
func (a *app) start() error {
	if a.loop != nil {
		return nil
	}
	s, p := a.s, a.s.plan.apps[a.index]
	a.loop = s.world.Loop(a.name)
	a.life++
	a.writers, a.readers = nil, nil
	for i, wp := range p.writers {
		o := writer.Options{Name: fmt.Sprint(a.name, ".w", i), FailFast: wp.failFast, Window: wp.window, Timeout: wp.timeout,
			Retry: wp.retry, Policy: wp.policy, Batch: wp.batch}
		for _, n := range wp.nsqds {
			o.NSQDs = append(o.NSQDs, s.nodes[n].addr())
		}
		w, err := writer.New(a.loop, o)
		if err != nil {
			return err
		}
		a.writers = append(a.writers, w)
	}
	for i, rp := range p.readers {
		m := &member{s: s, app: a, plan: rp, name: fmt.Sprint(a.name, ".r", i), connected: map[string]bool{}}
		a.readers = append(a.readers, m)
		if err := m.start(); err != nil {
			return err
		}
	}
	s.say("%s is up", a.name)
	return nil
}

// publish hands a step's messages to a Writer.
func (a *app) publish(st step) {
	if a.loop == nil {
		return
	}
	s, life := a.s, a.life
	s.tally.publishes++
	p := s.model.publish(st)
	wp := s.plan.apps[a.index].writers[st.who]
	p.timeout, p.many = wp.timeout, wp.retry == writer.RetryUnknown
	a.pending = append(a.pending, p)
	done := func(res writer.Result) {
		if life != a.life {
			s.model.fail("%v: done ran after the death of its program", p)
		}
		for i, q := range a.pending {
			if q == p {
				a.pending = append(a.pending[:i:i], a.pending[i+1:]...)
				break
			}
		}
		s.model.done(p, res)
	}
	w := a.writers[st.who]
	a.loop.Do(func() {
		switch {
		case len(p.messages) > 1:
			var bodies [][]byte
			for _, m := range p.messages {
				bodies = append(bodies, []byte(m.body))
			}
			w.MultiPublish(st.topic, bodies, done)
		case st.delay > 0:
			w.DeferredPublish(st.topic, st.delay, []byte(p.messages[0].body), done)
		default:
			w.Publish(st.topic, []byte(p.messages[0].body), done)
		}
	})
}

// kill ends the program. Nobody hears any more of what it has published.
func (a *app) kill() {
	if a.loop == nil {
		return
	}
	a.s.tally.faults[appKill]++
	a.s.world.Crash(a.loop)
	a.gone()
}

// stop ends the program in order: its loop drains.
func (a *app) stop() error {
	if a.loop == nil {
		return nil
	}
	a.s.tally.faults[appStop]++
	for _, r := range a.readers {
		r.leaving = true
	}
	// A message that is never answered, or a connection that is silent, holds
	// the drain up to its limit.
	if err := a.loop.Shutdown(5 * time.Second); err != nil {
		a.s.say("%v", err)
	}
	if len(a.pending) > 0 {
		return fmt.Errorf("%s has stopped, and %d publishes have no result", a.name, len(a.pending))
	}
	a.gone()
	return nil
}

// gone is the state after the end.
func (a *app) gone() {
	now := a.s.world.Now()
	for _, p := range a.pending {
		a.s.model.orphaned(p)
	}
	for _, r := range a.readers {
		r.died, r.held = now, 0
	}
	a.pending, a.loop = nil, nil
	a.life++
	a.s.say("%s has ended", a.name)
}

// member is one Reader and what its handler holds.
type member struct {
	s         *system
	app       *app
	plan      readerPlan
	name      string
	max       int // in flight
	held      int // handed over and not answered, on connections that are there
	connected map[string]bool
	lives     map[string]int // connections that were lost, by nsqd
	leaving   bool
	died      time.Time // when its program ended
	pause     pause
	reader    *reader.Reader
}

// pause is one of backoff: until when, and what may come until then, which is what
// the nsqd has sent already.
type pause struct {
	until time.Time
	most  uint64 // reader.Stats.Received
}

// exact says whether nothing lets an nsqd send more than the Reader has asked for:
// several nsqds of which one has sent what another should, a network that holds up
// what has timed out meanwhile, an operator who empties a channel.
func (m *member) exact() bool {
	p := m.s.plan
	return p.nsqds == 1 && !p.broken && !p.admin && m.plan.forgets == 0 && p.msgTimeout > 2*time.Second
}

// onBackoff is told that a pause begins: RDY 0 has gone out before the answer that
// began it.
func (m *member) onBackoff(p reader.Pause) {
	if m.exact() {
		st := m.reader.Stats()
		m.pause = pause{m.s.world.Now().Add(p.Duration), st.Received + uint64(max(0, m.max-st.InFlight-1))}
	}
}

// checkPause fails when a message comes that RDY 0 should have kept away.
func (m *member) checkPause() {
	if m.s.world.Now().Before(m.pause.until) && m.reader.Stats().Received > m.pause.most {
		m.s.model.fail("%s gets more in a pause of backoff than was under way", m.name)
	}
}

func (m *member) start() (err error) {
	s := m.s
	m.max, m.lives = m.plan.maxInFlight, map[string]int{}
	o := reader.Options{
		Topic: m.plan.topic, Channel: m.plan.channel, MaxInFlight: m.max, MaxAttempts: -1,
		RequeueDelay: 100 * time.Millisecond, MaxBackoff: 2 * time.Second, MaxReconnectDelay: 2 * time.Second,
		HTTPClient: s.http, Handler: m.handle,
		OnBackoff: m.onBackoff,
		OnConnect: func(nsqd string) { m.connected[nsqd] = true },
		OnDisconnect: func(nsqd string, err error) {
			delete(m.connected, nsqd)
			m.lives[nsqd]++
			m.held -= m.heldOn(nsqd)
			s.say("%s lost %s: %v", m.name, nsqd, err)
			if s.plan.clean() {
				s.model.fail("%s lost %s, and nothing was broken: %v", m.name, nsqd, err)
			}
		},
	}
	if m.plan.lookup {
		for _, l := range s.lookups {
			o.Lookupds = append(o.Lookupds, l.name+":4161")
		}
	} else {
		for _, n := range s.nodes {
			o.NSQDs = append(o.NSQDs, n.addr())
		}
	}
	m.reader, err = reader.New(m.app.loop, o)
	return err
}

// check holds what the Reader says of itself against what it may.
func (m *member) check() error {
	if m.app.loop == nil || !m.exact() {
		return nil
	}
	var st reader.Stats
	m.app.loop.Do(func() { st = m.reader.Stats() })
	if st.InFlight > m.max {
		return fmt.Errorf("%s has %d messages in flight, max in flight is %d", m.name, st.InFlight, m.max)
	}
	if st.Refused > 0 && m.s.plan.clean() {
		return fmt.Errorf("%d answers of %s were refused, and nothing was broken", st.Refused, m.name)
	}
	return nil
}

// heldOn ends what is held of an nsqd whose connection was lost, and counts it.
func (m *member) heldOn(nsqd string) int {
	n := 0
	for _, h := range m.s.model.held {
		if h.m == m && h.nsqd == nsqd && !h.over {
			h.over = true
			n++
		}
	}
	return n
}

// admin is a step of an operator.
func (m *member) admin(st step) {
	switch st.kind {
	case setMaxInFlight:
		n := 1 + st.n%mostSet
		// What nsqd has sent before it reads a lower count may still come.
		m.max = max(m.max, n)
		m.app.loop.Do(func() { _ = m.reader.SetMaxInFlight(n) })
	case pauseReader:
		m.app.loop.Do(func() { _ = m.reader.Pause() })
		life := m.app.life
		m.s.soon(st.last, func() error {
			if m.app.loop != nil && life == m.app.life {
				m.app.loop.Do(func() { _ = m.reader.Resume() })
			}
			return nil
		})
	}
}

// calm ends what holds the Reader up.
func (m *member) calm() {
	if m.app.loop != nil {
		m.app.loop.Do(func() { _ = m.reader.Resume() })
	}
}

// holding is one delivery in a handler's hands.
type holding struct {
	m    *member
	nsqd string
	over bool // answered, or nothing to be answered any more
}

func (h *holding) end() {
	if !h.over {
		h.over = true
		h.m.held--
	}
}

// handle is a Reader's handler. What it does follows from the message and how
// often it came, so that it does the same in a plan with fewer steps.
func (m *member) handle(msg *reader.Message) error {
	s := m.s
	s.tally.deliveries++
	d := s.model.deliver(m, msg)
	m.checkPause()
	h := s.model.hold(m, msg.NSQD)
	if m.held++; m.held > m.max {
		// Unless a connection was lost in this turn, of which the program will
		// hear at its end.
		s.after(time.Microsecond, func() {
			if m.held > m.max {
				s.model.fail("%s holds %d messages, max in flight is %d", m.name, m.held, m.max)
			}
		})
	}
	c := d.chance(s.plan.seed)
	fails, forgets := m.plan.fails, m.plan.forgets
	if s.calm {
		fails, forgets = fails/5, 0
	}
	if c.one(m.plan.touches) {
		msg.Touch()
	}
	finish := func() {
		if msg.Finish() {
			s.model.finish(d)
		}
	}
	switch {
	case c.one(fails):
		h.end()
		delay := time.Duration(c.IntN(500_000)) * time.Microsecond
		s.model.requeue(d, delay)
		return reader.RequeueAfter(delay, errors.New("fails"))
	case c.one(forgets):
		m.release(msg, h, s.plan.msgTimeout, func() {})
		return reader.Pending
	case c.one(m.plan.later):
		m.release(msg, h, time.Duration(c.IntN(1000))*time.Millisecond, finish)
		return reader.Pending
	case c.one(m.plan.twice):
		h.end()
		finish()
		if msg.Requeue(0) || msg.Finish() {
			s.model.fail("%s answered a message twice, and each time it counted", m.name)
		}
		return errors.New("answered already, so this changes nothing")
	}
	h.end()
	s.model.finish(d)
	return nil
}

// release answers a message after a while. From then on it does not count as
// held, nor from just before its time is over: it will come again.
func (m *member) release(msg *reader.Message, h *holding, after time.Duration, answer func()) {
	life := m.app.life
	left := msg.Deadline().Sub(m.app.loop.Now()) - time.Millisecond
	m.s.after(min(after, left), h.end)
	m.s.after(after, func() {
		if life == m.app.life {
			answer()
		}
	})
}

// chance is what is left to chance of a delivery.
func (d *delivery) chance(seed uint64) chance {
	h := fnv.New64a()
	fmt.Fprint(h, d.m.index, d.place.channel, d.place.deliveries)
	return chance{rand.New(rand.NewPCG(seed, h.Sum64()))}
}
