// Package datapath says what a data path looks like: who holds it, which
// directory belongs to which topic, and the list of topics for other tools.
//
// A data path holds one directory per topic that has had a message, and in it
// the topic's journal. Topics that have had none stand together in the roster,
// with their channels. Nothing else is needed to start again: the list of topics
// is the list of directories and of what is in the roster, and channels and
// pauses are in the journals.
//
//	<data path>/nsqd.dat             that list once more, see [List]
//	<data path>/publishers/          whom a server that was stopped in order remembers
//	<data path>/topic+roster+/       the topics without a message, see [Roster]
//	<data path>/topic+orders/        the topic "orders"
//	<data path>/topic++web+clicks/   the topic "WebClicks", see [DirName]
package datapath

import "errors"

// Errors of taking a data path.
var (
	// ErrLocked is wrapped by Lock's error when another process holds the
	// data path.
	ErrLocked = errors.New("data path in use")

	// ErrForeign is wrapped by RefuseForeign's error when the data path holds
	// messages that nsqd has left there.
	ErrForeign = errors.New("data path holds the queue files of nsqd")

	// ErrUnfinished is wrapped by RefuseForeign's error when the data path
	// is what an import has left that did not come to its end.
	ErrUnfinished = errors.New("data path is of an import that was not finished")
)

// A message's sequence begins with the serial number of its topic, so that an
// id is unique in the whole data path. What is left, 44 bits, is as many
// messages as a topic takes in half a year at a million per second; what comes
// after that repeats the ids of another topic, as nsqd's ids do all the time.
const SequenceBits = 44

// MaxBody bounds a body that is read back, in bytes. It is not the server's
// limit for messages, which may be lower than it was when a message was stored.
const MaxBody = 256 << 20

// Staging is the file that marks a data path which an import is filling.
const Staging = "import.unfinished"
