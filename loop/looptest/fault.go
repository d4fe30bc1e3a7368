package looptest

import (
	"slices"
	"syscall"

	"github.com/nsqloop/nsqloop/loop"
)

// Faults are probabilities, from 0 for never to 1 for always.
type Faults struct {
	Refuse  float64 // of a dial to be refused
	Timeout float64 // of a dial to get no answer
	Reset   float64 // of a connection to be reset after some bytes
	Vanish  float64 // of a connection to fall silent, without an end, after some bytes
}

// fate is what will happen to a link when enough bytes have arrived over it.
type fate struct {
	after int // bytes, both directions together
	reset bool
	sure  bool // there is a fate
	asked bool // by a caller, not by chance
}

// fateBytes bounds how many bytes a connection lives that is broken by chance.
const fateBytes = 8 << 10

// foresee decides by chance what becomes of a new link.
func (k *Link) foresee() {
	w, f := k.w, k.w.o.Faults
	reset := w.chance(f.Reset)
	if reset || w.chance(f.Vanish) {
		k.fate = fate{after: 1 + w.rand.IntN(fateBytes), reset: reset, sure: true}
	}
}

// meet lets the link meet its fate when p has brought enough bytes. The last
// ones up to there are read first: the receiver is left with half of what was
// sent.
func (k *Link) meet(p *pipe) bool {
	over := k.ends[0].out.total + k.ends[1].out.total - k.fate.after
	if !k.fate.sure || over < 0 {
		return false
	}
	k.fate.sure = false
	if cut := min(over, p.arrived); cut > 0 {
		p.arrived -= cut
		p.buf = p.buf[:p.arrived]
		p.segs, p.flying, p.finSeen = nil, 0, false
	}
	p.read()
	if k.fate.reset {
		k.Reset()
	} else {
		k.Vanish()
	}
	return true
}

// SetFaults changes what goes wrong by itself from now on, also on connections
// that are open.
func (w *World) SetFaults(f Faults) {
	w.o.Faults = f
	for _, k := range w.links {
		if k.fate.sure && !k.fate.asked {
			k.fate.sure = false
		}
	}
}

// Links returns the connections between the loops with these names, whoever
// dialled, by age. An empty name means any loop.
func (w *World) Links(a, b string) []*Link {
	var found []*Link
	for _, k := range w.links {
		x, y := k.ends[0].loop.name, k.ends[1].loop.name
		if match(a, x) && match(b, y) || match(a, y) && match(b, x) {
			found = append(found, k)
		}
	}
	return found
}

func match(pattern, name string) bool { return pattern == "" || pattern == name }

// Link returns the link of a connection that was made in this world; nil when
// it is closed.
func (w *World) Link(c loop.Conn) *Link {
	if c, ok := c.(*conn); ok && c.end != nil && slices.Contains(w.links, c.end.link) {
		return c.end.link
	}
	return nil
}

// Dialer is the name of the loop that dialled.
func (k *Link) Dialer() string { return k.ends[0].loop.name }

// Acceptor is the name of the loop that accepted.
func (k *Link) Acceptor() string { return k.ends[1].loop.name }

// Reset breaks the connection: what is under way is lost, and both ends learn
// it at once.
func (k *Link) Reset() {
	for i := range k.ends {
		k.ends[i].out.drop()
	}
	for i := range k.ends {
		e := &k.ends[i]
		k.w.after(0, call(func() { e.lose(syscall.ECONNRESET) }))
	}
}

// ResetAfter breaks the connection when n more bytes have arrived, counting
// both directions. The receiver gets them, and nothing of what follows.
func (k *Link) ResetAfter(n int) {
	k.fate = fate{after: k.ends[0].out.total + k.ends[1].out.total + n, reset: true, sure: true, asked: true}
}

// Vanish lets everything that is sent over the connection disappear. Neither
// end learns it.
func (k *Link) Vanish() { k.vanished = true }

// Deaf stops the loop with that name from reading the connection, or lets it
// read again. What it is sent piles up at the sender.
func (k *Link) Deaf(name string, on bool) {
	for i := range k.ends {
		e := &k.ends[i]
		if e.loop.name == name {
			e.deaf = on
			if !on {
				k.w.after(0, call(e.peer.out.read))
			}
		}
	}
}

// Partition keeps the two loops from reaching each other, until Heal: dials
// time out, and what is sent over connections waits.
func (w *World) Partition(a, b string) {
	if !w.parted(a, b) {
		w.walls = append(w.walls, [2]string{a, b})
	}
}

// Heal ends a Partition. What has waited arrives.
func (w *World) Heal(a, b string) {
	w.walls = slices.DeleteFunc(w.walls, func(x [2]string) bool {
		return x == [2]string{a, b} || x == [2]string{b, a}
	})
	for _, k := range w.Links(a, b) {
		for i := range k.ends {
			p := &k.ends[i].out
			for j := range p.segs {
				p.segs[j].at = max(p.segs[j].at, w.now)
			}
			p.schedule()
		}
	}
}

func (w *World) parted(a, b string) bool {
	return slices.Contains(w.walls, [2]string{a, b}) || slices.Contains(w.walls, [2]string{b, a})
}

func (w *World) walled(a, b *Loop) bool { return len(w.walls) > 0 && w.parted(a.name, b.name) }

// Halt is the moment of a kill in the middle of a callback, which it may be
// called in: what the loop writes from now on leaves no more, and no other
// callback of it runs. Crash must follow, when the running callback is over.
func (l *Loop) Halt() { l.halted = true }

// Halted says whether Halt or Crash has ended the loop.
func (l *Loop) Halted() bool { return l.halted || l.dead }

// Crash kills a loop as a power switch does: none of its callbacks runs any
// more, its timers and posted functions are gone, its listeners are closed and
// the peers of its connections see a reset. World.Loop makes a new loop of
// that name.
func (w *World) Crash(l *Loop) {
	w.outside("Crash")
	if l.dead {
		return
	}
	w.note('k', l, 0, nil)
	w.unlisten(l)
	l.queue.Close()
	l.core.Drop()
	l.bury()
	for _, k := range slices.Clone(w.links) {
		for i := range k.ends {
			e := &k.ends[i]
			if e.loop == l && !e.closed {
				e.closed = true
				e.peer.out.drop()
				k.resetEnd(e.peer)
				k.forget()
			}
		}
	}
}
