package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/writer"
)

// model is what must be true, kept beside the system.
type model struct {
	s      *system
	err    error // the first thing that was wrong
	calmAt time.Time

	publications []*publication // of which something may still be missing
	messages     []*message     // by index
	held         []*holding
	nodes        map[*node]*nodeModel
}

// nodeModel is what is known of an nsqd and its disk.
type nodeModel struct {
	downs    []span
	kills    []time.Time // of those, the ones out of order
	slow     []slowness
	powers   []time.Time                 // when it lost power
	cuts     []time.Time                 // of those, when it may have lost what was confirmed
	channels map[[2]string]*channelModel // by topic and channel; a topic by its own
	drops    []span                      // when a fsync may have failed, and what it covers
	rotted   map[string]time.Time        // topics whose files were damaged, and when last
	weak     []span                      // when what was confirmed may not be on the disk in spite of a fsync
}

// channelModel is what was done to a channel, or to a topic as a whole.
type channelModel struct {
	since  time.Time // it is certain to be there since; zero: it is not
	voids  []void
	back   time.Time // when it was last set back
	held   bool      // paused
	heldAt time.Time // and since when
}

// void is when messages of a channel were dropped: all of them, or perhaps some.
type void struct {
	at  time.Time
	all bool
}

// span is from when to when something was going on.
type span struct{ from, to time.Time }

// publication is one call, of one message or several.
type publication struct {
	topic    string
	messages []*message
	at       time.Time
	due      time.Time // not to be delivered before; the zero time means at once
	timeout  time.Duration
	ended    bool
	endedAt  time.Time
	outcome  writer.Outcome
	node     *node // where it went; nil while that is not known
	many     bool  // it is tried again when its outcome is unknown, and may be stored more than once
}

func (p *publication) String() string {
	return fmt.Sprintf("%q, %d messages to %s", p.messages[0].name(), len(p.messages), p.topic)
}

// message is one message, from the publisher's side.
type message struct {
	*publication
	index  int
	body   string
	id     reader.MessageID // zero until it was delivered
	stamp  time.Time
	places []*place
}

func (m *message) name() string { return fmt.Sprint("message ", m.index) }

// place is a channel on an nsqd, as one message sees it.
type place struct {
	node       *node
	channel    string
	deliveries int
	attempts   []uint16 // of the deliveries
	last       *delivery
	finished   *delivery
}

// delivery is one time that a handler got a message.
type delivery struct {
	m      *message
	by     *member
	place  *place
	at     time.Time
	over   time.Time // when the nsqd stops waiting for the answer, as the Reader knows it
	finish time.Time // when it was answered
	due    time.Time // not before then again; the zero time: it was not requeued
}

func newModel(s *system) *model {
	m := &model{s: s, nodes: map[*node]*nodeModel{}}
	return m
}

func (m *model) of(n *node) *nodeModel {
	x := m.nodes[n]
	if x == nil {
		x = &nodeModel{channels: map[[2]string]*channelModel{}, rotted: map[string]time.Time{}}
		m.nodes[n] = x
	}
	return x
}

func (x *nodeModel) channel(topic, channel string) *channelModel {
	key := [2]string{topic, channel}
	if x.channels[key] == nil {
		x.channels[key] = &channelModel{}
	}
	return x.channels[key]
}

func (m *model) now() time.Time { return m.s.world.Now() }

func (m *model) fail(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
		m.s.say("WRONG: %v", m.err)
	}
}

// slack is for what is on its way at a moment when something happens.
const slack = 300 * time.Millisecond

// What follows is told by the system as it happens.

func (m *model) publish(st step) *publication {
	p := &publication{topic: st.topic, at: m.now()}
	if st.delay > 0 {
		p.due = p.at.Add(st.delay)
	}
	for range st.messages {
		x := &message{publication: p, index: len(m.messages)}
		x.body = fmt.Sprint(x.index, " ")
		x.body += strings.Repeat("x", max(0, st.size-len(x.body)))
		p.messages = append(p.messages, x)
		m.messages = append(m.messages, x)
	}
	m.publications = append(m.publications, p)
	m.s.say("publish %v, delay %v", p, st.delay)
	return p
}

