package journal

import (
	"fmt"
	"io/fs"
)

// spill is how far the uncommitted records are in the tail segment. Those blocks of
// them are no longer in memory.
type spill struct {
	s   *segment // nil: they are not
	pos int64
}

// Spill writes what was appended before Commit does, and gives back the memory. It
// is for a publish of many megabytes, of which Commit then has little left to
// write. Nobody sees the messages before Commit. If the process dies before that,
// the next Open finds some of them, or all. After an error nothing that was
// appended since the last Commit is kept, as after one of Commit.
func (j *Journal) Spill() error {
	if j.closed {
		return ErrClosed
	}
	if j.tail == j.end {
		return nil
	}
	if err := j.writeTail(); err != nil {
		j.takeBack()
		return err
	}
	j.spill = spill{j.tailSegment(), j.tail.pos}
	j.unflushed = true
	j.dropBlocks(j.spill.pos, tailKeep)
	return nil
}

// Refuse takes back, because of err, what was appended since the last Commit, and
// returns err, or one that wraps [ErrNotTakenBack].
func (j *Journal) Refuse(err error) error {
	if j.spill.s != nil {
		err = j.cutBack(err)
	}
	j.takeBack()
	return err
}

// spilled is the position up to which the file of the tail segment s has what was
// appended.
func (j *Journal) spilled(s *segment) (int64, error) {
	switch j.spill.s {
	case nil:
		return j.end.pos, nil
	case s:
		return j.spill.pos, nil
	}
	// Somebody has taken the file away, and another one has begun.
	return 0, fmt.Errorf("write segment %s: %w", j.spill.s.name(), fs.ErrNotExist)
}
