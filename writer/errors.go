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

// notSent is err about a publish of which nothing left this process.
func notSent(err error) error { return fmt.Errorf("publish: not sent: %w", err) }

// notSentAfter is err, with what kept the publish from being sent.
func notSentAfter(err, cause error) error {
	if cause == nil {
		return notSent(err)
	}
	return fmt.Errorf("publish: not sent: %w (%w)", err, cause)
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
