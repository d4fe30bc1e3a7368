package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

var errRefused = errors.New("refused")

// The states of a message at a cursor of the model.
const (
	waits = iota
	flies
	deferred
)

// life is a journal beside a model of it, which knows of every message where
// it is, and of every change since when it is certain. A stamp is a moment of
// the life.
type life struct {
	t    testing.TB
	rng  *rand.Rand
	disk *journaltest.Disk
	opts journal.Options
	j    *journal.Journal
	now  int64

	enrolled bool     // the journal begins in a roster
	later    []func() // what it has others do, and they have not done

	clock     int // counts moments
	written   int // up to here the events were written
	synced    int // up to here they, and below
	committed int // the messages were synced

	messages map[uint64]*modelMessage // committed
	refused  map[uint64][]refusal     // not committed; the file may have them
	waiting  []uint64                 // beyond the frontier
	cursors  []*modelCursor
	deleted  []*modelCursor // and their end may not be certain
	names    int

	failWrites, failEvents, failTruncate bool // faults now

	rewriteAt int64 // how large cursor files grow
	slice     int   // how much of them is written at a time
}

type modelMessage struct {
	body      string
	due       int64
	commit    int
	discarded int  // when it was, 0 if not
	claimed   bool // it was given to a cursor that need not be there any more
}

type refusal struct {
	body  string
	stamp int
}

type modelCursor struct {
	c         *journal.Cursor
	name      string
	ephemeral bool
	limit     int
	paused    bool
	born      int
	gone      int
	given     map[uint64]*state
}

// state is a message at a cursor.
type state struct {
	state  int
	at     int64
	owner  uint32
	gone   int // when it was finished or emptied, 0 if not
	lo, hi int // deliveries so far, at least and at most
	tries  []int
	dueLo  int64 // as the last certain change left it, at least
	dueHi  int64
	dues   []dueChange
}

type dueChange struct {
	stamp int
	due   int64
}

func newLife(t testing.TB, seed uint64) *life {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := &life{t: t, rng: rng, disk: journaltest.New(rng), now: 1000, enrolled: seed%3 == 1,
		messages: map[uint64]*modelMessage{}, refused: map[uint64][]refusal{}}
	m.disk.Fail(m.fault)
	m.opts = journal.Options{FirstSeq: 1 << 40, SegmentBytes: 1 << (9 + rng.IntN(6))}
	m.rewriteAt, m.slice = 4096, 4096
	if seed%3 != 0 { // most lives see a cursor file written in slices, and some hardly anything else
		m.rewriteAt, m.slice = 256<<(seed%4), 16<<rng.IntN(4)
	}
	m.open()
	return m
}

// fault is what the disk does at the moment.
func (m *life) fault(op, name string) error {
	cursorFile := strings.Contains(name, "cursors.") || strings.Contains(name, "roster.")
	switch {
	case op == "write" && !cursorFile && m.failWrites,
		op == "write" && cursorFile && m.failEvents:
		return journaltest.Torn(syscall.ENOSPC)
	case op == "truncate" && m.failTruncate:
		return journaltest.ErrInjected
	}
	return nil
}

func (m *life) open() {
	m.t.Helper()
	m.opts.FS = m.disk.Dir("topic")
	m.later = nil
	m.opts.Later = func(work func()) { m.later = append(m.later, work) }
	if m.enrolled {
		m.enrol()
	}
	j, _, err := journal.Open(m.opts)
	if err != nil {
		m.t.Fatal(err)
	}
	journal.SetLogLimits(j, m.rewriteAt, 1024)
	journal.SetSlice(j, m.slice)
	m.j = j
	m.check()
}