func (m *model) end(p *publication, outcome writer.Outcome, n *node, err error) {
	m.s.say("%v: %v %v", p, outcome, err)
	if p.ended {
		m.fail("%v: done ran twice", p)
	}
	p.ended, p.endedAt, p.outcome = true, m.now(), outcome
	switch outcome {
	case writer.Confirmed:
		m.s.tally.confirmed++
		m.wentTo(p, n)
		if m.lostPowerAfter(n, p.at) {
			p.outcome = writer.Unknown // the answer was under way when what it says was lost
		}
	case writer.Unknown:
		m.s.tally.unknown++
		m.wentTo(p, n)
	case writer.NotSent:
		m.s.tally.notSent++
		for _, x := range p.messages {
			for _, l := range x.places {
				m.fail("%s was delivered on %s of %s, and its result says it was not sent: %v", x.name(), l.channel, l.node.name, err)
			}
		}
	case writer.Rejected:
		m.fail("%v was rejected, and nothing is wrong with it: %v", p, err)
	}
}

// done is a publish's callback.
func (m *model) done(p *publication, res writer.Result) {
	var n *node
	for _, x := range m.s.nodes {
		if x.addr() == res.NSQD {
			n = x
		}
	}
	if n == nil && !p.many && (res.Outcome() == writer.Confirmed || res.Outcome() == writer.Unknown) {
		m.fail("%v: %v, and no nsqd is named but %q", p, res.Outcome(), res.NSQD)
	}
	if took := m.now().Sub(p.at); took > p.timeout+10*time.Millisecond {
		m.fail("%v: done ran after %v, its deadline was %v", p, took, p.timeout)
	}
	m.end(p, res.Outcome(), n, res.Err)
}

func (m *model) confirmed(p *publication, n *node)  { m.end(p, writer.Confirmed, n, nil) }
func (m *model) lostAnswer(p *publication, n *node) { m.end(p, writer.Unknown, n, nil) }
func (m *model) refused(p *publication)             { m.end(p, writer.NotSent, nil, nil) }

// orphaned is a publish whose program has died before it heard.
func (m *model) orphaned(p *publication) {
	p.ended, p.endedAt, p.outcome = true, m.now(), writer.Unknown
	m.s.tally.unknown++
}

// wentTo holds where a publish went against where it was seen.
func (m *model) wentTo(p *publication, n *node) {
	if p.node != nil && p.node != n && !p.many {
		m.fail("%v went to %s, and is on %s", p, n.name, p.node.name)
	}
	p.node = n
}

// down is the end of an nsqd, which began at a time and is over now. A power cut
// takes what it may take.
func (m *model) down(n *node, began time.Time, how stepKind) {
	x, power := m.of(n), how == powerCut
	if how != stop || m.s.plan.disks { // which may not let it write what it has to
		x.kills = append(x.kills, m.now())
	}
	promised := m.s.plan.sync == server.SyncAlways
	if power {
		x.powers = append(x.powers, m.now())
	}
	if power && !promised {
		x.cuts = append(x.cuts, m.now())
		lost := m.lostSince(x, began)
		for _, c := range x.channels {
			if !c.since.Before(lost) {
				c.since = time.Time{}
			}
		}
		for _, d := range m.messages {
			late := !d.endedAt.Before(lost)
			if d.outcome == writer.Confirmed && d.node == n && (late || x.doomed(d.endedAt)) {
				d.outcome = writer.Unknown // it may be gone
			}
			if d.outcome == writer.NotSent && m.s.plan.disks && late {
				// What is stored of a write that fails half way is cut off again,
				// which is undone if that was not synced.
				d.outcome = writer.Unknown
			}
		}
		began = lost
	}
	if !power && !promised {
		// What was not synced then is not before the next start has written
		// something, and synced that.
		x.weak = append(x.weak, span{began.Add(-time.Second - slack), m.now().Add(time.Hour)})
	}
	x.downs = append(x.downs, span{began, m.now()})
}

