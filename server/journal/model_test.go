package journal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is what a journal should do, told in sets.
type model struct {
	t       testing.TB
	rng     *rand.Rand
	dir     FS
	opts    Options
	j       *Journal
	now     int64
	bodies  map[uint64]string // committed messages
	due     map[uint64]int64
	held    []uint64 // committed and given to nobody
	cursors []*modelCursor
	names   int
}

type modelCursor struct {
	c     *Cursor
	name  string
	open  map[uint64]bool // given and not finished
	maybe map[uint64]bool // finished, and not certainly written
	tries map[uint64]uint16
	fly   []uint64
	saved bool // its creation was written
}

func newModel(t testing.TB, seed uint64) *model {
	m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 1)), dir: Memory(), now: 1000,
		bodies: map[uint64]string{}, due: map[uint64]int64{}}
	m.opts = Options{FS: m.dir, FirstSeq: 1 << 40, SegmentBytes: 1 << (9 + m.rng.IntN(6))}
	m.open()
	return m
}

func (m *model) open() {
	j, _, err := Open(m.opts)
	if err != nil {
		m.t.Fatal(err)
	}
	m.j = j
	m.check()
	kept := m.cursors[:0]
	for _, mc := range m.cursors {
		i := slices.IndexFunc(j.Cursors(), func(c *Cursor) bool { return c.Name() == mc.name })
		if i < 0 {
			if mc.saved {
				m.t.Fatalf("cursor %s is gone", mc.name)
			}
			continue
		}
		mc.c, mc.fly = j.Cursors()[i], nil
		kept = append(kept, mc)
	}
	m.cursors = kept
}

