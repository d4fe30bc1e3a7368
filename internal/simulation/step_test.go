package simulation

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// meet lets a step of the plan happen, between the world's own.
func (s *system) meet(st step) error {
	if s.calm {
		return nil
	}
	n := s.nodes[st.nsqd]
	n.away = st.last
	a := s.apps[st.app]
	switch st.kind {
	case publish:
		a.publish(st)
		return nil
	case httpPublish:
		return s.httpPublish(n, st)
	}
	s.say("%v", st)
	switch st.kind {
	case cut, part, deaf, resetAfter, silent, slow, away, deaden:
		s.meetNetwork(st, n, a)
	case kill, killAt, powerCut, powerCutAt, stop, rot:
		return s.meetProcess(st, n)
	case lookupdKill:
		if len(s.lookups) > 0 {
			l := s.lookups[st.nsqd%len(s.lookups)]
			l.kill()
			s.soon(st.last, l.restart)
		}
	case appKill:
		a.kill()
		s.soon(st.last, a.start)
	case appStop:
		if err := a.stop(); err != nil {
			return err
		}
		s.soon(st.last, a.start)
	case skew:
		if n.loop != nil {
			n.loop.Skew(st.last)
			s.tally.faults[skew]++
		}
	case diskFull, writeFails, syncFails, everyFails, slowDisk, readFails, otherFails, fileFails, cursorSyncFails, cutFails:
		s.tally.faults[st.kind]++
		n.fails(st)
	default:
		return s.meetAdmin(st, n, a)
	}
	return nil
}

// restart starts an nsqlookupd that was killed, unless somebody has.
func (l *lookupd) restart() error {
	if l.loop != nil {
		return nil
	}
	return l.start()
}

// restart starts an nsqd that is down, unless somebody has. After the last fault
// it must come up; before, a disk that fails may keep it from that, and it is
// tried again.
func (n *node) restart() error {
	if n.loop != nil {
		return nil
	}
	err := n.start()
	if err != nil && (!n.s.calm || n.s.plan.disks) { // what is left of the faults may meet this start
		n.s.say("%v", err)
		n.s.soon(time.Second, n.restart)
		return nil
	}
	if err != nil {
		return err
	}
	for _, t := range n.s.plan.topics { // which a power cut may have taken
		if err := n.s.createTopic(n, t); err != nil || n.over {
			return err
		}
	}
	if n.s.calm {
		return n.s.unpauseAll(n)
	}
	return nil
}

func (s *system) meetNetwork(st step, n *node, a *app) {
	s.tally.faults[st.kind]++
	links := s.world.Links(a.name, n.name)
	switch st.kind {
	case cut:
		for _, k := range links {
			k.Reset()
		}
	case part:
		s.world.Partition(a.name, n.name)
		s.after(st.last, func() { s.world.Heal(a.name, n.name) })
	case deaf:
		for _, k := range links {
			k.Deaf(a.name, true)
			s.after(st.last, func() { k.Deaf(a.name, false) })
		}
	case resetAfter:
		if len(links) > 0 {
			links[int(st.draw%uint64(len(links)))].ResetAfter(st.n * 20)
		}
	case silent:
		for _, k := range s.world.Links("", n.name) {
			k.Vanish()
		}
	case slow:
		end := s.world.Now().Add(st.last)
		for _, k := range links {
			s.slowDown(k, a.name, time.Duration(st.n)*10*time.Millisecond, end)
		}
	case away:
		for _, l := range s.lookups {
			s.world.Partition(n.name, l.name)
			s.after(st.last, func() { s.world.Heal(n.name, l.name) })
		}
	case deaden:
		s.deadened++
		s.after(st.last, func() { s.deadened-- })
	}
}

