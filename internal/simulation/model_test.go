package simulation

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nsqloop/nsqloop/writer"
)

// model is what must be true, kept beside the system.
type model struct {
	tally *tally
	plan  *plan
	say   func(format string, args ...any)

	err       error // the first thing that was wrong
	publishes []*publish
	downs     []span // when the server was killed or stopped
	calm      bool   // no more faults
	calmAt    time.Time
}

// span is from when to when a server was going down.
type span struct{ from, to time.Time }

// publish is one message, from the publisher's side.
type publish struct {
	body     string
	at       time.Time
	due      time.Time // not to be delivered before; the zero time means at once
	ended    bool
	outcome  writer.Outcome
	channels map[string]*progress
}

// accepted says whether the server is known to have the message: it confirmed
// it, or delivered it on some channel.
func (p *publish) accepted() bool {
	for _, c := range p.channels {
		if c.deliveries > 0 {
			return true
		}
	}
	return p.outcome == writer.Confirmed
}

// progress is what one channel has seen of a message.
type progress struct {
	deliveries int
	finished   *delivery
}

// delivery is one time that a handler got a message.
type delivery struct {
	p          *publish
	channel    string
	at, finish time.Time
}

// publishTimeout is the Writer's default, and a little for the turn.
const publishTimeout = 5*time.Second + 10*time.Millisecond

func (m *model) fail(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
		m.say("WRONG: %v", m.err)
	}
}

func (m *model) publish(i int, now time.Time, delay time.Duration) *publish {
	p := &publish{body: "order " + strconv.Itoa(i), at: now, channels: map[string]*progress{}}
	if delay > 0 {
		p.due = now.Add(delay)
	}
	for _, r := range m.plan.readers {
		p.channels[r.channel] = &progress{}
	}
	m.publishes = append(m.publishes, p)
	m.say("publish %q, delay %v", p.body, delay)
	return p
}

// done is a publish's callback.
func (m *model) done(p *publish, now time.Time, res writer.Result) {
	m.say("%q: %v %v", p.body, res.Outcome(), res.Err)
	if p.ended {
		m.fail("%q: done ran twice", p.body)
	}
	p.ended, p.outcome = true, res.Outcome()
	if took := now.Sub(p.at); took > publishTimeout {
		m.fail("%q: done ran after %v", p.body, took)
	}
	switch p.outcome {
	case writer.Confirmed:
		m.tally.confirmed++
	case writer.Unknown:
		m.tally.unknown++
	case writer.NotSent:
		m.tally.notSent++
		m.neverCame(p)
	case writer.Rejected:
		m.fail("%q was rejected, and nothing is wrong with it: %v", p.body, res.Err)
	}
}

// neverCame holds a result against the deliveries so far.
func (m *model) neverCame(p *publish) {
	for name, c := range p.channels {
		if c.deliveries > 0 {
			m.fail("%q was delivered on %s, and its result says %v", p.body, name, p.outcome)
		}
	}
}

// deliver is a handler's call.
func (m *model) deliver(r *member, body string, now time.Time) *delivery {
	d := &delivery{channel: r.plan.channel, at: now}
	var n int
	if _, err := fmt.Sscanf(body, "order %d", &n); err == nil {
		for _, p := range m.publishes {
			if p.body == body {
				d.p = p
			}
		}
	}
	if d.p == nil {
		m.fail("%q was delivered, and never published", body)
		d.p = &publish{channels: map[string]*progress{r.plan.channel: {}}}
		return d
	}
	c := d.p.channels[r.plan.channel]
	c.deliveries++
	if c.deliveries > 1 {
		m.tally.redeliveries++
	}
	m.say("%s gets %q on %s, for the %d. time", r.name, body, r.plan.channel, c.deliveries)
	switch {
	case d.p.ended && d.p.outcome == writer.NotSent:
		m.fail("%q was delivered on %s, and its result said %v", body, d.channel, d.p.outcome)
	case now.Before(d.p.due):
		m.fail("%q was delivered %v early", body, d.p.due.Sub(now))
	case c.finished != nil && !m.excused(c.finished):
		m.fail("%q came again on %s at %v: it came at %v and was finished at %v, and nothing was broken then",
			body, d.channel, m.since(now), m.since(c.finished.at), m.since(c.finished.finish))
	}
	return d
}

// finish is a handler's answer, as far as it had an effect here.
func (m *model) finish(d *delivery, now time.Time) {
	d.finish = now
	m.say("%q is finished on %s", d.p.body, d.channel)
	d.p.channels[d.channel].finished = d
}

// excused says whether a finished message may come again: when its FIN may
// have been lost with a connection, come too late, or gone down with the server.
func (m *model) excused(f *delivery) bool {
	const slack = 300 * time.Millisecond // for what is on its way
	if m.plan.broken && (!m.calm || f.at.Before(m.calmAt.Add(3*time.Minute))) {
		return true
	}
	if f.finish.Sub(f.at) > m.plan.msgTimeout-slack {
		return true
	}
	for _, down := range m.downs {
		if !down.to.Add(slack).Before(f.at) && !down.from.After(f.finish.Add(slack)) {
			return true
		}
	}
	return false
}

// since is a time of the model as it stands in the log.
func (m *model) since(t time.Time) time.Duration { return t.Sub(m.publishes[0].at) }

// missing says what must still happen; "" when nothing.
func (m *model) missing() string {
	for _, p := range m.publishes {
		if !p.ended {
			return fmt.Sprintf("%q has no result", p.body)
		}
		for _, r := range m.plan.readers {
			if c := p.channels[r.channel]; c.finished == nil && p.accepted() {
				return fmt.Sprintf("%q is %v and not finished on %s (delivered %d times)", p.body, p.outcome, r.channel, c.deliveries)
			}
		}
	}
	return ""
}