func (m *model) check() {
	m.t.Helper()
	if err := m.j.Check(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) publish() {
	first := m.j.NextSeq()
	n := 1 + m.rng.IntN(5)
	for range n {
		var due int64
		if m.rng.IntN(4) == 0 {
			due = m.now + int64(m.rng.IntN(200)) + 1
		}
		size := m.rng.IntN(60)
		if m.rng.IntN(40) == 0 {
			size = 3000
		}
		body := fmt.Sprintf("%d-%0*d", m.j.NextSeq(), size, 0)
		seq := m.j.Append(m.now, due, []byte(body))
		m.bodies[seq], m.due[seq] = body, due
	}
	if err := m.j.Commit(); err != nil {
		m.t.Fatal(err)
	}
	for seq := first; seq < m.j.NextSeq(); seq++ {
		m.held = append(m.held, seq)
	}
	m.give()
}

func (m *model) give() {
	if m.j.Held() || len(m.cursors) == 0 {
		return
	}
	for _, mc := range m.cursors {
		for _, seq := range m.held {
			mc.open[seq] = true
		}
	}
	m.held = nil
}

func (m *model) step() {
	var mc *modelCursor
	if len(m.cursors) > 0 {
		mc = m.cursors[m.rng.IntN(len(m.cursors))]
	}
	op := m.rng.IntN(20)
	switch {
	case op < 6:
		m.publish()
	case op == 6 && len(m.cursors) < 3:
		m.names++
		name := fmt.Sprintf("c%d", m.names)
		m.cursors = append(m.cursors, &modelCursor{c: m.j.CreateCursor(name, CursorOptions{}), name: name,
			open: map[uint64]bool{}, maybe: map[uint64]bool{}, tries: map[uint64]uint16{}})
		m.give()
	case op == 7:
		m.j.Hold(!m.j.Held())
		m.give()
	case op == 8:
		m.now += int64(m.rng.IntN(100))
		for _, mc := range m.cursors {
			mc.c.Expire(m.now, func(seq uint64, _ uint32) {
				mc.fly = slices.DeleteFunc(mc.fly, func(s uint64) bool { return s == seq })
			})
		}
	case op == 9 && m.rng.IntN(6) == 0:
		m.j.Discard()
		m.held = nil
	case op == 10 && mc != nil && m.rng.IntN(6) == 0:
		mc.c.Empty()
		for seq := range mc.open {
			mc.maybe[seq] = true
		}
		clear(mc.open)
		mc.fly = nil
	case op == 11 && mc != nil && m.rng.IntN(10) == 0:
		m.j.DeleteCursor(mc.c)
		m.cursors = slices.DeleteFunc(m.cursors, func(o *modelCursor) bool { return o == mc })
		m.writeEvents()
	case op == 12:
		m.j.Idle()
	case op < 16 && mc != nil:
		m.take(mc, 1+m.rng.IntN(6))
	case mc != nil && len(mc.fly) > 0:
		m.answer(mc)
	}
	// What changes more than messages is written at once, as a server does.
	if m.rng.IntN(3) == 0 || op >= 6 && op <= 11 {
		m.writeEvents()
	}
	if m.rng.IntN(40) == 0 {
		if err := m.j.Sync()(); err != nil {
			m.t.Fatal(err)
		}
	}
	m.check()
	m.counts()
}

func (m *model) writeEvents() {
	if err := m.j.WriteEvents(); err != nil {
		m.t.Fatal(err)
	}
	for _, mc := range m.cursors {
		clear(mc.maybe)
		mc.saved = true
	}
}

func (m *model) counts() {
	for _, mc := range m.cursors {
		if got, want := int(mc.c.Depth())+mc.c.InFlight()+mc.c.Deferred(), len(mc.open); got != want {
			m.t.Fatalf("%s: depth %d + in flight %d + deferred %d, want %d in all", mc.name, mc.c.Depth(), mc.c.InFlight(), mc.c.Deferred(), want)
		}
		if mc.c.InFlight() != len(mc.fly) {
			m.t.Fatalf("%s: %d in flight, want %d", mc.name, mc.c.InFlight(), len(mc.fly))
		}
	}
	if got, want := int(m.j.Depth()+m.j.Deferred()), len(m.held); got != want {
		m.t.Fatalf("journal depth %d, want %d", got, want)
	}
}

func (m *model) take(mc *modelCursor, n int) {
	for range n {
		var d Delivery
		ok, err := mc.c.Next(m.now, m.now+50, 7, &d)
		if err != nil {
			m.t.Fatal(err)
		}
		if !ok {
			if mc.c.Depth() != 0 {
				m.t.Fatalf("%s: nothing to take at depth %d", mc.name, mc.c.Depth())
			}
			return
		}
		if !mc.open[d.Seq] {
			m.t.Fatalf("%s: %d delivered, which is not open", mc.name, d.Seq)
		}
		if string(d.Body) != m.bodies[d.Seq] {
			m.t.Fatalf("%s: body %q of %d, want %q", mc.name, d.Body, d.Seq, m.bodies[d.Seq])
		}
		if m.due[d.Seq] > m.now {
			m.t.Fatalf("%s: %d delivered before it is due", mc.name, d.Seq)
		}
		mc.tries[d.Seq]++
		if d.Attempts > mc.tries[d.Seq] || d.Attempts == 0 {
			m.t.Fatalf("%s: %d has %d attempts, want at most %d", mc.name, d.Seq, d.Attempts, mc.tries[d.Seq])
		}
		mc.fly = append(mc.fly, d.Seq)
	}
}

func (m *model) answer(mc *modelCursor) {
	i := m.rng.IntN(len(mc.fly))
	seq := mc.fly[i]
	if m.rng.IntN(5) == 0 {
		if err := mc.c.Touch(seq, 7, m.now+60, 100); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	mc.fly = slices.Delete(mc.fly, i, i+1)
	if err := mc.c.Finish(seq, 8); err != ErrNotOwner {
		m.t.Fatalf("finish by a stranger: %v", err)
	}
	switch m.rng.IntN(4) {
	case 0:
		if err := mc.c.Requeue(seq, 7, 0); err != nil {
			m.t.Fatal(err)
		}
	case 1:
		due := m.now + int64(m.rng.IntN(100)) + 1
		if err := mc.c.Requeue(seq, 7, due); err != nil {
			m.t.Fatal(err)
		}
		m.due[seq] = 0 // checked for the first delivery only
	default:
		if err := mc.c.Finish(seq, 7); err != nil {
			m.t.Fatal(err)
		}
		delete(mc.open, seq)
		mc.maybe[seq] = true
	}
}

// drain takes everything and compares it with what is open.
func (m *model) drain() {
	m.now += 1 << 30
	for _, mc := range m.cursors {
		mc.c.Expire(m.now, func(uint64, uint32) {})
		got := map[uint64]bool{}
		for {
			var d Delivery
			ok, err := mc.c.Next(m.now, m.now+1<<40, 9, &d)
			if err != nil {
				m.t.Fatal(err)
			}
			if !ok {
				break
			}
			if got[d.Seq] {
				m.t.Fatalf("%s: %d delivered twice", mc.name, d.Seq)
			}
			if !mc.open[d.Seq] && !mc.maybe[d.Seq] {
				m.t.Fatalf("%s: %d delivered, which was finished", mc.name, d.Seq)
			}
			if string(d.Body) != m.bodies[d.Seq] {
				m.t.Fatalf("%s: body %q of %d", mc.name, d.Body, d.Seq)
			}
			got[d.Seq] = true
		}
		for seq := range mc.open {
			if !got[seq] {
				m.t.Fatalf("%s: %d is lost", mc.name, seq)
			}
		}
	}
	m.check()
}

func TestJournal_KeepsWhatTheModelKeeps(t *testing.T) {
	for seed := range uint64(3000) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			for range 1 + m.rng.IntN(120) {
				m.step()
				if m.rng.IntN(50) == 0 {
					if err := m.j.Close(); err != nil {
						t.Fatal(err)
					}
					for _, mc := range m.cursors {
						clear(mc.maybe)
						mc.saved = true
					}
					m.open()
					m.counts()
				}
			}
			if m.rng.IntN(2) == 0 {
				// The process dies: nothing is closed.
				for _, mc := range m.cursors {
					if !mc.saved {
						mc.open = nil
					}
				}
				m.open()
			}
			m.drain()
		})
	}
}
