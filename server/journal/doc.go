// Package journal keeps a topic's messages in one append-only record and its
// channels as cursors in it.
//
// There are four nouns. A [Journal] is the record: messages are appended at
// its tail and become visible, and safe from the death of the process, with
// Commit. A [Cursor] is a channel's place in it: how far it has read, and what
// of that is outstanding. The frontier is the place up to which messages were
// given to the cursors. A segment is one file of records.
//
//	      segment          segment              segment
//	+----------------+----------------+--------------------+ . . . . . +
//	|                |     x     x    |  x                 | not       |
//	|                |                |                    | committed |
//	+----------------+----------------+--------------------+ . . . . . +
//	                                  ^          ^         ^           ^
//	                                read      frontier    end         tail
//
// x is outstanding at some cursor: in flight, deferred, or waiting once more.
// A segment goes when every cursor has read past it and nothing in it is
// outstanding.
//
// The frontier follows the end while there is a cursor and the journal is not
// held. It stands still otherwise, and a cursor is created where it stands. So
// the first cursor is given what has waited, later ones what is new, and a
// held journal keeps everything.
//
// A waiting message costs a cursor nothing: its depth is the difference of two
// sequences. An outstanding one costs some 60 bytes, whatever its body. Bodies
// stay in the files; the latest ones are also in memory, for the cursors that
// keep up.
//
// What happens to the messages is written to a second file, one for all
// cursors, by WriteEvents: what was read, what is finished, what waits until
// when. After the death of the process everything that was not finished comes
// back, with its attempts and its due time.
//
// Finished segments can be retained for a while. As long as they are there,
// Peek looks at their messages, and Rewind sets a cursor back to a Spot in them
// that Search has found.
//
// Nothing here is safe for concurrent use, starts a goroutine or reads a
// clock: times are arguments, in unix nanoseconds. Only the function returned
// by Sync may run elsewhere.
package journal
