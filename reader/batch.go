package reader

import (
	"runtime/debug"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// Batch has messages processed several at a time: for a database that takes
// many rows as fast as one, say. It stands in Options instead of a Handler.
//
// Messages are gathered in the order in which they come, and handed on when
// there are Size of them, when the first of them has waited for MaxWait, or
// when the reader is starved (Reader.Starved), because then nsqd would send no
// more until some are answered. So a batch is often smaller than Size, and
// never waits for messages that cannot come.
type Batch struct {
	// Handler processes messages, at least one. Its result is the answer to
	// those of them that it has not answered itself: nil finishes them, an
	// error requeues them and counts as one failure for backoff, and
	// RequeueAfter, WithoutBackoff, Discard and Pending say what they say to
	// a Handler. It runs where that would; the slice is its own to keep.
	Handler func(messages []*Message) error

	// Size is the most messages of one call. 0 means Options.MaxInFlight, and
	// more than that never come together.
	Size int

	// MaxWait is how long a message waits for others at most. 0 means 1 s.
	// Far below the message timeout is where it belongs: the time counts.
	MaxWait time.Duration
}

// gathering is the batch that a reader gathers. It belongs to the loop.
type gathering struct {
	reader   *Reader
	o        *Batch
	messages []*Message
	timer    loop.Timer // of the first one; nil before the first batch
	checking bool       // check will run at the end of the turn
}

func newGathering(r *Reader) *gathering { return &gathering{reader: r, o: &r.o.Batch} }

// add gathers a message that the handler may have.
func (g *gathering) add(m *Message) {
	l := g.reader.loop
	g.messages = append(g.messages, m)
	if len(g.messages) >= g.o.Size {
		g.handOn()
		return
	}
	if len(g.messages) == 1 {
		if g.timer == nil {
			g.timer = l.After(g.o.MaxWait, g.handOn)
		} else {
			g.timer.Reset(g.o.MaxWait)
		}
	}
	// What has come together stays together: only the turn's end tells
	// whether the reader is starved with all of it.
	if !g.checking {
		g.checking = true
		l.AtTurnEnd(g.check)
	}
}

// check hands on when nothing more may come.
func (g *gathering) check() {
	g.checking = false
	if g.reader.ready.starving > 0 {
		g.handOn()
	}
}

// takeBack ends the gathering and returns what was not handed on.
func (g *gathering) takeBack() []*Message {
	if g.timer != nil {
		g.timer.Stop()
	}
	back := g.messages
	g.messages = nil
	return back
}

// handOn gives to the handler what was gathered and has not been lost since.
func (g *gathering) handOn() {
	r := g.reader
	batch := slices.DeleteFunc(g.takeBack(), (*Message).Responded)
	if len(batch) == 0 {
		return
	}
	r.stats.Handled += uint64(len(batch))
	if r.workers != nil {
		r.workers.push(job{batch: batch})
		return
	}
	if !r.expecting {
		r.expectMail()
	}
	r.callBatch(batch, r.settle)
}

// callBatch runs the batch handler and gives each message that it has not
// answered its result. A panic is its error. Messages that were lost while they
// waited for a worker are left out.
func (r *Reader) callBatch(batch []*Message, settle func(answer)) {
	if batch = slices.DeleteFunc(batch, (*Message).Responded); len(batch) == 0 {
		return
	}
	err := func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				r.log.Error("the batch handler panicked", "messages", len(batch), "panic", v, "stack", string(debug.Stack()))
				err = panicError(v)
			}
		}()
		return r.o.Batch.Handler(slices.Clone(batch))
	}()
	for _, m := range batch {
		a, ok := conclusion(m, err)
		if ok && m.state.CompareAndSwap(stateOpen, stateAnswered) {
			settle(a)
		}
	}
}
