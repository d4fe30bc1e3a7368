package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// Each cursor is given what was appended for it, with its attempts and not
// before its time, and nothing else, also after the process was killed. What is
// published afterwards goes to all.
func TestAppendShared_IsForSomeCursorsAlone(t *testing.T) {
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 5))
		disk := journaltest.New(dice)
		j := openDamaged(t, disk, 4<<10, nil)
		names := []string{"a", "b", "c"}
		want := map[string]map[string]journal.Share{}
		for _, name := range names {
			j.CreateCursor(name, journal.CursorOptions{})
			want[name] = map[string]journal.Share{}
		}
		for i := range 300 {
			body := fmt.Sprintf("message %08d", i)
			var shares []journal.Share
			for _, c := range j.Cursors() {
				if dice.IntN(3) == 0 {
					continue
				}
				s := journal.Share{Cursor: c}
				switch dice.IntN(4) {
				case 0:
					s.Attempts = uint16(1 + dice.IntN(5))
				case 1:
					s.Attempts, s.Due = uint16(dice.IntN(5)), int64(1000+dice.IntN(1000))
				}
				shares = append(shares, s)
				want[c.Name()][body] = s
			}
			j.AppendShared(int64(i), []byte(body), shares...)
			if dice.IntN(10) == 0 {
				if err := j.Commit(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := errors.Join(j.Commit(), j.Check(), j.WriteEvents()); err != nil {
			t.Fatal(err)
		}
		j.Append(300, 0, []byte("message 00000300"))
		if err := j.Commit(); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			want[name]["message 00000300"] = journal.Share{}
		}
		disk.Kill()
		j = openDamaged(t, disk, 4<<10, nil)
		for _, c := range j.Cursors() {
			got := map[string]bool{}
			for _, now := range []int64{1, 1500, 2000} {
				c.Expire(now, func(uint64, uint32) {})
				depth, n := c.Depth(), int64(0)
				var d journal.Delivery
				for {
					ok, err := c.Next(now, 1<<60, 1, &d)
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					n++
					s, ok := want[c.Name()][string(d.Body)]
					if !ok || got[string(d.Body)] {
						t.Fatalf("seed %d: %s is given %s, which is not for it, or was given already", seed, c.Name(), d.Body)
					}
					got[string(d.Body)] = true
					if d.Attempts != s.Attempts+1 || s.Due > now {
						t.Errorf("seed %d: %s is given %s at %d with attempts %d; appended was %+v", seed, c.Name(), d.Body, now, d.Attempts, s)
					}
				}
				if n != depth {
					t.Errorf("seed %d: %s has depth %d and delivers %d", seed, c.Name(), depth, n)
				}
			}
			if len(got) != len(want[c.Name()]) {
				t.Errorf("seed %d: %s is given %d messages, want %d", seed, c.Name(), len(got), len(want[c.Name()]))
			}
		}
	}
}

// What was appended and not kept is for nobody.
func TestAppendShared_IsTakenBackWhenItCannotBeWritten(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 0, nil)
	c := j.CreateCursor("c", journal.CursorOptions{})
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	disk.SetCapacity(1)
	j.AppendShared(0, []byte("message 00000000"), journal.Share{Cursor: c, Attempts: 1})
	if err := j.Commit(); err == nil {
		t.Fatal("kept on a full disk")
	}
	disk.SetCapacity(0)
	if c.Depth() != 0 {
		t.Errorf("depth %d after a write that failed", c.Depth())
	}
	goesOn(t, j, 0)
}
