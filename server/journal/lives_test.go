package journal_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

var lives = flag.Int("journal.lives", 600, "how many random lives of a journal are tried")

// crash ends the process, with the power if so, and opens the journal again.
// What is found must be what the model allows. seed decides what a power cut
// leaves.
func (m *life) crash(power bool, seed uint64) {
	m.t.Helper()
	if power {
		m.disk.PowerCut(rand.New(rand.NewPCG(seed, 2)))
	} else {
		m.disk.Kill()
	}
	m.afterCrash(power)
}

// afterCrash opens the journal again and looks at what is found.
func (m *life) afterCrash(power bool) {
	m.t.Helper()
	m.failWrites, m.failEvents, m.failTruncate = false, false, false
	m.disk.Fail(m.fault)
	events, commits := m.written, m.clock
	if power {
		events, commits = m.synced, m.committed
	}
	m.open()
	m.match(events)
	if len(m.j.Cursors()) == 0 {
		m.probe(events)
	}
	m.j.Hold(false)
	for _, mc := range m.cursors {
		m.inspect(mc, events, commits)
	}
	m.settle()
}

// match pairs the cursors that are there with those that should be.
func (m *life) match(events int) {
	m.t.Helper()
	all := append(slices.Clone(m.cursors), m.deleted...)
	found := m.j.Cursors()
	m.cursors, m.deleted = nil, nil
	for _, c := range found {
		i := slices.IndexFunc(all, func(mc *modelCursor) bool { return mc.name == c.Name() })
		switch {
		case i < 0:
			m.t.Fatalf("cursor %s was never created", c.Name())
		case all[i].ephemeral:
			m.t.Fatalf("the ephemeral cursor %s is back", c.Name())
		case all[i].gone != 0 && all[i].gone <= events:
			m.t.Fatalf("the deleted cursor %s is back", c.Name())
		}
		if all[i].gone != 0 {
			all[i].gone, all[i].born = 0, math.MaxInt // its messages may be there, or not
		}
		all[i].c = c
		all[i].paused = c.Paused()
		m.cursors = append(m.cursors, all[i])
	}
	for _, mc := range all {
		if !mc.ephemeral && mc.gone == 0 && mc.born <= events && !slices.Contains(m.cursors, mc) {
			m.t.Fatalf("cursor %s is gone", mc.name)
		}
		if !slices.Contains(m.cursors, mc) {
			m.deleted = append(m.deleted, mc)
		}
	}
}

// probe creates a first cursor, which must get what nobody has got for
// certain.
func (m *life) probe(events int) {
	m.names++
	mc := &modelCursor{name: fmt.Sprintf("c%d", m.names), born: m.clock, given: map[uint64]*state{}}
	for seq, msg := range m.messages {
		given := slices.ContainsFunc(m.deleted, func(o *modelCursor) bool {
			s := o.given[seq]
			return s != nil && (o.born <= events || o.gone != 0 || s.gone != 0)
		})
		if !given && !msg.claimed && msg.discarded == 0 {
			mc.given[seq] = &state{dueLo: msg.due, dueHi: msg.due}
		}
	}
	mc.c = m.j.CreateCursor(mc.name, journal.CursorOptions{})
	m.cursors = append(m.cursors, mc)
}

// inspect takes all that a cursor has, first what is due now, and compares.
func (m *life) inspect(mc *modelCursor, events, commits int) {
	m.t.Helper()
	got := map[uint64]bool{}
	for _, now := range []int64{m.now, m.now + 60, math.MaxInt64 / 2} {
		mc.c.Expire(now, func(seq uint64, _ uint32) { m.t.Fatalf("%s: %d timed out", mc.name, seq) })
		for {
			var d journal.Delivery
			ok, err := mc.c.Next(now, math.MaxInt64, 9, &d)
			if err != nil {
				m.t.Fatal(err)
			}
			if !ok {
				break
			}
			if got[d.Seq] {
				m.t.Fatalf("%s: %d delivered twice", mc.name, d.Seq)
			}
			got[d.Seq] = true
			m.allowed(mc, &d, now, events, commits)
		}
		for seq, s := range mc.given {
			_, due := s.dueRange(events)
			if s.gone == 0 && m.messages[seq] != nil && m.messages[seq].commit <= commits && mc.born <= events && due <= now && !got[seq] {
				m.t.Fatalf("%s: %d of %d is lost at %d", mc.name, seq, m.messages[seq].commit, now)
			}
		}
		for _, seq := range m.waiting {
			if mc.born > events {
				break
			}
			if msg := m.messages[seq]; msg.commit <= commits && msg.due <= now && !got[seq] {
				m.t.Fatalf("%s: %d, which was given to nobody, is lost", mc.name, seq)
			}
		}
		m.check()
	}
	if n := mc.c.Depth(); n != 0 || mc.c.Deferred() != 0 || mc.c.InFlight() != len(got) {
		m.t.Fatalf("%s: %d wait, %d are deferred, %d in flight, want %d in flight", mc.name, n, mc.c.Deferred(), mc.c.InFlight(), len(got))
	}
	for seq, s := range mc.given {
		if !got[seq] {
			s.gone = max(s.gone, 1)
		}
	}
	mc.c.Release(9, func(uint64) {})
}

// dueRange is the earliest and the latest time that a message may have been
// deferred to.
func (s *state) dueRange(events int) (lo, hi int64) {
	lo, hi = s.dueLo, s.dueHi
	for _, d := range s.dues {
		if d.stamp <= events {
			lo, hi = d.due, d.due
		} else {
			lo, hi = min(lo, d.due), max(hi, d.due)
		}
	}
	return lo, hi
}

