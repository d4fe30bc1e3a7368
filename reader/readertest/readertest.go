// Package readertest tests handlers without a server, a loop or a wait: a message
// that records how it was answered, and a call of the handler as a Reader makes
// it.
//
//	func TestBilling_RefusesNegativeAmounts(t *testing.T) {
//		got := readertest.Handle(billing, readertest.Message(`{"amount":-1}`))
//		if got.End != reader.Discarded {
//			t.Errorf("got %+v", got)
//		}
//	}
//
// Tests of a whole program have server/nsqtest.
package readertest

import (
	"fmt"
	"sync"

	"github.com/nsqloop/nsqloop/reader"
)

// Recorded is a message that remembers what was done with it. Its methods may be
// called from any goroutine.
type Recorded struct {
	// Message is what the handler gets: its first delivery, unless Attempts is
	// changed, and without id and times unless they are.
	*reader.Message

	mu      sync.Mutex // guards what follows: handlers may answer from any goroutine
	answer  reader.Trial
	touches int
	done    chan struct{} // closed when it is answered
}

// Message makes a message with a body.
func Message(body string) *Recorded {
	r := &Recorded{done: make(chan struct{})}
	r.Message = reader.NewTrial([]byte(body), r.record)
	return r
}

func (r *Recorded) record(t reader.Trial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.End == 0 {
		r.touches++
		return
	}
	r.answer = t
	close(r.done)
}

// Given is how the message was answered; the zero value as long as it was not.
func (r *Recorded) Given() reader.Trial {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answer
}

// Touches is how often the message was touched.
func (r *Recorded) Touches() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.touches
}

// Done is closed when the message is answered, for handlers that do so later.
func (r *Recorded) Done() <-chan struct{} { return r.done }

// Handle calls h with m, answers m with its result as a Reader does, a panic
// included, and returns the answer. It is the zero value when h has returned
// reader.Pending and not answered yet: wait for Done then, and ask Given.
func Handle(h reader.Handler, m *Recorded) reader.Trial {
	m.Answer(call(h, m.Message)) // has no effect when h has answered
	return m.Given()
}

// call calls h, and turns a panic into the error that a Reader makes of it.
func call(h reader.Handler, m *reader.Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", reader.ErrPanic, v)
		}
	}()
	return h(m)
}
