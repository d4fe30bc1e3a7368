package server

import (
	"errors"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/datapath"
)

// Errors of starting a server.
var (
	// ErrLocked is wrapped by the error of New and Start when another process
	// holds the data path.
	ErrLocked = datapath.ErrLocked

	// ErrForeignData is wrapped by the error of New and Start when the data
	// path holds messages that nsqd has left there.
	ErrForeignData = datapath.ErrForeign

	// ErrUnfinishedImport is wrapped by the error of New and Start when the
	// data path is what an import has left that did not come to its end.
	ErrUnfinishedImport = datapath.ErrUnfinished
)

// Errors of a running server.
var (
	// ErrClosed is returned once the server has been shut down.
	ErrClosed = errors.New("server closed")

	// ErrOnLoop is returned by calls that wait for the server's loop when
	// they are made on that loop: they would wait for themselves.
	ErrOnLoop = errors.New("call would wait for the loop it is made on")

	// ErrNotStarted is returned by calls that wait for the server's loop when
	// nobody has started it for half a second: a Run on another goroutine may be
	// about to.
	ErrNotStarted = errors.New("the loop has not been started: call its Start or Run first")

	// ErrBadName is returned for the name of a topic or channel that breaks
	// NSQ's rule: 1 to 64 of the characters a-z A-Z 0-9 . _ - and an optional
	// #ephemeral at the end.
	ErrBadName = errors.New("invalid name")

	// ErrBadSize is returned for a message that is empty or larger than
	// Options.MaxMsgSize.
	ErrBadSize = errors.New("invalid message size")

	// errGone is what a publisher is told whose topic is deleted, or whose
	// server shuts down, before the message is stored. The word is nsqd's.
	errGone = errors.New("exiting")

	// errMayBeKept is wrapped by what a publisher is told whose message is in
	// the journal, and perhaps delivered, but not forced to the disk; or was to
	// be taken out of it again, which has failed.
	errMayBeKept = errors.New(wire.MayBeKept)
)