// doomed says whether a fsync that failed may have dropped what was confirmed at a
// time: no later one brings that back, and whoever was told OK before is told
// nothing any more.
func (x *nodeModel) doomed(at time.Time) bool {
	return slices.ContainsFunc(x.drops, func(s span) bool { return !at.Before(s.from) && !at.After(s.to) })
}

// lostSince is since when a power cut at a time may take what was confirmed.
func (m *model) lostSince(x *nodeModel, at time.Time) time.Time {
	since := at
	switch m.s.plan.sync {
	case server.SyncNever:
		since = time.Time{}
	case server.SyncInterval:
		since = since.Add(-time.Second - slack)
	}
	for _, w := range x.slow {
		if !at.Before(w.from) && !at.After(w.to) && since.After(w.since(at)) {
			since = w.since(at)
		}
	}
	for _, w := range x.weak {
		if w.from.Before(since) && !w.to.Before(since) {
			since = w.from
		}
	}
	return since
}

// slowness is a time in which each fsync takes long.
type slowness struct {
	span
	lasts time.Duration
}

// since is since when a power cut at a time may take what was confirmed: the
// fsync that is due a second after that waits for the one before it.
func (w *slowness) since(at time.Time) time.Time { return at.Add(-time.Second - slack - 2*w.lasts) }

// syncIsSlow is told of disks whose fsyncs take so long, for a while.
func (m *model) syncIsSlow(n *node, lasts, during time.Duration) {
	if m.s.plan.sync == server.SyncInterval {
		x := m.of(n)
		x.slow = append(x.slow, slowness{span{m.now(), m.now().Add(during + 2*lasts + time.Second)}, lasts})
	}
}

// syncMayFail is told of disks that fail: of what was confirmed in the interval
// before and since, nothing says that it is on the disk, until a later fsync has
// written it all again.
func (m *model) syncMayFail(n *node, st step) {
	if m.s.plan.sync != server.SyncAlways {
		x, from := m.of(n), m.now().Add(-1500*time.Millisecond)
		x.weak = append(x.weak, span{from, m.now().Add(st.last + 10*time.Second)})
		switch st.kind {
		case everyFails, cursorSyncFails:
			x.drops = append(x.drops, span{from, m.now().Add(st.last + time.Second)})
		case syncFails: // when there is one
			x.drops = append(x.drops, span{from, m.now().Add(15 * time.Second)})
		}
	}
}

// rotted is told of a damaged file: what it held may be gone, and so may the
// channels, until they are made again. The list of topics that would bring them
// back is not on a simulated disk.
func (m *model) rotted(n *node, path string) {
	x := m.of(n)
	for _, topic := range m.s.plan.topics {
		if !strings.HasPrefix(path, diskDir(topic)+"/") && !strings.HasPrefix(path, datapath.RosterDir+"/") {
			continue
		}
		x.rotted[topic] = m.now()
		for _, name := range m.s.plan.channels {
			x.channel(topic, name).since = time.Time{}
		}
	}
}

// create is told that a channel is certain to be there from now on.
func (m *model) create(n *node, topic, channel string) {
	if c := m.of(n).channel(topic, channel); c.since.IsZero() {
		c.since = m.now()
	}
}

// remove is told that a topic or a channel was deleted, with its messages; or
// may have been, when that is not sure.
func (m *model) remove(n *node, topic, channel string, sure bool) {
	for _, name := range m.s.plan.channels {
		if channel == "" || channel == name {
			since := time.Time{}
			if sure && m.s.plan.lonely {
				since = m.now() // whoever makes it again gives it what came meanwhile
			}
			m.of(n).channel(topic, name).since = since
			m.paused(n, topic, name, false)
		}
	}
	if channel == "" {
		m.paused(n, topic, "", false)
	}
	m.void(n, topic, channel, sure)
}

// void is told that messages of a channel, or of a topic, were dropped: all, or
// perhaps some.
func (m *model) void(n *node, topic, channel string, all bool) {
	for _, name := range m.s.plan.channels {
		if channel == "" || channel == name {
			c := m.of(n).channel(topic, name)
			c.voids = append(c.voids, void{m.now(), all})
		}
	}
}

// rewound is told that a channel was set back: what is on disk may come again.
func (m *model) rewound(n *node, topic, channel string) {
	m.of(n).channel(topic, channel).back = m.now()
}

