package reader

import "fmt"

// End is how a delivery ended, as far as this side knows: an answer that was
// sent may still be lost on its way.
type End uint8

// How a delivery ends.
const (
	Finished  End = iota + 1 // it was processed, and FIN was sent
	Discarded                // FIN was sent although it was not: by Discard, or given up
	Requeued                 // REQ was sent
	Returned                 // REQ was sent because the reader was shutting down
	Expired                  // its deadline passed: nsqd delivers it again
	Lost                     // its connection closed before an answer was sent: the same
)

// String names the end in a word.
func (e End) String() string {
	names := [...]string{"", "finished", "discarded", "requeued", "returned", "expired", "lost"}
	if int(e) < len(names) && e > 0 {
		return names[e]
	}
	return fmt.Sprintf("End(%d)", uint8(e))
}

// end is the end that an answer makes.
func (k kind) end() End {
	return [...]End{finish: Finished, finishCalmly: Discarded, requeue: Requeued, requeueCalmly: Requeued, giveBack: Returned}[k]
}

// OnEnd lets f know how the delivery ends, which for an answer is when it is
// sent: for what goes around a handler that answers later. f runs on the loop,
// exactly once, at the end of the turn in which that happens; at the end of
// this one when it has happened already. Of several functions the latest given
// runs first, as with defer.
//
// It may be called from any goroutine. A message without reader, made by a
// test, calls f where it is answered.
func (m *Message) OnEnd(f func(End)) {
	r := m.reader
	if r == nil {
		m.onEnd(f)
		return
	}
	if r.loop.OnLoop() || r.loop.Post(func() { m.onEnd(f) }) != nil {
		m.onEnd(f) // a loop that has stopped changes nothing any more
	}
}

func (m *Message) onEnd(f func(End)) {
	if m.ended != 0 {
		m.tell(f)
		return
	}
	e := m.more()
	e.onEnd = append(e.onEnd, f)
}

// tell calls f with the end, when nothing else runs.
func (m *Message) tell(f func(End)) {
	if m.reader == nil {
		f(m.ended)
		return
	}
	m.reader.emit(func() { f(m.ended) })
}

// finishUp notes the end of a message, and releases what its extra holds. Its
// state is no longer open.
func (m *Message) finishUp(how End) {
	m.ended = how
	e := m.extra.Load()
	if e == nil {
		return
	}
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	e.cancel(m.endCause())
	for i := len(e.onEnd) - 1; i >= 0; i-- {
		m.tell(e.onEnd[i])
	}
	e.onEnd = nil
}
