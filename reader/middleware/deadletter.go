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
	// calls done with the outcome, exactly once, from any goroutine:
	//
	//	func(m *reader.Message, why error, done func(error)) {
	//		w.Publish(m.Topic()+".dead", m.Body, func(res writer.Result) { done(res.Err) })
	//	}
	//
	// It runs where the handler does, and must not block there either. why is
	// what the handler returned, or says that there were too many attempts.
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
// Options.MaxAttempts of the reader should be -1: the messages that the reader
// gives up never come here. Answers that a handler gives by itself pass by.
func DeadLetter(o DeadLetterOptions) Middleware {
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