// slowDown lets one end of a connection read only for a moment now and then.
func (s *system) slowDown(k *looptest.Link, name string, pause time.Duration, end time.Time) {
	k.Deaf(name, true)
	s.after(pause, func() {
		k.Deaf(name, false)
		if s.world.Now().Before(end) && !s.calm {
			s.after(time.Millisecond, func() { s.slowDown(k, name, pause, end) })
		}
	})
}

func (s *system) meetProcess(st step, n *node) error {
	switch st.kind {
	case killAt, powerCutAt:
		if n.loop != nil && !n.over {
			n.countdown = countdown{left: st.n, power: st.kind == powerCutAt}
		}
	case stop:
		return n.stop()
	default:
		if err := n.down(st.kind == powerCut); err != nil {
			return err
		}
		if st.kind == rot {
			n.rot(st.draw, 1+st.n/10)
		}
	}
	return nil
}

// meetAdmin is what an operator does.
func (s *system) meetAdmin(st step, n *node, a *app) error {
	switch st.kind {
	case setMaxInFlight, pauseReader:
		if st.who < len(a.readers) && a.loop != nil {
			a.readers[st.who].admin(st)
		}
		return nil
	}
	if n.server == nil {
		return nil
	}
	var err error
	switch st.kind {
	case pauseTopic:
		err = s.pause(n, st, "")
	case pauseChannel:
		err = s.pause(n, st, st.channel)
	case emptyTopic:
		err = s.request(n, "/topic/empty", st.topic, "", func(bool) { s.model.void(n, st.topic, "", false) })
	case emptyChannel:
		err = s.request(n, "/channel/empty", st.topic, st.channel, func(sure bool) { s.model.void(n, st.topic, st.channel, sure) })
	case deleteTopic:
		err = s.request(n, "/topic/delete", st.topic, "", func(sure bool) { s.model.remove(n, st.topic, "", sure) })
		s.soon(st.last, func() error {
			if n.server == nil {
				return nil
			}
			return s.createTopic(n, st.topic)
		})
	case deleteChannel:
		err = s.request(n, "/channel/delete", st.topic, st.channel, func(sure bool) { s.model.remove(n, st.topic, st.channel, sure) })
		s.soon(st.last, func() error {
			if n.server == nil {
				return nil
			}
			return s.createTopic(n, st.topic)
		})
	case rewind:
		return s.rewind(n, st)
	case tombstone:
		if l := s.lookups[st.n%len(s.lookups)]; l.loop != nil {
			s.tally.faults[tombstone]++
			q := url.Values{"topic": {st.topic}, "node": {n.name + ":4151"}}
			l.loop.call(l.api, httptest.NewRequest("POST", "/topic/tombstone?"+q.Encode(), nil))
		}
	}
	return err
}

// rewind sets a channel back, to the beginning or by a while.
func (s *system) rewind(n *node, st step) error {
	to := "beginning"
	if st.draw%2 == 0 {
		to = s.world.Now().Add(-st.last).UTC().Format(time.RFC3339Nano)
	}
	q := url.Values{"topic": {st.topic}, "channel": {st.channel}, "to": {to}}
	rec := n.http("POST", "/channel/rewind?"+q.Encode(), "")
	s.tally.faults[rewind]++
	s.model.rewound(n, st.topic, st.channel)
	if rec.Code != 200 && rec.Code != 404 {
		return s.failedWell(n, "rewind", rec.Code, rec.Body)
	}
	return nil
}

// request asks an nsqd to do something, and tells the model that it has, and
// whether that is sure: where the disk fails, or the nsqd dies before it has
// answered, it may have been done in part.
func (s *system) request(n *node, path, topic, channel string, done func(sure bool)) error {
	q := url.Values{"topic": {topic}}
	if channel != "" {
		q.Set("channel", channel)
	}
	rec := n.http("POST", path+"?"+q.Encode(), "")
	switch {
	case rec.Code == 200, rec.Code >= 500:
		done(rec.Code == 200 && !n.over)
	case rec.Code == 404:
	default:
		return fmt.Errorf("%s answers %s of %s/%s with %d %s", n.name, path, topic, channel, rec.Code, rec.Body)
	}
	return nil
}

