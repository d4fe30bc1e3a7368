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
	// Killed again.

	j = mustOpen(t, Options{FS: dir, FirstSeq: 1 << 40})
	c := j.Cursors()[0]
	if c.Depth() != 1 || c.Deferred() != 1 {
		t.Errorf("depth %d and %d deferred, want 1 and 1", c.Depth(), c.Deferred())
	}
	c.Expire(60, nil)
	if got := fmt.Sprint(drain(t, c, 9)); got != "[later/1 now/1]" && got != "[now/1 later/1]" {
		t.Errorf("got %s, want both messages", got)
	}
	mustCommit(t, j)
}
