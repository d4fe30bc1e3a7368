package server

import (
	"fmt"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// errDoubtful refuses what was published before when nothing can be said of
// what became of it then. The connection goes on: who has such a publish has
// ended it then, and asks for it no more, so what comes behind it is in order.
// Else each of many would cost a connection.
var errDoubtful = fmt.Errorf("%w: published before, and a fsync has failed or the topic was deleted since", errMayBeKept)

// mark is how far a topic has what a publisher has numbered. One number tells:
// the numbers on a connection rise, nothing is carried out behind a publish that
// is refused, and a publisher that connects again sends first what it has no
// answer to. So of what is not above the mark, all that may still be asked for is
// here.
// What is doubtful is the exception: it is refused alone, and for good.
//
// What a generation adds is taken back when that cannot be written, so there is
// a second number, of what was there before.
type mark struct {
	p      *publisher
	t      *topic
	inP    int // index in publisher.all
	inT    int // index in topic.marks
	last   point
	before point // the last one of an earlier generation than last's

	// doubt is the highest number of which it is not known whether the topic
	// has it for good: its fsync has failed, or it was in a topic of the same
	// name that was deleted. As it may have been delivered, it is neither
	// stored again nor confirmed.
	doubt uint64
}

// point is a number, and the generation of the topic that it was stored in.
type point struct{ number, generation uint64 }

// mark returns the mark of a topic, made if there is none and room for it.
func (p *publisher) mark(t *topic) (*mark, error) {
	if m := p.marks[t.name]; m != nil {
		return m, nil
	}
	if err := t.s.mayHold(markCost); err != nil {
		return nil, err
	}
	return p.newMark(t), nil
}

// newMark makes the mark of a topic that has none.
func (p *publisher) newMark(t *topic) *mark {
	low := point{number: p.floor}
	m := &mark{p: p, t: t, inP: len(p.all), inT: len(t.marks), last: low, before: low, doubt: p.floor}
	if p.marks == nil {
		p.marks = map[string]*mark{}
	}
	p.marks[t.name] = m
	p.all = append(p.all, m)
	t.marks = append(t.marks, m)
	t.s.budget.add(markCost)
	return m
}

// drop forgets a mark.
func (p *publisher) drop(m *mark) {
	last := len(p.all) - 1
	moved := p.all[last]
	p.all[m.inP], moved.inP = moved, m.inP
	p.all[last] = nil
	p.all = p.all[:last]
	delete(p.marks, m.t.name)

	t := m.t
	last = len(t.marks) - 1
	moved = t.marks[last]
	t.marks[m.inT], moved.inT = moved, m.inT
	t.marks[last] = nil
	t.marks = t.marks[:last]
	t.s.budget.add(-markCost)
}

// forgetMarks drops the marks of a topic that is deleted. A topic of the same
// name that is made later is not to have again what this one had.
func (t *topic) forgetMarks() {
	for len(t.marks) > 0 {
		m := t.marks[len(t.marks)-1]
		m.p.floor = max(m.p.floor, m.last.number)
		m.p.drop(m)
	}
}

// since is the generation in which all up to a number that is known were
// stored, at the latest.
func (m *mark) since(number uint64) uint64 {
	if number <= m.before.number {
		return m.before.generation
	}
	return m.last.generation
}

// raise says that the topic's running generation has all up to number.
func (m *mark) raise(number uint64) {
	if m.last.generation != m.t.generation {
		m.before = m.last
	}
	m.last = point{number, m.t.generation}
}

// lowerMarks takes back what the running generation has added: it could not be
// written.
func (t *topic) lowerMarks() {
	for _, m := range t.marks {
		if m.last.generation == t.generation {
			m.last = m.before
		}
	}
}

// doubtMarks notes that a fsync of the generations from first up to, but not,
// end has failed. The publishers are told that they are not remembered when they
// connect again, so that they do not ask for one message after the other.
func (t *topic) doubtMarks(first, end uint64) {
	if first >= end {
		return
	}
	for _, m := range t.marks {
		low := m.doubt
		switch {
		case m.last.generation < first: // all of it was safe before
		case m.last.generation < end:
			m.doubt = max(m.doubt, m.last.number)
		case m.before.generation >= first:
			m.doubt = max(m.doubt, m.before.number)
		}
		if m.doubt > low {
			m.p.token = t.s.publishers.newToken()
		}
	}
}

// repeats is how many of the n messages of a publish its topic has already. If
// it has all, their OK is owed with that of the originals.
func (c *conn) repeats(p *published, cmd *wire.Command, n int) (known int, err error) {
	m := p.mark
	switch {
	case m == nil || cmd.Number > m.last.number:
		return 0, nil
	case cmd.Number <= m.doubt:
		return 0, errDoubtful
	}
	end := cmd.Number + uint64(n) - 1
	if end <= m.last.number {
		c.oweSince(p.t, m.since(end), cmd.Verb)
		known = n
	} else {
		known = int(m.last.number - cmd.Number + 1)
	}
	c.s.measures.repeats += uint64(known)
	return known, nil
}