// createTopic makes a topic with all its channels. From then on they must
// receive what is published.
func (s *system) createTopic(n *node, topic string) error {
	if rec := n.http("POST", "/topic/create?topic="+topic, ""); rec.Code != 200 {
		return s.failedWell(n, "create topic", rec.Code, rec.Body)
	}
	for _, ch := range s.plan.channels {
		if rec := n.http("POST", "/channel/create?topic="+topic+"&channel="+ch, ""); rec.Code != 200 {
			return s.failedWell(n, "create channel", rec.Code, rec.Body)
		}
		if n.server == nil || n.over { // it died of it
			return nil
		}
		s.model.create(n, topic, ch)
	}
	return nil
}

// failedWell accepts an error of the server where disks fail.
func (s *system) failedWell(n *node, what string, code int, body *bytes.Buffer) error {
	if s.plan.disks && code >= 500 || n.over {
		return nil
	}
	return fmt.Errorf("%s: %s answers %d %s", what, n.name, code, body)
}

// pause pauses a topic or channel for a while.
func (s *system) pause(n *node, st step, channel string) error {
	path, back := "/topic/pause", "/topic/unpause"
	if channel != "" {
		path, back = "/channel/pause", "/channel/unpause"
	}
	if err := s.request(n, path, st.topic, channel, func(sure bool) { s.model.paused(n, st.topic, channel, sure) }); err != nil {
		return err
	}
	s.soon(st.last, func() error {
		if n.server == nil || s.calm {
			return nil // it stays paused until the end
		}
		s.model.paused(n, st.topic, channel, false)
		return s.request(n, back, st.topic, channel, func(bool) {})
	})
	return nil
}

// unpauseAll lets everything flow.
func (s *system) unpauseAll(n *node) error {
	for _, t := range s.plan.topics {
		s.model.paused(n, t, "", false)
		if err := s.request(n, "/topic/unpause", t, "", func(bool) {}); err != nil {
			return err
		}
		for _, ch := range s.plan.channels {
			s.model.paused(n, t, ch, false)
			if err := s.request(n, "/channel/unpause", t, ch, func(bool) {}); err != nil {
				return err
			}
		}
	}
	return nil
}

// httpPublish publishes over HTTP.
func (s *system) httpPublish(n *node, st step) error {
	if n.server == nil {
		return nil
	}
	s.tally.publishes++
	p := s.model.publish(st)
	target := "/pub?topic=" + st.topic
	if st.delay > 0 {
		target += fmt.Sprintf("&defer=%d", st.delay.Milliseconds())
	}
	if len(p.messages) > 1 {
		target = "/mpub?topic=" + st.topic
	}
	var bodies []string
	for _, m := range p.messages {
		bodies = append(bodies, m.body)
	}
	body := strings.Join(bodies, "\n")
	if s.plan.asks() {
		n.ask("POST", target, body, func(q *question) error { return s.httpAnswered(n, p, q.rec, q.lost) })
		return nil
	}
	rec := n.http("POST", target, body)
	return s.httpAnswered(n, p, rec, n.over)
}

// httpAnswered is told of the answer to a publish over HTTP. When it is lost, the
// process has ended before it left.
func (s *system) httpAnswered(n *node, p *publication, rec *httptest.ResponseRecorder, lost bool) error {
	switch {
	case lost:
		s.model.lostAnswer(p, n)
	case rec.Code == 200:
		s.model.confirmed(p, n)
	case rec.Code >= 500 && strings.Contains(rec.Body.String(), wire.MayBeKept):
		s.model.lostAnswer(p, n)
	case rec.Code >= 500:
		s.model.refused(p)
	default:
		return fmt.Errorf("%s answers %v with %d %s", n.name, p, rec.Code, rec.Body)
	}
	return nil
}
