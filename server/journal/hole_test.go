package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// putNumbered publishes the messages from one number up to, but not, another.
func putNumbered(t testing.TB, j *journal.Journal, from, to int, due int64) {
	t.Helper()
	for i := from; i < to; i++ {
		j.Append(int64(i), due, fmt.Appendf(nil, "message %08d", i))
	}
	if err := errors.Join(j.Commit(), j.WriteEvents()); err != nil {
		t.Fatal(err)
	}
}

// holed is a journal whose process was killed. Its cursor "c" has read nothing of
// the messages 0 to 5 and 12 to 13; 6 to 11 were discarded before it got them. A
// last one, 14, is deferred if so wanted. The records from 4 up to, but not, a
// number are damaged.
func holed(t testing.TB, damagedTo int, deferred bool) *journaltest.Disk {
	t.Helper()
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 1<<20, nil)
	j.CreateCursor("c", journal.CursorOptions{})
	putNumbered(t, j, 0, 6, 0)
	j.Hold(true)
	putNumbered(t, j, 6, 12, 0)
	j.Discard(j.End())
	j.Hold(false)
	putNumbered(t, j, 12, 14, 0)
	if deferred {
		putNumbered(t, j, 14, 15, 1<<40)
	}
	disk.Kill()
	for i := 4; i < damagedTo; i++ {
		disk.FlipBit(segments(disk)[0], int64(headerSize+i*recordSize+recordSize-1))
	}
	return disk
}

// left are the numbers of the messages in such a journal that a cursor gets.
func left(damagedTo int) []int {
	return slices.DeleteFunc(numbers(14), func(i int) bool { return i >= 4 && i < damagedTo || i >= 6 && i < 12 })
}

// Damage that ends among discarded messages must not bring back those behind it,
// neither at once nor after a kill, when the cursor file alone says what was read.
func TestDamage_ThatEndsAmongDiscardedMessagesBringsNoneBack(t *testing.T) {
	for damagedTo := 5; damagedTo <= 13; damagedTo++ {
		for _, deferred := range []bool{false, true} {
			disk := holed(t, damagedTo, deferred)
			j := openDamaged(t, disk, 1<<20, nil)
			if got, want := takeAll(t, j, j.Cursors()[0]), left(damagedTo); !slices.Equal(got, want) {
				t.Errorf("damage up to %d, deferred %v: got %v, want %v", damagedTo, deferred, got, want)
			}
			disk.Kill()
			j = openDamaged(t, disk, 1<<20, nil)
			if got := takeAll(t, j, j.Cursors()[0]); len(got) > 0 {
				t.Errorf("damage up to %d, deferred %v: %v came back after a kill", damagedTo, deferred, got)
			}
		}
	}
}

// Whoever reads with a pace may stop behind the damage: what stands behind the
// discarded messages is not to be forgotten then, and not after a kill either.
func TestDamage_ThatEndsAmongDiscardedMessagesHidesNoneBehindThem(t *testing.T) {
	for damagedTo := 5; damagedTo <= 13; damagedTo++ {
		for _, kill := range []bool{false, true} {
			disk := holed(t, damagedTo, false)
			j := openDamaged(t, disk, 1<<20, nil)
			var got []int
			for c := j.Cursors()[0]; c.Depth() > 0; c = j.Cursors()[0] {
				var d journal.Delivery
				c.Pace(1)
				ok, err := c.Next(1, 100, 1, &d)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case ok:
					got = append(got, int(d.Seq-100))
					err = c.Finish(d.Seq, 1)
				case !c.Passing():
					t.Fatalf("damage up to %d: depth %d, and nothing to be had", damagedTo, c.Depth())
				}
				if err := errors.Join(err, j.WriteEvents()); err != nil {
					t.Fatal(err)
				}
				if kill {
					disk.Kill()
					j = openDamaged(t, disk, 1<<20, nil)
				}
			}
			if want := left(damagedTo); !slices.Equal(got, want) {
				t.Errorf("damage up to %d, killed %v: got %v, want %v", damagedTo, kill, got, want)
			}
		}
	}
}

// A cursor that was set back before a mended piece reads on behind it. A message
// that it was given there and has not answered comes again after a kill.
func TestMend_MessageBehindTheMendedPieceComesAgain(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 1<<20, nil)
	j.CreateCursor("c", journal.CursorOptions{})
	putNumbered(t, j, 0, 6, 0)
	disk.Kill()
	for i := 2; i < 4; i++ {
		disk.FlipBit(segments(disk)[0], int64(headerSize+i*recordSize+recordSize-1))
	}
	j = openDamaged(t, disk, 1<<20, nil)
	found, err := j.Survey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Mend(&found); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	j = openDamaged(t, disk, 1<<20, nil)
	c := j.Cursors()[0]
	if got, want := takeAll(t, j, c), numbers(6, 2, 3); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	c.Rewind(find(t, j, 0), nil)
	putNumbered(t, j, 6, 7, 1<<40) // a deferred one ahead, of which the cursor is not sure behind a hole
	var d journal.Delivery
	for _, want := range []uint64{100, 101, 104} {
		if ok, err := c.Next(1, 100, 1, &d); !ok || err != nil || d.Seq != want {
			t.Fatalf("%d, %v, %v, want %d", d.Seq, ok, err, want)
		}
	}
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	disk.Kill()
	j = openDamaged(t, disk, 1<<20, nil)
	if got, want := takeAll(t, j, j.Cursors()[0]), numbers(6, 2, 3); !slices.Equal(got, want) {
		t.Errorf("after a kill: got %v, want %v", got, want)
	}
}
