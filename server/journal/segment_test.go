package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// next takes a message that must be there.
func next(t testing.TB, c *journal.Cursor, now, deadline int64) journal.Delivery {
	t.Helper()
	var d journal.Delivery
	if ok, err := c.Next(now, deadline, 1, &d); !ok || err != nil {
		t.Fatalf("%s: nothing to take: %v, %v", c.Name(), ok, err)
	}
	return d
}

func opened(t testing.TB, o journal.Options) *journal.Journal {
	t.Helper()
	j, _, err := journal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func put(t testing.TB, j *journal.Journal, size int, due int64) uint64 {
	t.Helper()
	seq := j.Append(1, due, numbered(j.NextSeq(), size))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	return seq
}

// numbered is a body that depends on its sequence in every byte.
func numbered(seq uint64, size int) []byte {
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(seq + uint64(i)*7)
	}
	return body
}

func flush(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	if err := j.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestSegment_CursorsFarApart reads from the files at three places in turn,
// with records that are larger than the read-ahead among them, and lets go of
// what all have read, though nothing is published meanwhile.
func TestSegment_CursorsFarApart(t *testing.T) {
	j := opened(t, journal.Options{FS: journal.OSDir(filepath.Join(t.TempDir(), "t")), SegmentBytes: 256 << 10})
	var cursors []*journal.Cursor
	for i := range 3 {
		cursors = append(cursors, j.CreateCursor(fmt.Sprint(i), journal.CursorOptions{}))
	}
	const n = 600
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = 1000 + i
		if i%50 == 7 {
			sizes[i] = 200 << 10
		}
		put(t, j, sizes[i], 0)
	}
	flush(t, j)
	j.Idle()
	peak := j.Segments()
	read := [3]int{}
	one := func(i int) {
		d := next(t, cursors[i], 1, 100)
		if d.Seq != uint64(read[i]) || string(d.Body) != string(numbered(d.Seq, sizes[read[i]])) {
			t.Fatalf("cursor %d: message %d is not what it was, want %d", i, d.Seq, read[i])
		}
		read[i]++
		if err := cursors[i].Finish(d.Seq, 1); err != nil {
			t.Fatal(err)
		}
	}
	for range 300 {
		one(1)
	}
	for range 500 {
		one(2)
	}
	flush(t, j)
	if j.Segments() != peak {
		t.Fatal("segments went that a cursor has not read")
	}
	for read[0] < n {
		for i := range cursors {
			if read[i] < n {
				one(i)
			}
		}
		if j.Dirty() {
			flush(t, j)
		}
	}
	flush(t, j)
	if j.Segments() != 1 {
		t.Errorf("%d of %d segments are left of a journal that was read", j.Segments(), peak)
	}
}

// TestSegment_StragglersDoNotPinMany keeps one message of each segment.
func TestSegment_StragglersDoNotPinMany(t *testing.T) {
	fs := journal.Memory()
	o := journal.Options{FS: fs, SegmentBytes: 4 << 10, NeverSync: true}
	j := opened(t, o)
	c := j.CreateCursor("c", journal.CursorOptions{})
	kept := 0
	for i := range 1000 {
		put(t, j, 100, 0)
		d := next(t, c, 1, 100)
		if i%40 != 0 {
			if err := c.Finish(d.Seq, 1); err != nil {
				t.Fatal(err)
			}
		} else {
			kept++
		}
		flush(t, j)
	}
	if j.Segments() > 8 {
		t.Errorf("%d stragglers keep %d segments", kept, j.Segments())
	}
	j = opened(t, o) // killed
	c = j.Cursors()[0]
	if c.Depth() != int64(kept) {
		t.Fatalf("depth %d after a kill, want %d", c.Depth(), kept)
	}
	for range kept {
		if d := next(t, c, 1, 100); d.Attempts != 2 || string(d.Body) != string(numbered(d.Seq, 100)) {
			t.Fatalf("straggler %d has %d attempts and body %q", d.Seq, d.Attempts, d.Body)
		}
	}
}

