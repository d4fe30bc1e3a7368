package journal

import (
	"fmt"
	"testing"
)

func TestOpen_DeferredRecordsThatTheLogNeverKnewSurviveASecondKill(t *testing.T) {
	dir := Memory()
	j := mustOpen(t, Options{FS: dir, FirstSeq: 1 << 40})
	j.CreateCursor("c", CursorOptions{})
	mustCommit(t, j)
	j.Append(1, 50, []byte("later"))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	// Killed between the two writes of a turn: the record is in its segment,
	// and the cursor file knows nothing of it.

	j = mustOpen(t, Options{FS: dir, FirstSeq: 1 << 40})
	publish(t, j, "now")
	c := j.Cursors()[0]
	var d Delivery
	if ok, err := c.Next(10, 100, 1, &d); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := c.Finish(d.Seq, 1); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, j) // the cursor file's end is now behind the deferred record
	// Killed again.

	j = mustOpen(t, Options{FS: dir, FirstSeq: 1 << 40})
	c = j.Cursors()[0]
	if c.Depth() != 0 || c.Deferred() != 1 {
		t.Errorf("depth %d and %d deferred, want 0 and 1", c.Depth(), c.Deferred())
	}
	c.Expire(60, nil)
	if got := fmt.Sprint(drain(t, c, 9)); got != "[later/1]" {
		t.Errorf("got %s, want the deferred message", got)
	}
	mustCommit(t, j)
}

// Earlier versions wrote, of damage that ended among discarded messages, the place
// where it ended. The rest of those messages was not read for all that.
func TestOpen_ReadPositionInAGapIsTheGapsEnd(t *testing.T) {
	dir := Memory()
	j := mustOpen(t, Options{FS: dir, FirstSeq: 1})
	c := j.CreateCursor("c", CursorOptions{})
	publish(t, j, "1", "2")
	j.Hold(true)
	publish(t, j, "3", "4", "5")
	j.Discard(j.End())
	j.Hold(false)
	publish(t, j, "6", "7")
	const size = recordHeader + 1
	j.events.add(evRead, uint64(c.id), 4, 3*size, 0) // damage from 2 to 3
	j.events.add(evRead, uint64(c.id), 7, 6*size, 0)
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}

	j = mustOpen(t, Options{FS: dir, FirstSeq: 1})
	c = j.Cursors()[0]
	if c.Depth() != 4 {
		t.Errorf("depth %d, want 4", c.Depth())
	}
	if got := fmt.Sprint(drain(t, c, 9)); got != "[7/1 1/2 2/2 6/2]" {
		t.Errorf("got %s, want 1, 2 and 6 once more and 7", got)
	}
	mustCommit(t, j)
}
