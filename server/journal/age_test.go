package journal_test

import (
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

// wantOldest asserts when the oldest message that waits was published; 0 for
// none.
func wantOldest(t *testing.T, c *journal.Cursor, want int64) {
	t.Helper()
	at, ok, err := c.Oldest()
	if err != nil {
		t.Fatal(err)
	}
	if at != want || ok != (want != 0) {
		t.Errorf("oldest %d, %v; want %d", at, ok, want)
	}
}

func TestOldest_FollowsTheHeads(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{})
	c := j.CreateCursor("c", journal.CursorOptions{})
	wantOldest(t, c, 0)
	fill(t, j, 1, 3)
	if c.OldestKnown() {
		t.Error("the oldest is known before anybody has looked")
	}
	wantOldest(t, c, 1000)
	if !c.OldestKnown() {
		t.Error("the oldest is not known after somebody has looked")
	}
	wantOldest(t, c, 1000)
	first := take(t, c, 5000, 9000, 7)
	wantOldest(t, c, 2000) // what is in flight does not wait
	if err := c.Requeue(first.Seq, 7, 0); err != nil {
		t.Fatal(err)
	}
	if c.OldestKnown() {
		t.Error("the oldest is known of what came back")
	}
	wantOldest(t, c, 1000)
	for range 3 {
		d := take(t, c, 5000, 9000, 7)
		if err := c.Finish(d.Seq, 7); err != nil {
			t.Fatal(err)
		}
	}
	wantOldest(t, c, 0)
}

func TestOldest_LeavesOutWhatIsDeferred(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{})
	c := j.CreateCursor("c", journal.CursorOptions{})
	j.Append(1000, 1<<40, []byte("later"))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	wantOldest(t, c, 0)
	fill(t, j, 2, 2)
	wantOldest(t, c, 2000)
	c.Empty()
	wantOldest(t, c, 0)
}
