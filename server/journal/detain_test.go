package journal

import (
	"fmt"
	"testing"
)

func TestJournal_DetainedKeepsEverythingForTheCursorsThatAreMadeMeanwhile(t *testing.T) {
	j := mustOpen(t, Options{FS: Memory(), FirstSeq: 1 << 40})
	j.Detain(true)
	first := j.CreateCursor("first", CursorOptions{})
	publish(t, j, "a")
	j.Append(1, 50, []byte("later"))
	publish(t, j, "b")
	second := j.CreateCursor("second", CursorOptions{})
	if first.Depth() != 0 || j.Depth() != 2 || j.Deferred() != 1 || j.Held() {
		t.Fatalf("detained: cursor %d, journal %d and %d deferred, held %v", first.Depth(), j.Depth(), j.Deferred(), j.Held())
	}
	j.Detain(false)
	mustCommit(t, j)
	for _, c := range []*Cursor{first, second} {
		if got := fmt.Sprint(drain(t, c, 9)); got != "[a/1 b/1]" || c.Deferred() != 1 {
			t.Errorf("%s: got %s and %d deferred, want both messages and one deferred", c.Name(), got, c.Deferred())
		}
	}
}

// A kill ends the detention, a pause does not.
func TestJournal_DetentionEndsWithTheProcess(t *testing.T) {
	for _, held := range []bool{false, true} {
		dir := Memory()
		j := mustOpen(t, Options{FS: dir, FirstSeq: 1 << 40})
		j.Detain(true)
		j.Hold(held)
		j.CreateCursor("c", CursorOptions{})
		publish(t, j, "a")
		j.Append(1, 50, []byte("later"))
		mustCommit(t, j)
		// Killed, twice: what the second start finds was written by the first.
		for range 2 {
			j = mustOpen(t, Options{FS: dir, FirstSeq: 1 << 40})
			publish(t, j, "x")
		}
		c := j.Cursors()[0]
		want := fmt.Sprint(3, 1, 0, 0)
		if held {
			want = fmt.Sprint(0, 0, 3, 1)
		}
		if got := fmt.Sprint(c.Depth(), c.Deferred(), j.Depth(), j.Deferred()); got != want || j.Held() != held {
			t.Errorf("held %v: got depths %s, want %s", held, got, want)
		}
	}
}