// wasRewoundAfter says whether the channel of a place was set back since then.
func (m *model) wasRewoundAfter(l *place, topic string, since time.Time) bool {
	return !m.of(l.node).channel(topic, l.channel).back.Before(since)
}

func (m *model) paused(n *node, topic, channel string, on bool) {
	c := m.of(n).channel(topic, channel)
	if on && !c.held {
		c.heldAt = m.now()
	}
	c.held = on
}

// hold is told that a handler has a message in its hands.
func (m *model) hold(by *member, nsqd string) *holding {
	h := &holding{m: by, nsqd: nsqd}
	m.held = append(slices.DeleteFunc(m.held, func(h *holding) bool { return h.over }), h)
	return h
}

// deliver is a handler's call.
func (m *model) deliver(by *member, msg *reader.Message) *delivery {
	d := &delivery{by: by, at: m.now(), over: msg.Deadline()}
	var index int
	if _, err := fmt.Sscan(string(msg.Body), &index); err == nil && index < len(m.messages) && m.messages[index].body == string(msg.Body) {
		d.m = m.messages[index]
	}
	var n *node
	for _, x := range m.s.nodes {
		if x.addr() == msg.NSQD {
			n = x
		}
	}
	if d.m == nil || d.m.topic != by.plan.topic || n == nil {
		m.fail("%.40q was delivered from %s on %s, and nobody published it there", msg.Body, msg.NSQD, by.plan.topic)
		d.m = &message{publication: &publication{}}
		d.place = &place{node: n}
		return d
	}
	d.place = m.place(d.m, n, by.plan.channel)
	m.s.say("%s gets %s from %s on %s, for the %d. time, attempts %d", by.name, d.m.name(), n.name, by.plan.channel, d.place.deliveries+1, msg.Attempts)
	m.checkDelivery(d, msg)
	d.place.deliveries++
	d.place.last = d
	if d.place.deliveries > 1 {
		m.s.tally.redeliveries++
	}
	d.place.attempts = append(d.place.attempts, msg.Attempts)
	return d
}

func (m *model) place(x *message, n *node, channel string) *place {
	for _, l := range x.places {
		if l.node == n && l.channel == channel {
			return l
		}
	}
	l := &place{node: n, channel: channel}
	x.places = append(x.places, l)
	return l
}

// checkDelivery holds a delivery against all that is known.
func (m *model) checkDelivery(d *delivery, msg *reader.Message) {
	x, l, now, p := d.m, d.place, d.at, m.s.plan
	name := func() string { return fmt.Sprintf("%s on %s of %s", x.name(), l.channel, l.node.name) }
	if x.node == nil || !x.many {
		m.wentTo(x.publication, l.node)
	}
	clean := p.clean()
	switch {
	case x.ended && x.outcome == writer.NotSent:
		m.fail("%s was delivered, and its result said that it was not sent", name())
	case now.Before(x.due) && !p.skewed:
		m.fail("%s was delivered %v early", name(), x.due.Sub(now))
	case x.many:
		// What follows holds for each copy by itself.
	case l.finished != nil && !m.excused(l.finished):
		m.fail("%s came again: it came at %v and was finished at %v, and nothing was broken then", name(), m.since(l.finished.at), m.since(l.finished.finish))
	case x.id != (reader.MessageID{}) && x.id != msg.ID && p.disks && m.lostPowerAfter(l.node, x.at):
		// It is what was stored of an earlier try whose write failed half way: that
		// was cut off again, and nothing of it was synced.
	case x.id != (reader.MessageID{}) && x.id != msg.ID:
		m.fail("%s came with the id %s, and before with %s", name(), msg.ID, x.id)
	case !x.stamp.IsZero() && !x.stamp.Equal(msg.Timestamp):
		m.fail("%s came with the timestamp %v, and before with %v", name(), msg.Timestamp, x.stamp)
	case m.dropped(d) || m.wasRewoundAfter(l, x.topic, x.at) || l.channel == extra:
		// A channel that is new or set back, or whose messages were dropped,
		// begins anew.
	case l.last != nil && now.Before(l.last.due) && !m.excused(l.last):
		m.fail("%s was requeued at %v, and came %v early", name(), m.since(l.last.finish), l.last.due.Sub(now))
	case msg.Attempts == 0 || !m.wasKilledAfter(l.node, x.at) && slices.Contains(l.attempts, msg.Attempts):
		m.fail("%s came with attempts %d, and before with %v", name(), msg.Attempts, l.attempts)
	case !p.broken && !m.wasKilledAfter(l.node, x.at) && int(msg.Attempts) <= l.deliveries:
		m.fail("%s came with attempts %d, for the %d. time", name(), msg.Attempts, l.deliveries+1)
	case clean && !m.dropped(d) && int(msg.Attempts) != l.deliveries+1:
		m.fail("%s came with attempts %d, for the %d. time, and nothing was broken", name(), msg.Attempts, l.deliveries+1)
	case m.shouldRest(d):
		m.fail("%s was delivered, and it was paused", name())
	}
	m.checkGone(d, name)
	x.id, x.stamp = msg.ID, msg.Timestamp
}