// enrol has the journal begin in a roster, or go on in it.
func (m *life) enrol() {
	m.t.Helper()
	r, err := datapath.OpenRoster(m.disk, datapath.RosterOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	m.opts.FS = r.Dir("topic")
}

func (m *life) check() {
	m.t.Helper()
	if err := m.j.Check(); err != nil {
		m.t.Fatal(err)
	}
}

// moment is the stamp of a change made now.
func (m *life) moment() int {
	m.clock++
	return m.clock
}

// publish appends some messages and commits them. It reports whether that
// succeeded.
func (m *life) publish() error {
	first := m.j.NextSeq()
	var batch []*modelMessage
	var err error
	for n := 1 + m.rng.IntN(5); n > 0 && err == nil; n-- {
		msg := &modelMessage{}
		if m.rng.IntN(4) == 0 {
			msg.due = m.now + int64(m.rng.IntN(200)) + 1
		}
		size := m.rng.IntN(60)
		if m.rng.IntN(40) == 0 {
			size = 3000
		}
		m.names++
		msg.body = fmt.Sprintf("%d-%0*d", m.names, size, 0)
		m.j.Append(m.now, msg.due, []byte(msg.body))
		batch = append(batch, msg)
		if m.names%4 == 0 {
			err = m.j.Spill()
		}
	}
	before := m.clock
	switch {
	case err != nil:
	case m.names%9 == 0:
		err = m.j.Refuse(errRefused)
	default:
		err = m.j.Commit()
	}
	if err == nil && slices.ContainsFunc(m.cursors, func(mc *modelCursor) bool { return !mc.ephemeral && mc.born > m.written }) {
		m.written = before // what reaches a cursor is committed with what is known of the cursor
	}
	for i, msg := range batch {
		seq := first + uint64(i)
		if err != nil {
			m.refused[seq] = append(m.refused[seq], refusal{msg.body, m.moment()})
			continue
		}
		msg.commit = m.moment()
		m.messages[seq] = msg
		m.waiting = append(m.waiting, seq)
	}
	if err == nil {
		m.give()
	}
	if err == errRefused {
		return nil // as was asked for
	}
	return err
}

// give lets the frontier follow the end.
func (m *life) give() {
	if m.j.Held() || len(m.cursors) == 0 {
		return
	}
	for _, mc := range m.cursors {
		room := len(m.waiting)
		if mc.limit > 0 {
			room = max(0, mc.limit-mc.count(waits))
		}
		for _, seq := range m.waiting {
			due := m.messages[seq].due
			m.messages[seq].claimed = m.messages[seq].claimed || mc.ephemeral
			s := &state{dueLo: due, dueHi: due}
			if due != 0 {
				s.state, s.at = deferred, due
			} else if room == 0 {
				continue
			} else {
				room--
			}
			mc.given[seq] = s
		}
	}
	m.waiting = nil
}

func (mc *modelCursor) count(what int) int {
	n := 0
	for _, s := range mc.given {
		if s.gone == 0 && s.state == what {
			n++
		}
	}
	return n
}

// seqs are the messages in a state, in order.
func (mc *modelCursor) seqs(what int) []uint64 {
	var all []uint64
	for seq, s := range mc.given {
		if s.gone == 0 && s.state == what {
			all = append(all, seq)
		}
	}
	slices.Sort(all)
	return all
}

// discard drops what waits at the frontier: all of it, or some.
func (m *life) discard() error {
	to, n := m.j.End(), len(m.waiting)
	if n > 0 && m.rng.IntN(2) == 0 {
		n = m.rng.IntN(n)
		last := m.j.Frontier().Seq()
		if n > 0 {
			last = m.waiting[n-1] + 1
		}
		to = m.j.Frontier()
		for to.Seq() < last {
			next, err := m.j.Peek(to, 1, 1, func(*journal.Peeked) {})
			if err != nil {
				return err
			}
			to = next
		}
	}
	m.j.Discard(to)
	at := m.moment()
	for _, seq := range m.waiting[:n] {
		m.messages[seq].discarded = at
	}
	m.waiting = m.waiting[n:]
	return nil
}

// step does one thing at random. It is false when the disk has failed.
func (m *life) step() bool {
	var mc *modelCursor
	if len(m.cursors) > 0 {
		mc = m.cursors[m.rng.IntN(len(m.cursors))]
	}
	op := m.rng.IntN(22)
	rare := m.rng.IntN(6) == 0
	var err error
	switch {
	case op < 6:
		err = m.publish()
	case op == 6 && len(m.cursors) < 3:
		m.create(m.rng.IntN(4) == 0)
	case op == 7:
		m.j.Hold(!m.j.Held())
		m.moment()
		m.give()
	case op == 8:
		m.now += int64(m.rng.IntN(100))
		m.expire()
	case op == 9 && rare:
		err = m.discard()
	case op == 10 && mc != nil && rare:
		mc.c.Empty()
		at := m.moment()
		for _, s := range mc.given {
			if s.gone == 0 {
				s.gone = at
			}
		}
	case op == 11 && mc != nil && rare:
		m.j.DeleteCursor(mc.c)
		mc.gone = m.moment()
		m.deleted = append(m.deleted, mc)
		m.cursors = slices.DeleteFunc(m.cursors, func(o *modelCursor) bool { return o == mc })
	case op == 12:
		m.j.Idle()
	case op == 13 && mc != nil && rare:
		mc.paused = !mc.paused
		mc.c.SetPaused(mc.paused)
		m.moment()
	case op == 14 && mc != nil && rare:
		m.release(mc)
	case op < 18 && mc != nil:
		m.take(mc, 1+m.rng.IntN(6))
	case mc != nil && mc.c.InFlight() > 0:
		m.answer(mc)
	}
	m.counts()
	// What changes more than messages is written at once, as a server does.
	if m.rng.IntN(3) == 0 || op >= 6 && op <= 11 {
		if e := m.writeEvents(); err == nil {
			err = e
		}
	}
	if m.rng.IntN(40) == 0 {
		if e := m.sync(); err == nil {
			err = e
		}
	}
	if len(m.later) > 0 && m.clock%3 == 0 {
		m.later[0]()
		m.later = m.later[1:]
	}
	m.check()
	m.counts()
	return err == nil
}

func (m *life) create(ephemeral bool) {
	m.names++
	mc := &modelCursor{name: fmt.Sprintf("c%d", m.names), ephemeral: ephemeral, given: map[uint64]*state{}}
	if ephemeral && m.rng.IntN(2) == 0 {
		mc.limit = 1 + m.rng.IntN(8)
	}
	mc.c = m.j.CreateCursor(mc.name, journal.CursorOptions{Ephemeral: ephemeral, Limit: int64(mc.limit)})
	mc.born = m.moment()
	m.cursors = append(m.cursors, mc)
	m.give()
}

func (m *life) writeEvents() error {
	m.moment()
	err := m.j.WriteEvents()
	if err == nil {
		m.written = m.clock
	}
	return err
}

func (m *life) sync() error {
	now := m.moment()
	err := m.j.Sync()()
	if err == nil {
		m.synced, m.committed = m.written, now
	}
	return err
}

func (m *life) expire() {
	for _, mc := range m.cursors {
		late := mc.due(flies, m.now)
		ripe := mc.due(deferred, m.now)
		if at, ok := mc.c.Due(); ok != (mc.c.InFlight()+mc.c.Deferred() > 0) || ok && (len(late)+len(ripe) > 0) != (at <= m.now) {
			m.t.Fatalf("%s: due at %d (%v), at %d there are %d late and %d ripe", mc.name, at, ok, m.now, len(late), len(ripe))
		}
		var told []uint64
		expired, released := mc.c.Expire(m.now, func(seq uint64, owner uint32) {
			if s := mc.given[seq]; s == nil || owner != s.owner {
				m.t.Fatalf("%s: %d timed out with owner %d", mc.name, seq, owner)
			}
			told = append(told, seq)
		})
		slices.Sort(told)
		if !slices.Equal(told, late) || expired != len(late) || released != len(ripe) {
			m.t.Fatalf("%s: %d expired %v and %d released, want %v and %v", mc.name, expired, told, released, late, ripe)
		}
		for _, seq := range append(late, ripe...) {
			mc.given[seq].state = waits
		}
	}
}

// due are the messages in a state whose time has come.
func (mc *modelCursor) due(what int, now int64) []uint64 {
	return slices.DeleteFunc(mc.seqs(what), func(seq uint64) bool { return mc.given[seq].at > now })
}

func (m *life) release(mc *modelCursor) {
	owner := uint32(7 + m.rng.IntN(2))
	n := 0
	got := mc.c.Release(owner, func(seq uint64) {
		s := mc.given[seq]
		if s == nil || s.state != flies || s.owner != owner {
			m.t.Fatalf("%s: %d was released by %d", mc.name, seq, owner)
		}
		s.state = waits
		n++
	})
	if got != n {
		m.t.Fatalf("%s: %d released, %d told", mc.name, got, n)
	}
	for _, seq := range mc.seqs(flies) {
		if mc.given[seq].owner == owner {
			m.t.Fatalf("%s: %d was not released", mc.name, seq)
		}
	}
}

func (m *life) counts() {
	m.t.Helper()
	for _, mc := range m.cursors {
		got := [3]int{int(mc.c.Depth()), mc.c.InFlight(), mc.c.Deferred()}
		want := [3]int{mc.count(waits), mc.count(flies), mc.count(deferred)}
		if got != want {
			m.t.Fatalf("%s: depth, in flight and deferred are %v, want %v", mc.name, got, want)
		}
		if mc.c.Paused() != mc.paused {
			m.t.Fatalf("%s: paused %v", mc.name, mc.c.Paused())
		}
	}
	late := 0
	for _, seq := range m.waiting {
		if m.messages[seq].due != 0 {
			late++
		}
	}
	if d, n := m.j.Deferred(), m.j.Depth(); int(d) != late || int(n) != len(m.waiting)-late {
		m.t.Fatalf("journal depth %d and deferred %d, want %d and %d", n, d, len(m.waiting)-late, late)
	}
}

func (m *life) take(mc *modelCursor, n int) {
	for range n {
		var d journal.Delivery
		owner, deadline := uint32(7+m.rng.IntN(2)), m.now+50*int64(1+m.rng.IntN(3))
		ok, err := mc.c.Next(m.now, deadline, owner, &d)
		if err != nil {
			m.t.Fatal(err)
		}
		if !ok {
			if mc.c.Depth() != 0 {
				m.t.Fatalf("%s: nothing to take at depth %d", mc.name, mc.c.Depth())
			}
			return
		}
		s := mc.given[d.Seq]
		if s == nil || s.gone != 0 || s.state != waits {
			m.t.Fatalf("%s: %d delivered: %+v", mc.name, d.Seq, s)
		}
		if string(d.Body) != m.messages[d.Seq].body {
			m.t.Fatalf("%s: body %q of %d, want %q", mc.name, d.Body, d.Seq, m.messages[d.Seq].body)
		}
		m.delivered(mc, s, &d)
		s.state, s.at, s.owner = flies, deadline, owner
	}
}

// delivered compares the attempts and counts one more.
func (m *life) delivered(mc *modelCursor, s *state, d *journal.Delivery) {
	m.t.Helper()
	low, high := s.lo+len(s.tries)+1, s.hi+len(s.tries)+1
	if n := int(d.Attempts); n < low || n > high {
		m.t.Fatalf("%s: %d has %d attempts, want %d to %d", mc.name, d.Seq, n, low, high)
	}
	n := int(d.Attempts) - len(s.tries) - 1
	s.lo, s.hi = n, n
	at := m.moment()
	s.tries = append(s.tries, at)
	s.dues = append(s.dues, dueChange{at, 0})
}

func (m *life) answer(mc *modelCursor) {
	flying := mc.seqs(flies)
	seq := flying[m.rng.IntN(len(flying))]
	s := mc.given[seq]
	if err := mc.c.Finish(seq, s.owner+2); !errors.Is(err, journal.ErrNotOwner) {
		m.t.Fatalf("finish by a stranger: %v", err)
	}
	var err error
	switch m.rng.IntN(8) {
	case 0:
		s.at = m.now + int64(m.rng.IntN(100))
		err = mc.c.Touch(seq, s.owner, s.at, 1<<40)
	case 1, 2:
		err = mc.c.Requeue(seq, s.owner, 0)
		s.state = waits
	case 3:
		s.state, s.at = deferred, m.now+int64(m.rng.IntN(100))+1
		err = mc.c.Requeue(seq, s.owner, s.at)
		s.dues = append(s.dues, dueChange{m.moment(), s.at})
	default:
		err = mc.c.Finish(seq, s.owner)
		s.gone = m.moment()
	}
	if err != nil {
		m.t.Fatal(err)
	}
}