// Where stragglers were copied to may be known to the system alone, if the disk has
// dropped what says so. The next process, which can read it, leaves the files that they
// came from until it has made sure.
func TestSegment_StragglersOfWhichTheDiskDoesNotKnow(t *testing.T) {
	for seed := range uint64(20) {
		disk := journaltest.New(rand.New(rand.NewPCG(seed, 1)))
		begin := func() *journal.Journal {
			return opened(t, journal.Options{FS: disk.Dir("t"), SegmentBytes: 4 << 10})
		}
		j := begin()
		c := j.CreateCursor("c", journal.CursorOptions{})
		var kept []uint64
		for i := range 400 {
			if i == 100 { // from now on the disk keeps nothing of the cursor file
				if err := j.Sync()(); err != nil {
					t.Fatal(err)
				}
				disk.Fail(cursorsFail("sync"))
			}
			put(t, j, 100, 0)
			d := next(t, c, 1, 100)
			if i%40 == 0 {
				kept = append(kept, d.Seq)
			} else if err := c.Finish(d.Seq, 1); err != nil {
				t.Fatal(err)
			}
			flush(t, j)
		}
		if err := j.Sync()(); err == nil {
			t.Fatal("the disk keeps the cursor file")
		}
		disk.Kill()
		j = begin()
		flush(t, j)
		disk.PowerCut(rand.New(rand.NewPCG(seed, 2)))
		j = begin()
		there := map[uint64]bool{}
		for c := j.Cursors()[0]; c.Depth() > 0; {
			var d journal.Delivery
			if ok, err := c.Next(1, 100, 1, &d); err != nil {
				t.Fatal(err)
			} else if !ok {
				break
			}
			there[d.Seq] = true
		}
		for _, seq := range kept {
			if seq < kept[0]+100 && !there[seq] { // what was published later was never synced
				t.Errorf("seed %d: message %d, which was synced and not finished, is gone", seed, seq)
			}
		}
	}
}

// TestSegment_FullOnesAreNotCopied: messages that are all in flight stay where
// they are, in files and in memory, until most of them are finished.
func TestSegment_FullOnesAreNotCopied(t *testing.T) {
	j := opened(t, journal.Options{FS: journal.Memory(), SegmentBytes: 4 << 10, NeverSync: true})
	c := j.CreateCursor("c", journal.CursorOptions{})
	var flying []journal.Delivery
	for i := range 1000 {
		put(t, j, 100, 0)
		flying = append(flying, next(t, c, 1, 100))
		flush(t, j)
		// A record has 24 bytes besides its body, a file 32 besides its records.
		if most := int64(i+1)*(100+24) + int64(j.Segments())*32; j.Bytes() > most {
			t.Fatalf("%d bytes are kept of %d that were published: something was copied", j.Bytes(), most)
		}
	}
	for i, d := range flying {
		if i%40 != 0 {
			if err := c.Finish(d.Seq, 1); err != nil {
				t.Fatal(err)
			}
			flush(t, j)
		}
	}
	if j.Segments() > 8 {
		t.Errorf("%d stragglers keep %d segments", 1000/40, j.Segments())
	}
}

// TestSegment_FullDisk: refused messages never appear, nothing is lost, and
// consuming makes room again.
func TestSegment_FullDisk(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	o := journal.Options{FS: disk.Dir("t"), SegmentBytes: 4 << 10}
	j := opened(t, o)
	c := j.CreateCursor("c", journal.CursorOptions{})
	flush(t, j)
	disk.SetCapacity(20 << 10)
	committed := 0
	refuse := func() {
		j.Append(1, 0, numbered(1<<20, 100)) // like no message that was accepted
		if err := j.Commit(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("commit on a full disk: %v", err)
		}
	}
	for {
		j.Append(1, 0, numbered(j.NextSeq(), 100))
		if err := j.Commit(); err != nil {
			break
		}
		committed++
	}
	for range 3 {
		refuse()
	}
	for i := range committed {
		d := next(t, c, 1, 100)
		if d.Seq != uint64(i) || string(d.Body) != string(numbered(d.Seq, 100)) {
			t.Fatalf("message %d is not what it was", d.Seq)
		}
		if err := c.Finish(d.Seq, 1); err != nil {
			t.Fatal(err)
		}
		_ = j.WriteEvents() // there may be no room for it until segments go
	}
	flush(t, j)
	for range 20 {
		put(t, j, 100, 0)
		committed++
	}
	disk.Kill()
	j = opened(t, journal.Options{FS: disk.Dir("t"), SegmentBytes: 4 << 10})
	c = j.Cursors()[0]
	if c.Depth() != 20 {
		t.Fatalf("depth %d, want the 20 messages published since", c.Depth())
	}
	for range 20 {
		if d := next(t, c, 1, 100); string(d.Body) != string(numbered(d.Seq, 100)) {
			t.Fatalf("message %d was refused", d.Seq)
		}
	}
}

