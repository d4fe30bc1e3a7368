package journal

import "errors"

// Errors of answering a message.
var (
	// ErrNotInFlight says that no message of that sequence is in flight:
	// unknown, finished, timed out, requeued, deferred or emptied.
	ErrNotInFlight = errors.New("ID not in flight")

	// ErrNotOwner says that the message is in flight with another owner.
	ErrNotOwner = errors.New("client does not own message")
)

// Errors of the files.
var (
	// ErrClosed says that the journal was closed or removed.
	ErrClosed = errors.New("journal closed")

	// ErrNotTakenBack is wrapped by Commit's error when some of the messages may
	// be in the file and could not be cut off: they come back if the process dies
	// before that has been done, which is tried with each Commit and WriteEvents.
	ErrNotTakenBack = errors.New("what was written could not be taken back")

	// errCorrupt says that bytes are not the record that should be there.
	errCorrupt = errors.New("record damaged")
)
