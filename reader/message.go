package reader

import (
	"sync/atomic"
	"time"
)

// AutoDelay, as the delay of a requeue, is the delay that grows with the
// message's attempts: Options.RequeueDelay times attempts, at most
// Options.MaxRequeueDelay. Any negative delay means the same.
const AutoDelay time.Duration = -1

// MessageID is a message's id, unique on its nsqd. It stays the same when the
// message is delivered again.
type MessageID [16]byte

// String is the id as text.
func (id MessageID) String() string { return string(id[:]) }

// Message is one delivery of a message. Its fields are for reading. They, and
// the bytes of Body, belong to whoever holds the message and stay valid for
// ever.
//
// It is answered exactly once: by the handler's result, or by Finish, Requeue,
// RequeueWithoutBackoff, Discard or Answer, which may be called from any
// goroutine and win over the result when they come first. An answer that has no effect says so:
// the message was answered before, its connection is lost (nsqd delivers it
// again), or its deadline has passed (the same).
//
// Messages and their bodies are carved out of larger blocks, so that a message
// costs no allocation. The price: a message that is kept keeps its neighbours'
// memory too, 64 messages or 64 KiB of bodies. A program that keeps few
// messages of many for long should keep copies (bytes.Clone) instead.
type Message struct {
	ID        MessageID
	Body      []byte
	Timestamp time.Time // when it was published, by its nsqd's clock
	Attempts  uint16    // deliveries so far, this one included; 0 after 65535
	NSQD      string    // the address it came from, as it was configured or found

	reader   *Reader
	state    atomic.Uint32         // one of the states below; leaves open once
	touching atomic.Bool           // a touch is in the mail
	deadline atomic.Int64          // unix nanoseconds; written on the loop
	limit    int64                 // the deadline with any number of touches
	received int64                 // unix nanoseconds
	extra    atomic.Pointer[extra] // nil unless somebody asked for more; see there

	// Of the loop: the place in the connection's list of messages in flight,
	// and conn is nil when it is in none.
	conn       *conn
	prev, next *Message
	given      bool  // the handler has it or had it
	ended      End   // 0 until it is no longer in flight
	line       *line // of its key; nil without Options.SerialBy
}

// The states of a message.
const (
	stateOpen     uint32 = iota // in flight, to be answered
	stateAnswered               // somebody has claimed the answer
	stateLost                   // its connection closed
	stateExpired                // its deadline passed
)

// Finish tells nsqd that the message was processed. It reports whether the
// answer counts, which is decided at the call; it is sent at the end of the
// loop's turn. Should the connection close in between, nsqd delivers the
// message again (Stats.Lost counts these).
func (m *Message) Finish() bool {
	return m.answer(answer{m: m, kind: finish})
}

// Requeue gives the message back to nsqd, to be delivered again after delay,
// with AutoDelay for one that grows with the attempts. It counts as a failure
// for backoff. It reports as Finish does.
func (m *Message) Requeue(delay time.Duration) bool {
	return m.answer(answer{m: m, kind: requeue, delay: delay})
}

// RequeueWithoutBackoff is Requeue that does not count as a failure.
func (m *Message) RequeueWithoutBackoff(delay time.Duration) bool {
	return m.answer(answer{m: m, kind: requeueCalmly, delay: delay})
}

// Discard finishes the message although it was not processed. It counts neither
// as a failure nor as a success for backoff. It reports as Finish does.
func (m *Message) Discard() bool {
	return m.answer(answer{m: m, kind: finishCalmly})
}

// Answer answers the message as a handler's result does that comes later: nil
// finishes, an error requeues, and RequeueAfter, WithoutBackoff and Discard say
// what they say. It reports as Finish does; Pending is no answer.
func (m *Message) Answer(err error) bool {
	a, ok := conclusion(m, err)
	return ok && m.answer(a)
}

// Touch asks nsqd for more time: the deadline moves to one message timeout
// from now, but never past HardDeadline. It reports whether it had an effect,
// as Finish does; after an answer it has none. The reader never touches by
// itself.
func (m *Message) Touch() bool {
	if m.state.Load() != stateOpen {
		return false
	}
	if m.reader == nil {
		m.try(answer{m: m, kind: touch})
		return true
	}
	if m.touching.Swap(true) {
		return true // one that is waiting to leave serves for both
	}
	return m.reader.mail(answer{m: m, kind: touch})
}

// Deadline is when nsqd takes the message back, as far as is known here: it is
// counted from the moment of arrival. It is the zero time once the message was
// answered, is lost or has expired.
func (m *Message) Deadline() time.Time {
	at := m.deadline.Load()
	if at == 0 || m.state.Load() != stateOpen {
		return time.Time{}
	}
	return time.Unix(0, at)
}

// Received is when the message came, by this side's clock. It is the zero time
// for a message that no reader has received.
func (m *Message) Received() time.Time {
	if m.received == 0 {
		return time.Time{}
	}
	return time.Unix(0, m.received)
}

// HardDeadline is the time past which touching does not help: nsqd's
// max_msg_timeout after the delivery. It is the zero time when Deadline is.
func (m *Message) HardDeadline() time.Time {
	if m.limit == 0 || m.state.Load() != stateOpen {
		return time.Time{}
	}
	return time.Unix(0, m.limit)
}

// Topic and Channel are those of the reader that received the message, and ""
// when none has.
func (m *Message) Topic() string {
	if m.reader == nil {
		return ""
	}
	return m.reader.o.Topic
}

// Channel is described with Topic.
func (m *Message) Channel() string {
	if m.reader == nil {
		return ""
	}
	return m.reader.o.Channel
}

// Responded says whether the message was answered, or can no longer be.
func (m *Message) Responded() bool { return m.state.Load() != stateOpen }

// answer claims the message for a and passes it on.
func (m *Message) answer(a answer) bool {
	if !m.state.CompareAndSwap(stateOpen, stateAnswered) {
		return false
	}
	if m.reader == nil { // made by a test of a handler
		m.try(a)
		m.finishUp(a.kind.end())
		return true
	}
	return m.reader.mail(a)
}

// blockMessages is how many messages are allocated at once.
const blockMessages = 64

// Bodies up to largeBody are carved from blocks of blockBodies bytes; larger
// ones are allocated by themselves, so that at most a quarter of a block is
// left over.
const (
	blockBodies = 64 << 10
	largeBody   = blockBodies / 4
)

// arena carves messages and bodies out of blocks. Nothing returns to it: what
// nobody holds any more is the garbage collector's, a block at a time.
type arena struct {
	messages []Message
	bodies   []byte
}

// message is a new, empty message.
func (a *arena) message() *Message {
	if len(a.messages) == 0 {
		a.messages = make([]Message, blockMessages)
	}
	m := &a.messages[0]
	a.messages = a.messages[1:]
	return m
}

// body is a copy of b, which nothing that is appended to it can overrun.
func (a *arena) body(b []byte) []byte {
	n := len(b)
	if n > largeBody {
		own := make([]byte, n)
		copy(own, b)
		return own
	}
	if n > len(a.bodies) {
		a.bodies = make([]byte, blockBodies)
	}
	own := a.bodies[:n:n]
	a.bodies = a.bodies[n:]
	copy(own, b)
	return own
}
