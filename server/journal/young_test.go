package journal_test

import (
	"errors"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

// Before the first message the cursor file stays short, whatever is done to the
// cursors, because all of it may be written with each change.
func TestJournal_CursorFileIsShortBeforeTheFirstMessage(t *testing.T) {
	dir := journal.Memory()
	j := opened(t, journal.Options{FS: dir, NeverSync: true})
	c := j.CreateCursor("c", journal.CursorOptions{})
	longest := func() (n int64) {
		names, err := dir.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			f, err := dir.Open(name, false)
			if err != nil {
				t.Fatal(err)
			}
			size, err := f.Size()
			if err != nil {
				t.Fatal(err)
			}
			n = max(n, size)
		}
		return n
	}
	for i := range 1000 {
		c.SetPaused(i%2 == 0)
		if err := j.WriteEvents(); err != nil {
			t.Fatal(err)
		}
		if n := longest(); n > 3<<10 {
			t.Fatalf("the cursor file has %d bytes after %d changes", n, i+1)
		}
	}
	j.Append(1, 0, []byte("message"))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		c.SetPaused(i%2 == 0)
		if err := j.WriteEvents(); err != nil {
			t.Fatal(err)
		}
	}
	if n := longest(); n < 10<<10 {
		t.Errorf("the cursor file has %d bytes after 1000 changes and a message: it is begun anew too often", n)
	}
}

// A process that dies between the first segment and the cursor file that is to
// stand beside it leaves that to the next one.
func TestJournal_CursorFileLeavesTheRosterAfterAKill(t *testing.T) {
	r := newRoster(t)
	dir := r.Dir("topic")
	j := opened(t, journal.Options{FS: dir})
	j.CreateCursor("c", journal.CursorOptions{})
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	j.Append(1, 0, []byte("message"))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	again, _, err := journal.Open(journal.Options{FS: dir}) // as the next process does
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(again.WriteEvents(), again.Sync()()); err != nil {
		t.Fatal(err)
	}
	names, err := dir.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if dir.(interface{ Enrolled(string) bool }).Enrolled(name) {
			t.Errorf("%s is still in the roster", name)
		}
	}
	if len(again.Cursors()) != 1 || again.Cursors()[0].Depth() != 1 {
		t.Error("the cursor has not its message")
	}
}