// dropped says whether a channel was emptied or deleted since the message was
// published.
func (m *model) dropped(d *delivery) bool {
	return slices.ContainsFunc(m.of(d.place.node).channel(d.m.topic, d.place.channel).voids, func(v void) bool { return v.at.After(d.m.at) })
}

// shouldRest says whether a delivery comes from a channel that was paused long
// ago, or from a topic that was before the message was published.
func (m *model) shouldRest(d *delivery) bool {
	if m.s.plan.broken || m.s.calm {
		return false // it may have been under way for long
	}
	x := m.of(d.place.node)
	ch, t := x.channel(d.m.topic, d.place.channel), x.channel(d.m.topic, "")
	sure := func(c *channelModel) bool {
		return c.held && x.rotted[d.m.topic].Before(c.heldAt) && !m.lostPowerAfter(d.place.node, c.heldAt)
	}
	// A Reader may have had it in hand since before, for as long as it may.
	late := m.s.plan.msgTimeout + slack
	return sure(ch) && d.at.After(ch.heldAt.Add(late)) ||
		sure(t) && d.m.at.After(t.heldAt.Add(slack)) && d.place.deliveries == 0
}

// checkGone fails when a message comes that was emptied or deleted long ago. A
// topic that was paused may have kept it from the channel until then.
func (m *model) checkGone(d *delivery, name func() string) {
	x := m.of(d.place.node)
	if !x.channel(d.m.topic, "").heldAt.IsZero() || m.s.plan.broken || m.losesPower() || m.s.plan.disks || !d.m.ended {
		return
	}
	// A Reader that was busy may have had it in hand since before.
	late := m.s.plan.msgTimeout + 2*time.Second
	for _, v := range x.channel(d.m.topic, d.place.channel).voids {
		if v.all && !m.wasRewoundAfter(d.place, d.m.topic, v.at) && d.m.endedAt.Before(v.at) && d.at.After(v.at.Add(late)) {
			m.fail("%s came back: it was dropped at %v", name(), m.since(v.at))
		}
	}
}

// lostPowerAfter says whether an nsqd has lost power since then, and with it
// what it had confirmed.
func (m *model) lostPowerAfter(n *node, since time.Time) bool {
	return slices.ContainsFunc(m.of(n).cuts, func(cut time.Time) bool { return !cut.Before(since) })
}

// wasKilledAfter says whether an nsqd has ended out of order since then: that may
// cost deliveries their attempts.
func (m *model) wasKilledAfter(n *node, since time.Time) bool {
	return slices.ContainsFunc(m.of(n).kills, func(at time.Time) bool { return !at.Before(since) })
}

// losesPower says whether the plan takes power away at all.
func (m *model) losesPower() bool {
	return slices.ContainsFunc(m.s.plan.steps, func(s step) bool { return s.kind == powerCut || s.kind == powerCutAt })
}

// finish is a handler's answer, as far as it had an effect here.
func (m *model) finish(d *delivery) {
	d.finish = m.now()
	m.s.say("%s finishes %s on %s", d.by.name, d.m.name(), d.place.channel)
	d.place.finished = d
}

