package writer

import (
	"errors"
	"fmt"

	"github.com/nsqloop/nsqloop/client"
)

// Errors of publishes that were not sent, beside client.ErrNotConnected and
// client.ErrTimeout. Publishing again is safe.
var (
	// ErrClosed says that the Writer was closed before the publish was sent.
	ErrClosed = fmt.Errorf("writer %w", client.ErrClosed)

	// ErrFull says that Options.MaxPending or MaxPendingBytes was reached.
	ErrFull = errors.New("too many publishes are pending")

	// ErrNotExecuted says that nsqd discarded the publish because it came,
	// on the same connection, behind one that nsqd rejected.
	ErrNotExecuted = errors.New("not executed: sent behind a publish that was rejected")
)

// ErrTooFewNSQDs says that PublishAll was asked for more copies than there are
// nsqds.
var ErrTooFewNSQDs = errors.New("there are not so many nsqds")

// ErrEncoding says that a value could not be made a body.
var ErrEncoding = errors.New("the value cannot be encoded")

// Errors of calls that change a Writer's addresses.
var (
	// ErrDuplicate is returned when an address is added that was added before.
	ErrDuplicate = errors.New("the address is there already")

	// ErrNotThere is returned when an address is removed that was never added.
	ErrNotThere = errors.New("the address is not there")

	// ErrLastLookupd is returned when the last nsqlookupd is removed: a writer
	// without any would never learn of a new nsqd.
	ErrLastLookupd = errors.New("the last nsqlookupd cannot be removed")
)

// ShutdownError is what Shutdown returns when its time was over before all
// publishes had ended: how many it has ended itself. What came of the others,
// Stats says.
type ShutdownError struct {
	NotSent uint64 // waited to be sent, and have ended in ErrClosed
	Unknown uint64 // were sent and not answered, and have ended in client.ErrUnknownOutcome
	Err     error  // why the time was over: that of the context
}

// Error says the numbers.
func (e *ShutdownError) Error() string {
	return fmt.Sprintf("shutdown: %d publishes were not sent, and of %d the outcome is unknown: %v", e.NotSent, e.Unknown, e.Err)
}

// Unwrap is Err.
func (e *ShutdownError) Unwrap() error { return e.Err }

// unsent is the error of a publish of which nothing left this process.
type unsent struct{ why error }

// Error says that, and why.
func (e *unsent) Error() string { return "publish: not sent: " + e.why.Error() }

// Unwrap is why.
func (e *unsent) Unwrap() error { return e.why }

// notSent is err about a publish of which nothing left this process.
func notSent(err error) error { return &unsent{err} }

// notSentAfter is err, with what kept the publish from being sent.
func notSentAfter(err, cause error) error {
	if cause == nil {
		return notSent(err)
	}
	return notSent(fmt.Errorf("%w (%w)", err, cause))
}

// unknown is the outcome of publishes that were sent to addr and will not be
// answered, because of cause.
func unknown(addr string, cause error) error {
	if cause == nil {
		cause = ErrClosed
	}
	return fmt.Errorf("publish to %s: %w: %w", addr, client.ErrUnknownOutcome, cause)
}

// notStored says whether an error is about the server's store, and not about
// what was published.
func notStored(e *client.Error) bool {
	return e.Is(client.ErrPubFailed) || e.Is(client.ErrMPubFailed) || e.Is(client.ErrDPubFailed)
}
