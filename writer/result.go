package writer

import (
	"errors"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/client"
)

// Result is how a publish went.
type Result struct {
	Topic    string
	Messages int           // how many: 1, or the number of bodies of a multi-publish
	NSQD     string        // the address that it was sent to last; "" when it never was
	Tries    int           // how often it was sent; more than once only as Options.Retry says
	Latency  time.Duration // from when the loop took the publish up to its end
	Err      error         // nil: nsqd has the messages
}

// Outcome is what can be said about the messages.
func (r Result) Outcome() Outcome { return OutcomeOf(r.Err) }

// Outcome is what can be said about the messages of a publish that has ended.
type Outcome uint8

// The four outcomes.
const (
	Confirmed Outcome = iota // nsqd has them
	Rejected                 // refused for what they are; publishing them again will fail again
	NotSent                  // no nsqd has them, if only because it could not store them now; publishing them again is safe
	Unknown                  // nsqd may have them: sent and not answered, failed midway, or stored and not made durable
)

// OutcomeOf is the outcome that an error of a publish stands for.
func OutcomeOf(err error) Outcome {
	var refused *client.Error
	switch {
	case err == nil:
		return Confirmed
	case errors.Is(err, client.ErrUnknownOutcome):
		return Unknown
	case isNotSent(err):
		return NotSent
	case errors.As(err, &refused) && refused.CutShort():
		// A part of it has come, and is not executed.
		return NotSent
	case refused != nil && refused.MayBeKept():
		return Unknown
	case errors.Is(err, client.ErrPubFailed), errors.Is(err, client.ErrDPubFailed):
		// A full disk, or a server that stops: nothing is wrong with the
		// message.
		return NotSent
	case errors.Is(err, client.ErrMPubFailed):
		// The same; but the original nsqd may have kept the first ones.
		return Unknown
	case refused != nil, errors.Is(err, ErrEncoding):
		return Rejected
	}
	return NotSent
}

// isNotSent says so of errors that may carry, as the cause, what nsqd said
// about something else.
func isNotSent(err error) bool {
	return errors.Is(err, ErrNotExecuted) || errors.Is(err, client.ErrNotConnected) ||
		errors.Is(err, client.ErrTimeout) || errors.Is(err, client.ErrClosed) || errors.Is(err, ErrFull) ||
		errors.Is(err, ErrTooFewNSQDs)
}

// String is the outcome in lower case.
func (o Outcome) String() string {
	switch o {
	case Confirmed:
		return "confirmed"
	case Rejected:
		return "rejected"
	case NotSent:
		return "not sent"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}
