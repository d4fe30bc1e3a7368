package reader

import (
	"errors"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
)

// Errors of calls on a Reader.
var (
	// ErrClosed is returned by calls on a reader that was closed or shut down.
	ErrClosed = client.ErrClosed

	// ErrDuplicate is returned when an address is added that was added before.
	ErrDuplicate = errors.New("the address is there already")

	// ErrNotThere is returned when an address is removed that was never added.
	ErrNotThere = errors.New("the address is not there")

	// ErrLastLookupd is returned when the last nsqlookupd is removed: a
	// reader without any would never learn of a new nsqd.
	ErrLastLookupd = errors.New("the last nsqlookupd cannot be removed")
)

// Why the context of a message ends, besides context.DeadlineExceeded:
// context.Cause returns one of these.
var (
	ErrAnswered = errors.New("the message was answered")
	ErrLost     = errors.New("the connection of the message is lost")
	ErrDraining = errors.New("the reader is shutting down")
)

// ErrPanic is wrapped by the error that OnBackoff receives when a handler
// panicked. Its text has the value, and the log the stack.
var ErrPanic = loop.ErrPanic

// Pending is returned by a handler that will answer the message later, with
// its Finish or Requeue, from whatever goroutine. Until then the message
// counts as in flight. It is not an error; like fs.SkipDir it says what to do.
var Pending = errors.New("pending: the message will be answered later")

// ErrDiscard is what errors.Is finds in a result that Discard made, for what
// goes around handlers.
var ErrDiscard = errors.New("discard")

// RequeueAfter makes a handler's result that requeues the message with the
// given delay (a negative one is AutoDelay), and counts as a failure for
// backoff. err says why and may be nil.
func RequeueAfter(delay time.Duration, err error) error {
	r := resultOf(err)
	r.delay = delay
	return r
}

// WithoutBackoff makes a handler's result that requeues the message without
// counting as a failure: for a message that comes too early, say, while
// everything is well otherwise. It can be put around RequeueAfter. err says
// why and may be nil.
func WithoutBackoff(err error) error {
	r := resultOf(err)
	r.calm = true
	return r
}

// Discard makes a handler's result that finishes the message although it was
// not processed: for one that can never be. It counts neither as a failure
// nor as a success for backoff. err says why, in the log as a warning, and may
// be nil.
func Discard(err error) error {
	r := resultOf(err)
	r.discard = true
	return r
}

// result is an error with instructions.
type result struct {
	err     error // why; nil when the handler did not say
	delay   time.Duration
	calm    bool
	discard bool
}

// resultOf is a new result that refines err, which may be one itself.
func resultOf(err error) *result {
	var r *result
	if errors.As(err, &r) {
		refined := *r
		return &refined
	}
	return &result{err: err, delay: AutoDelay}
}

func (r *result) Error() string {
	what := "requeue"
	switch {
	case r.discard:
		what = "discard"
	case r.delay >= 0:
		what = fmt.Sprintf("requeue after %v", r.delay)
	}
	if r.calm && !r.discard {
		what += " without backoff"
	}
	if r.err == nil {
		return what
	}
	return what + ": " + r.err.Error()
}

func (r *result) Unwrap() error { return r.err }

// Is says that r is ErrDiscard when it discards.
func (r *result) Is(target error) bool { return r.discard && target == ErrDiscard }

// panicError is what a handler's panic becomes.
func panicError(v any) error {
	return fmt.Errorf("%w: %v", ErrPanic, v)
}
