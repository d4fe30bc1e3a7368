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