// requeue is a handler's answer that the message is to come again after a while.
func (m *model) requeue(d *delivery, delay time.Duration) {
	d.finish = m.now()
	d.due = d.finish.Add(delay)
}

// excused says whether a finished message may come again: when its FIN may have
// been lost with a connection, come too late, or gone down with a program.
func (m *model) excused(f *delivery) bool {
	p, n := m.s.plan, f.place.node
	if p.broken && (!m.s.calm || f.at.Before(m.calmAt.Add(3*time.Minute))) {
		return true
	}
	if f.finish.Sub(f.at) > p.msgTimeout-slack || f.finish.After(f.over.Add(-slack)) || p.skewed {
		return true
	}
	if m.losesPower() && slices.ContainsFunc(m.of(n).channel(f.m.topic, f.place.channel).voids, func(v void) bool { return !v.all }) {
		return true // files that were being removed may be there in part
	}
	// The Reader may have had it since before the channel was set back.
	if m.wasRewoundAfter(f.place, f.m.topic, f.at.Add(-p.msgTimeout-slack)) || f.place.channel == extra {
		return true
	}
	if !f.by.died.IsZero() && f.finish.After(f.by.died.Add(-slack)) || f.by.leaving {
		return true
	}
	if at, ok := m.of(n).rotted[f.m.topic]; ok && at.After(f.at) {
		return true
	}
	if p.disks && m.weakAt(n, f.finish) {
		return true
	}
	for _, down := range m.of(n).downs {
		if !down.to.Add(slack).Before(f.at) && !down.from.After(f.finish.Add(slack)) {
			return true
		}
	}
	return false
}

// weakAt says whether the disk may have failed to take what came then, or soon
// after. The finish is written again when it can be, but a kill may come first.
func (m *model) weakAt(n *node, at time.Time) bool {
	for _, st := range m.s.plan.steps {
		if (st.kind >= diskFull && st.kind <= everyFails || st.kind == otherFails || st.kind == slowDisk || st.kind == fileFails || st.kind == cursorSyncFails || st.kind == cutFails) && m.s.nodes[st.nsqd] == n {
			from := m.s.begin.Add(st.at)
			if !at.Before(from.Add(-slack)) && at.Before(m.calmAtOr(m.now()).Add(slack)) {
				return true
			}
		}
	}
	return false
}

func (m *model) calmAtOr(t time.Time) time.Time {
	if m.calmAt.IsZero() {
		return t
	}
	return m.calmAt
}

// since is a time of the model as it stands in the log.
func (m *model) since(t time.Time) time.Duration { return t.Sub(m.s.begin) }

// owed says whether a channel must deliver a message: it was confirmed, the
// channel was there before it and is still, and nothing has taken it since.
func (m *model) owed(x *message, channel string) bool {
	if !x.ended || x.outcome != writer.Confirmed {
		return false
	}
	n := m.of(x.node)
	c := n.channel(x.topic, channel)
	if c.since.IsZero() || !c.since.Before(x.at) {
		return false
	}
	if at, ok := n.rotted[x.topic]; ok && !at.Before(x.at) {
		return false
	}
	return !slices.ContainsFunc(c.voids, func(v void) bool { return !v.at.Before(x.at) })
}

// missing says what must still happen; "" when nothing. What a publication has
// got it keeps, so that it is not looked at again.
func (m *model) missing() string {
	for len(m.publications) > 0 {
		if what := m.missingOf(m.publications[0]); what != "" {
			return what
		}
		m.publications = m.publications[1:]
	}
	return ""
}

func (m *model) missingOf(p *publication) string {
	if !p.ended {
		return fmt.Sprintf("%v has no result", p)
	}
	for _, x := range p.messages {
		for _, ch := range m.s.plan.channels {
			if m.owed(x, ch) && m.place(x, x.node, ch).finished == nil {
				return fmt.Sprintf("%s is confirmed by %s and not finished on %s (delivered %d times)",
					x.name(), x.node.name, ch, m.place(x, x.node, ch).deliveries)
			}
		}
	}
	return ""
}