func TestCursor_AttemptsWrapAsTheFieldDoes(t *testing.T) {
	j := opened(t, journal.Options{FS: journal.Memory()})
	c := j.CreateCursor("c", journal.CursorOptions{})
	put(t, j, 1, 0)
	for i := range 1<<16 + 2 {
		d := next(t, c, 1, 100)
		if d.Attempts != uint16(i+1) {
			t.Fatalf("delivery %d has %d attempts", i+1, d.Attempts)
		}
		if err := c.Requeue(d.Seq, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, j)
}

func TestCursor_FreshAndRequeuedTakeTurns(t *testing.T) {
	j := opened(t, journal.Options{FS: journal.Memory()})
	c := j.CreateCursor("c", journal.CursorOptions{})
	for range 8 {
		put(t, j, 1, 0)
	}
	for range 4 {
		next(t, c, 1, 100)
	}
	c.Release(1, func(uint64) {})
	var got []uint64
	for range 8 {
		got = append(got, next(t, c, 1, 100).Seq)
	}
	if fmt.Sprint(got) != "[0 4 1 5 2 6 3 7]" {
		t.Errorf("got %v", got)
	}
}

func TestCursor_TouchIsCapped(t *testing.T) {
	j := opened(t, journal.Options{FS: journal.Memory()})
	c := j.CreateCursor("c", journal.CursorOptions{})
	put(t, j, 1, 0)
	next(t, c, 10, 20)
	for _, step := range []struct{ deadline, want int64 }{{40, 40}, {1000, 110}, {30, 30}, {111, 110}} {
		if err := c.Touch(0, 1, step.deadline, 100); err != nil {
			t.Fatal(err)
		}
		if at, ok := c.Due(); !ok || at != step.want {
			t.Errorf("touched until %d: due at %d, want %d", step.deadline, at, step.want)
		}
	}
}

// TestCursor_TimeoutsInOrder mixes timeouts, more than there are lists, with a
// clock that goes back.
func TestCursor_TimeoutsInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	j := opened(t, journal.Options{FS: journal.Memory()})
	c := j.CreateCursor("c", journal.CursorOptions{})
	at := map[uint64]int64{}
	now := int64(1000)
	for range 500 {
		put(t, j, 1, 0)
		now += int64(rng.IntN(20)) - 5
		deadline := now + 10*int64(1+rng.IntN(15))
		at[next(t, c, now, deadline).Seq] = deadline
	}
	for len(at) > 0 {
		first := int64(1 << 62)
		for _, deadline := range at {
			first = min(first, deadline)
		}
		if due, ok := c.Due(); !ok || due != first {
			t.Fatalf("due at %d, want %d", due, first)
		}
		if n, _ := c.Expire(first-1, nil); n != 0 {
			t.Fatal("a message timed out too early")
		}
		n, _ := c.Expire(first, func(seq uint64, _ uint32) {
			if at[seq] != first {
				t.Fatalf("%d timed out at %d, want %d", seq, first, at[seq])
			}
			delete(at, seq)
		})
		if n == 0 {
			t.Fatal("nothing timed out")
		}
		if err := j.Check(); err != nil {
			t.Fatal(err)
		}
	}
}

// What a write that fails has stored is cut off. Where that fails too, nobody must
// be told that nothing was kept: the next process may find it.
func TestCommit_SaysWhatCouldNotBeTakenBack(t *testing.T) {
	for _, row := range []struct {
		name  string
		fails []string // operations, besides a write in the middle of its bytes
		open  bool     // what becomes of the messages
	}{
		{"cut off", nil, false},
		{"not cut off", []string{"truncate"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			disk := journaltest.New(rand.New(rand.NewPCG(3, 1)))
			j := openDamaged(t, disk, 0, nil)
			j.CreateCursor("c", journal.CursorOptions{})
			if err := j.WriteEvents(); err != nil {
				t.Fatal(err)
			}
			put := func(first, n int) error {
				for i := range n {
					j.Append(int64(first+i), 0, fmt.Appendf(nil, "message %08d", first+i))
				}
				return j.Commit()
			}
			if err := put(0, 1); err != nil {
				t.Fatal(err)
			}
			disk.FailNext("write", journaltest.Torn(syscall.ENOSPC))
			for _, op := range row.fails {
				disk.FailNext(op, syscall.EIO)
			}
			if err := put(1, 20); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, journal.ErrNotTakenBack) != row.open {
				t.Errorf("committed with %v", err)
			}
			clone := disk.Clone(rand.New(rand.NewPCG(1, 1)))
			found := openDamaged(t, clone, 0, nil)
			if n := len(takeAll(t, found, found.Cursors()[0])); (n > 1) != row.open {
				t.Errorf("a start finds %d messages, 1 was committed", n)
			}
			// It is cut off before anything else is written, and where that
			// fails once more nothing of the next messages is in the file.
			if row.open {
				disk.FailNext("truncate", syscall.EIO)
				if err := put(1, 1); !errors.Is(err, syscall.EIO) || errors.Is(err, journal.ErrNotTakenBack) {
					t.Errorf("committed with %v", err)
				}
			}
			if err := put(1, 1); err != nil {
				t.Fatal(err)
			}
			disk.Kill()
			j = openDamaged(t, disk, 0, nil)
			if got, want := takeAll(t, j, j.Cursors()[0]), []int{0, 1}; !slices.Equal(got, want) {
				t.Errorf("after a kill there are %d, want %d", got, want)
			}
		})
	}
}
