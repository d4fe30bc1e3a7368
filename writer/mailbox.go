package writer

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nsqloop/nsqloop/client"
)

// mailbox is where publishes wait for the loop. It spares each of them a
// closure and a posted call: the loop is woken once for all that gathers until
// it looks. Its mutex guards what any goroutine may publish into at any
// moment, which is why the loop cannot own it.
type mailbox struct {
	mu      sync.Mutex
	queue   []publish
	posted  bool   // the loop was told to look, and has not yet
	closed  bool   // nothing more is accepted
	topic   string // the last name found valid, since most repeat
	blocked []publish
	lastErr error // why the last attempt to connect failed

	// How many publishes and bytes were ever accepted; minus what was
	// released, which the loop alone writes, they are what is pending. Split
	// so that the loop takes no lock to make room.
	accepted      int64
	acceptedBytes int64
	released      atomic.Int64
	releasedBytes atomic.Int64

	isBlocked atomic.Bool // blocked is not empty
}

// hasRoom reports whether a publish of size bytes fits. The caller holds mu.
func (m *mailbox) hasRoom(o *Options, size int) bool {
	n := m.accepted - m.released.Load()
	if n == 0 {
		return true
	}
	return n < int64(o.MaxPending) && m.acceptedBytes-m.releasedBytes.Load()+int64(size) <= int64(o.MaxPendingBytes)
}

// add enters a publish that was checked but for its topic, the room for it,
// and whether the mailbox is open. It reports whether the loop must be told.
func (m *mailbox) add(o *Options, p *publish) (tell bool) {
	m.mu.Lock()
	if p.err == nil {
		m.admit(o, p)
	}
	if p.err != nil {
		// What is refused keeps nothing but whom to tell.
		p.body, p.bodies = nil, nil
		p.roomIs()
	} else if p.wait != nil && p.wait.state.Load() == waitRoom {
		m.blocked = append(m.blocked, *p)
		m.isBlocked.Store(true)
		m.mu.Unlock()
		return false
	}
	m.queue = append(m.queue, *p)
	tell = !m.posted
	m.posted = true
	m.mu.Unlock()
	return tell
}

// admit counts p in, or sets its err. A publish that can wait for room gets
// the state waitRoom instead when there is none. The caller holds mu.
func (m *mailbox) admit(o *Options, p *publish) {
	if m.closed {
		p.err = errClosed
		return
	}
	if p.topic != m.topic {
		if err := client.CheckTopic(p.topic); err != nil {
			p.err = fmt.Errorf("publish: %w", err)
			return
		}
		m.topic = p.topic
	}
	// Who waits for room comes before who does not, or might wait for ever.
	if len(m.blocked) > 0 || !m.hasRoom(o, p.size) {
		if p.wait != nil {
			p.wait.state.Store(waitRoom)
			return
		}
		p.err = errFull
		return
	}
	m.accepted++
	m.acceptedBytes += int64(p.size)
	p.roomIs()
}

// roomIs ends what PublishWait waits for, without telling it.
func (p *publish) roomIs() {
	if p.roomOnly {
		p.wait = nil
	}
}

// tellRoom tells PublishWait that it need not wait any more.
func (p *publish) tellRoom() {
	if p.roomOnly {
		p.wait.outcome <- nil
		p.wait = nil
	}
}

// What publishes get that find no room, or nobody at home.
var (
	errFull   = notSent(ErrFull)
	errClosed = notSent(ErrClosed)
)

// expect says that the loop is about to take, so that nobody need tell it.
func (m *mailbox) expect() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.posted = true
}

// take gives everything that gathered to the caller, and spare to gather in.
func (m *mailbox) take(spare []publish) []publish {
	m.mu.Lock()
	batch := m.queue
	m.queue = spare
	m.posted = false
	m.mu.Unlock()
	return batch
}

// release makes room for what has ended, and moves in who waited for it. Only
// the loop calls it.
func (m *mailbox) release(o *Options, n, bytes int64) {
	m.released.Store(m.released.Load() + n)
	m.releasedBytes.Store(m.releasedBytes.Load() + bytes)
	if !m.isBlocked.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := 0
	for ; i < len(m.blocked) && m.hasRoom(o, m.blocked[i].size); i++ {
		p := &m.blocked[i]
		if !p.wait.state.CompareAndSwap(waitRoom, waitTurn) {
			continue // its caller has just given up
		}
		m.accepted++
		m.acceptedBytes += int64(p.size)
		p.tellRoom()
		m.queue = append(m.queue, *p)
	}
	m.unblock(i)
}

// unblock removes the first n of those that wait for room. The caller holds mu.
func (m *mailbox) unblock(n int) {
	rest := copy(m.blocked, m.blocked[n:])
	clear(m.blocked[rest:])
	m.blocked = m.blocked[:rest]
	m.isBlocked.Store(rest > 0)
}

// leave removes wt from those that wait for room.
func (m *mailbox) leave(wt *waiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.blocked {
		if m.blocked[i].wait == wt {
			copy(m.blocked[1:], m.blocked[:i]) // the others keep their order
			m.unblock(1)
			return
		}
	}
}

// close refuses what comes from now on, and those that wait for room. It
// reports whether the loop must be told of them.
func (m *mailbox) close() (tell bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for i := range m.blocked {
		p := &m.blocked[i]
		if p.wait.state.CompareAndSwap(waitRoom, waitTurn) {
			p.err, p.body, p.bodies = errClosed, nil, nil
			p.tellRoom()
			m.queue = append(m.queue, *p)
		}
	}
	m.unblock(len(m.blocked))
	tell = len(m.queue) > 0 && !m.posted
	m.posted = m.posted || tell
	return tell
}

// isClosed reports whether nothing more is accepted.
func (m *mailbox) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// pending is how many publishes and bytes are pending.
func (m *mailbox) pending() (n, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accepted - m.released.Load(), m.acceptedBytes - m.releasedBytes.Load()
}

// empty reports whether nothing waits for the loop.
func (m *mailbox) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue) == 0 && len(m.blocked) == 0
}

// setError remembers why the last attempt to connect failed, for those who
// give up waiting for one.
func (m *mailbox) setError(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastErr = err
}

// error is what setError was given last.
func (m *mailbox) error() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lastErr
}