// allowed fails the test if a message that was found must not be there, and
// tells the model of it otherwise.
func (m *life) allowed(mc *modelCursor, d *journal.Delivery, now int64, events, commits int) {
	m.t.Helper()
	msg, s := m.messages[d.Seq], mc.given[d.Seq]
	if msg == nil || msg.body != string(d.Body) {
		i := slices.IndexFunc(m.refused[d.Seq], func(r refusal) bool { return r.body == string(d.Body) })
		if i < 0 {
			m.t.Fatalf("%s: %d has body %q, which nobody published", mc.name, d.Seq, d.Body)
		}
		if msg != nil && msg.commit <= commits {
			m.t.Fatalf("%s: %d has body %q, which was refused", mc.name, d.Seq, d.Body)
		}
		// The log may speak of the message that came after it and is lost.
		msg = &modelMessage{body: string(d.Body), commit: math.MaxInt}
		m.messages[d.Seq] = msg
		for _, other := range m.cursors {
			other.given[d.Seq] = &state{hi: math.MaxUint16}
		}
		s = mc.given[d.Seq]
	}
	switch {
	case s != nil && s.gone != 0 && s.gone <= events:
		m.t.Fatalf("%s: %d was finished at %d, which was written by %d", mc.name, d.Seq, s.gone, events)
	case msg.discarded != 0 && msg.discarded <= events:
		m.t.Fatalf("%s: %d was discarded", mc.name, d.Seq)
	}
	if s == nil {
		s = new(state)
		mc.given[d.Seq] = s
	}
	tries := 0
	for _, at := range s.tries {
		if at <= events {
			tries++
		}
	}
	low, high := s.lo+tries+1, s.hi+len(s.tries)+1
	if n := int(d.Attempts); n < low || n > high {
		m.t.Fatalf("%s: %d has %d attempts, want %d to %d", mc.name, d.Seq, n, low, high)
	}
	if lo, _ := s.dueRange(events); lo > now {
		m.t.Fatalf("%s: %d was delivered at %d and is due at %d", mc.name, d.Seq, now, lo)
	}
	*s = state{lo: int(d.Attempts), hi: int(d.Attempts)}
}

// settle makes the model certain of what was found, and the journal too.
func (m *life) settle() {
	m.t.Helper()
	m.forgetDeleted()
	m.waiting, m.refused = nil, map[uint64][]refusal{}
	for seq, msg := range m.messages {
		if seq >= m.j.NextSeq() {
			delete(m.messages, seq)
			for _, mc := range m.cursors {
				delete(mc.given, seq)
			}
		}
		msg.commit, msg.claimed = 0, true // there is a cursor, which has what is left
		if slices.ContainsFunc(m.cursors, func(mc *modelCursor) bool { return mc.given[seq] != nil }) {
			msg.discarded = 0 // that was not certain, and is not so any more
		}
	}
	for _, mc := range m.cursors {
		mc.born = 0
	}
	if err := m.writeEvents(); err != nil {
		m.t.Fatal(err)
	}
	if err := m.sync(); err != nil {
		m.t.Fatal(err)
	}
	m.check()
	m.counts()
}

func (m *life) forgetDeleted() {
	for _, mc := range m.deleted {
		for seq := range mc.given {
			if msg := m.messages[seq]; msg != nil {
				msg.claimed = true
			}
		}
	}
	m.deleted = nil
}

// reopen closes the journal and opens it again: nothing may be different.
func (m *life) reopen() {
	m.t.Helper()
	m.expire()
	if err := m.j.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.written = m.moment()
	m.synced, m.committed = m.written, m.written
	alone := len(m.cursors) > 0 && !slices.ContainsFunc(m.cursors, func(mc *modelCursor) bool { return !mc.ephemeral })
	if alone && len(m.waiting) > 0 && !m.j.Held() {
		m.t.Fatal("the frontier does not follow")
	}
	m.cursors = slices.DeleteFunc(m.cursors, func(mc *modelCursor) bool { return mc.ephemeral })
	m.forgetDeleted()
	m.open()
	found := m.j.Cursors()
	if len(found) != len(m.cursors) {
		m.t.Fatalf("%d cursors, want %d", len(found), len(m.cursors))
	}
	for i, mc := range m.cursors {
		mc.c = found[i]
		mc.c.Expire(m.now, nil) // what was due already is so once more
		for _, s := range mc.given {
			if s.state == flies {
				s.state = waits
			}
		}
	}
	m.counts()
}

func TestJournal_KeepsWhatTheModelKeeps(t *testing.T) {
	for seed := range uint64(*lives) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newLife(t, seed)
			for range 1 + m.rng.IntN(150) {
				// A fault stays for a while.
				failed := m.failEvents
				if m.rng.IntN(10) == 0 {
					m.failWrites, m.failEvents, m.failTruncate = false, false, false
				}
				if seed%2 == 1 && m.rng.IntN(15) == 0 {
					m.failWrites = m.rng.IntN(2) == 0
					m.failTruncate = m.rng.IntN(4) == 0
					m.failEvents = m.rng.IntN(2) == 0
				}
				faults := m.failWrites || m.failEvents || m.failTruncate
				if failed && !m.failEvents { // a server tries again soon
					if err := m.writeEvents(); err != nil && !faults {
						t.Fatal(err)
					}
				}
				if !m.step() && !faults {
					t.Fatal("an operation failed without a fault")
				}
				switch {
				case m.rng.IntN(50) == 0 && !faults:
					m.reopen()
				case m.rng.IntN(60) == 0:
					m.crash(false, 0)
				case m.rng.IntN(60) == 0:
					m.crash(true, seed)
				}
			}
			m.crash(m.rng.IntN(2) == 0, seed)
		})
	}
}
