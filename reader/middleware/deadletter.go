package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/nsqloop/nsqloop/reader"
)

// DeadLetterOptions say which messages are put aside, and how.
type DeadLetterOptions struct {
	// Publish puts the message aside, most often into another topic, and then
	// calls done with the outcome, exactly once, from any goroutine. It is
	// required:
	//
	//	func(m *reader.Message, why error, done func(error)) {
	//		w.Publish("orders.dead", m.Body, func(res writer.Result) { done(res.Err) })
	//	}
	//
	// The topic has to be one that nsqd allows: m.Topic()+".dead" is not when
	// the topic is "orders#ephemeral", or longer than 59 characters, and a message
	// whose publish is refused each time comes back each time.
	//
	// It runs where the handler does, and must not block there either. why is
	// what the handler returned, or says that there were too many attempts. The
	// message was touched just before, so its whole time is there for it.
	Publish func(m *reader.Message, why error, done func(error))

	// MaxAttempts is the attempt from which on a message whose handler fails
	// is put aside. 0 means 5.
	MaxAttempts int
}

// DeadLetter puts messages aside that a handler cannot process: those whose
// handler returns an error at the last attempt or later, those that it discards
// (reader.Discard), at whatever attempt, and those that come with more attempts
// than MaxAttempts, which killed the program, or ran out of time, each time.
//
// The message is finished, as discarded, only after done(nil). After any other
// outcome it is requeued as a failure, and put aside again when it comes back.
// So it is never lost, and may be put aside twice.
//
// Options.MaxAttempts of the reader has to be -1. Its default is 5, and what is
// delivered more often than that the reader gives up and finishes: it never
// comes here, and is put aside by nobody. Answers that a handler gives by itself
// pass by.
//
// It panics when Publish is nil.
func DeadLetter(o DeadLetterOptions) Middleware {
	if o.Publish == nil {
		panic("middleware: DeadLetterOptions.Publish is nil: want a function that puts a message aside")
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 5
	}
	return func(next reader.Handler) reader.Handler {
		return func(m *reader.Message) error {
			if n := int(m.Attempts); n > o.MaxAttempts {
				return o.bury(m, fmt.Errorf("attempt %d of at most %d", n, o.MaxAttempts))
			}
			err := next(m)
			switch {
			case err == nil, errors.Is(err, reader.Pending), givenBack(m, err):
				return err
			case errors.Is(err, reader.ErrDiscard), int(m.Attempts) >= o.MaxAttempts:
				return o.bury(m, err)
			}
			return err
		}
	}
}

// bury puts m aside. The outcome answers it.
func (o *DeadLetterOptions) bury(m *reader.Message, why error) error {
	if m.Responded() {
		return why // the handler has said something else
	}
	m.Touch() // the time of the handler was its own
	o.Publish(m, why, func(err error) {
		if err != nil {
			m.Requeue(reader.AutoDelay)
			return
		}
		m.Discard()
	})
	return reader.Pending
}

// givenBack says whether a handler has stopped because the reader shuts down.
func givenBack(m *reader.Message, err error) bool {
	return errors.Is(err, context.Canceled) && context.Cause(m.Context()) == reader.ErrDraining
}
