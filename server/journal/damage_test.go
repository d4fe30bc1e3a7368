package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// A message of the journals below has 16 bytes and so its record 40; a file
// begins with a header of 32.
const (
	bodySize   = 16
	recordSize = 24 + bodySize
	headerSize = 32
)

// damaged is a journal whose process was killed, to be damaged. What was
// logged is known to the cursor file, which has a cursor "c" that has read
// nothing.
func damaged(t testing.TB, segment int64, logged, more int) *journaltest.Disk {
	t.Helper()
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, segment, nil)
	j.CreateCursor("c", journal.CursorOptions{})
	put := func(from, to int) {
		for i := from; i < to; i++ {
			j.Append(int64(i), 0, fmt.Appendf(nil, "message %08d", i))
			if err := j.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0, logged)
	j.CreateCursor("other", journal.CursorOptions{}) // an event, so that the log knows the end
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	put(logged, logged+more)
	disk.Kill()
	return disk
}

func openDamaged(t testing.TB, disk *journaltest.Disk, segment int64, log func(slog.Level, string, ...any)) *journal.Journal {
	t.Helper()
	j, _, err := journal.Open(journal.Options{FS: disk.Dir("t"), FirstSeq: 100, SegmentBytes: segment, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Check(); err != nil {
		t.Fatal(err)
	}
	return j
}

// takeAll takes and finishes all that waits at a cursor, and returns what
// number each message has.
func takeAll(t testing.TB, j *journal.Journal, c *journal.Cursor) []int {
	t.Helper()
	var got []int
	for {
		var d journal.Delivery
		ok, err := c.Next(1, 100, 1, &d)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		var i int
		if _, err := fmt.Sscanf(string(d.Body), "message %d", &i); err != nil {
			t.Fatalf("body %q", d.Body)
		}
		if d.Seq != uint64(100+i) || d.Timestamp != int64(i) {
			t.Fatalf("message %d has sequence %d and timestamp %d", i, d.Seq, d.Timestamp)
		}
		got = append(got, i)
		if err := c.Finish(d.Seq, 1); err != nil {
			t.Fatal(err)
		}
	}
	if c.Depth() != 0 {
		t.Fatalf("depth %d and nothing to take", c.Depth())
	}
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	if err := j.Check(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	return got
}

// goesOn publishes one more message, which is n, to a journal.
func goesOn(t testing.TB, j *journal.Journal, n int) {
	t.Helper()
	seq := j.Append(int64(n), 0, fmt.Appendf(nil, "message %08d", n))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	var d journal.Delivery
	c := j.Cursors()[0]
	if c.Depth() != 1 {
		t.Fatalf("depth %d after one more message, want 1", c.Depth())
	}
	if ok, err := c.Next(1, 100, 1, &d); !ok || err != nil || d.Seq != seq {
		t.Fatalf("one more message: %v %v %d, want %d", ok, err, d.Seq, seq)
	}
	if err := c.Finish(seq, 1); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func numbers(n int, without ...int) []int {
	var all []int
	for i := range n {
		if !slices.Contains(without, i) {
			all = append(all, i)
		}
	}
	return all
}

func segments(disk *journaltest.Disk) []string {
	return slices.DeleteFunc(disk.Files(), func(name string) bool { return !strings.HasSuffix(name, ".log") })
}

func cursorFile(t testing.TB, disk *journaltest.Disk) string {
	t.Helper()
	for _, name := range disk.Files() {
		if strings.HasPrefix(name, "t/cursors.") {
			return name
		}
	}
	t.Fatal("no cursor file")
	return ""
}

func TestDamage_TornTailAtEveryByte(t *testing.T) {
	whole := damaged(t, 0, 2, 3)
	for cut := range recordSize + 1 {
		disk := whole.Clone(rand.New(rand.NewPCG(1, 1)))
		disk.Cut(segments(disk)[0], int64(headerSize+4*recordSize+cut))
		j := openDamaged(t, disk, 0, nil)
		want := numbers(4)
		if cut == recordSize {
			want = numbers(5)
		}
		if got := takeAll(t, j, j.Cursors()[0]); !slices.Equal(got, want) {
			t.Fatalf("cut at %d: got %v, want %v", cut, got, want)
		}
		if j.Corrupt() != 0 {
			t.Fatalf("cut at %d: %d corrupt records; a torn one is none", cut, j.Corrupt())
		}
		goesOn(t, j, len(want))
	}
}

// TestDamage_OfOneByteCostsThatRecord flips a bit in every byte of a record in
// the middle, which the log knows or not.
func TestDamage_OfOneByteCostsThatRecord(t *testing.T) {
	for _, logged := range []int{2, 9} {
		whole := damaged(t, 0, logged, 10-logged)
		for at := range int64(recordSize) {
			disk := whole.Clone(rand.New(rand.NewPCG(1, 1)))
			disk.FlipBit(segments(disk)[0], headerSize+5*recordSize+at)
			j := openDamaged(t, disk, 0, nil)
			for _, c := range j.Cursors()[:1] {
				if got, want := takeAll(t, j, c), numbers(10, 5); !slices.Equal(got, want) {
					t.Fatalf("%d logged, byte %d: got %v, want %v", logged, at, got, want)
				}
			}
			takeAll(t, j, j.Cursors()[1])
			if j.Corrupt() != 1 {
				t.Fatalf("%d logged, byte %d: %d corrupt records, want 1", logged, at, j.Corrupt())
			}
			goesOn(t, j, 10)
		}
	}
}

func TestDamage_OfAMessageInFlight(t *testing.T) {
	disk := damaged(t, 0, 10, 0)
	j := openDamaged(t, disk, 0, nil)
	var d journal.Delivery
	for range 8 {
		if ok, err := j.Cursors()[0].Next(1, 100, 1, &d); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	disk.Kill()
	disk.FlipBit(segments(disk)[0], headerSize+5*recordSize+30)
	j = openDamaged(t, disk, 0, nil)
	if got, want := takeAll(t, j, j.Cursors()[0]), numbers(10, 5); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if j.Corrupt() != 1 {
		t.Fatalf("%d corrupt records, want 1", j.Corrupt())
	}
	goesOn(t, j, 10)
}

// TestDamage_DepthIsRightBehindDeferredRecords: a damaged record that was
// published with a delay must not hide one behind it.
func TestDamage_DepthIsRightBehindDeferredRecords(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 0, nil)
	j.CreateCursor("c", journal.CursorOptions{})
	for i := range 6 {
		due := int64(0)
		if i == 2 {
			due = 1 << 40
		}
		j.Append(int64(i), due, fmt.Appendf(nil, "message %08d", i))
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	disk.Kill()
	disk.FlipBit(segments(disk)[0], headerSize+2*recordSize+4)
	j = openDamaged(t, disk, 0, nil)
	if got, want := takeAll(t, j, j.Cursors()[0]), numbers(6, 2); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	goesOn(t, j, 6)
}

// A deferred message whose record is gone was counted as one to pass over: what
// stands behind it must not wait for a publish that makes up for it.
func TestDamage_ThatTakesADeferredRecordHoldsNothingBack(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 1<<20, nil)
	j.CreateCursor("c", journal.CursorOptions{})
	put := func(j *journal.Journal, due int64) {
		t.Helper()
		j.Append(1, due, []byte("0123456789abcdef"))
		if err := errors.Join(j.Commit(), j.WriteEvents()); err != nil {
			t.Fatal(err)
		}
	}
	put(j, 1<<40)
	disk.Kill()
	disk.Cut(segments(disk)[0], headerSize)

	j = openDamaged(t, disk, 1<<20, nil)
	put(j, 0)
	put(j, 0)
	c, got := j.Cursors()[0], 0
	for c.Depth() > 0 {
		var d journal.Delivery
		ok, err := c.Next(2, 3, 1, &d)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got++
	}
	if got != 2 {
		t.Errorf("%d messages were delivered while the depth said that some wait, want 2", got)
	}
}

// The same when the server is stopped, or killed, after the hole was met and
// before what stands behind it was read.
func TestDamage_ThatTakesADeferredRecordHoldsNothingBackAfterARestart(t *testing.T) {
	for _, killed := range []bool{false, true} {
		disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
		j := openDamaged(t, disk, 1<<20, nil)
		j.CreateCursor("c", journal.CursorOptions{})
		put := func(j *journal.Journal, due int64) {
			t.Helper()
			j.Append(1, due, []byte("0123456789abcdef"))
			if err := errors.Join(j.Commit(), j.WriteEvents()); err != nil {
				t.Fatal(err)
			}
		}
		put(j, 1<<40)
		disk.Kill()
		disk.Cut(segments(disk)[0], headerSize)

		j = openDamaged(t, disk, 1<<20, nil)
		put(j, 0)
		put(j, 0)
		var d journal.Delivery
		c := j.Cursors()[0]
		if ok, err := c.Next(2, 3, 1, &d); !ok || err != nil {
			t.Fatalf("killed %v: the first message behind the hole: %v %v", killed, ok, err)
		}
		if err := errors.Join(c.Finish(d.Seq, 1), j.WriteEvents()); err != nil {
			t.Fatal(err)
		}
		if killed {
			disk.Kill()
		} else if err := j.Close(); err != nil {
			t.Fatal(err)
		}

		j = openDamaged(t, disk, 1<<20, nil)
		if c = j.Cursors()[0]; c.Depth() != 1 {
			t.Fatalf("killed %v: depth %d with one message left, want 1", killed, c.Depth())
		}
		if ok, err := c.Next(2, 3, 1, &d); !ok || err != nil {
			t.Errorf("killed %v: the last message: %v %v", killed, ok, err)
		}
	}
}

func TestDamage_ZeroedPage(t *testing.T) {
	disk := damaged(t, 0, 300, 100)
	disk.ZeroPage(segments(disk)[0], 5000) // the bytes 4096 to 8191
	j := openDamaged(t, disk, 0, nil)
	first, last := (4096-headerSize)/recordSize, (8191-headerSize)/recordSize
	lost := numbers(last + 1)[first:]
	if got, want := takeAll(t, j, j.Cursors()[0]), numbers(400, lost...); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if j.Corrupt() != int64(len(lost)) {
		t.Errorf("%d corrupt records, want %d", j.Corrupt(), len(lost))
	}
	goesOn(t, j, 400)
}

// A journal that was closed knows where it ended, even if it has never had a
// cursor: a file cut between two records looks whole, and is missed.
func TestDamage_FileCutBetweenRecordsAfterClose(t *testing.T) {
	for _, cursor := range []bool{true, false} {
		disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
		j := openDamaged(t, disk, 0, nil)
		if cursor {
			j.CreateCursor("c", journal.CursorOptions{})
		}
		for i := range 10 {
			j.Append(int64(i), 0, fmt.Appendf(nil, "message %08d", i))
			if err := j.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		disk.Cut(segments(disk)[0], headerSize+7*recordSize)
		said := 0
		j = openDamaged(t, disk, 0, func(slog.Level, string, ...any) { said++ })
		if !cursor {
			j.CreateCursor("c", journal.CursorOptions{})
		}
		if got := takeAll(t, j, j.Cursors()[0]); !slices.Equal(got, numbers(7)) {
			t.Errorf("cursor %v: got %v", cursor, got)
		}
		if j.Corrupt() != 3 || said == 0 {
			t.Errorf("cursor %v: %d messages are counted as lost, want 3; %d reports", cursor, j.Corrupt(), said)
		}
	}
}

// What ends in order writes nothing more about an end that is known.
func TestClose_NotesTheEndOnce(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 0, nil)
	j.CreateCursor("c", journal.CursorOptions{})
	j.Append(1, 0, []byte("x"))
	sizes := []int{}
	for range 3 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range disk.Files() {
			if strings.Contains(name, "cursors") {
				sizes = append(sizes, len(disk.Content(name)))
			}
		}
		j = openDamaged(t, disk, 0, nil)
	}
	if len(sizes) != 3 || sizes[1] != sizes[0] || sizes[2] != sizes[0] {
		t.Errorf("sizes of the cursor file after each end: %v", sizes)
	}
}

func TestDamage_FileCutOff(t *testing.T) {
	for _, logged := range []int{5, 100} {
		disk := damaged(t, 0, logged, 100-logged)
		disk.Cut(segments(disk)[0], headerSize+40*recordSize+7)
		j := openDamaged(t, disk, 0, nil)
		if got, want := takeAll(t, j, j.Cursors()[0]), numbers(40); !slices.Equal(got, want) {
			t.Fatalf("%d logged: got %v, want %v", logged, got, want)
		}
		goesOn(t, j, max(40, logged)) // no sequence that the log knows is used twice
	}
}

func TestDamage_MissingSegment(t *testing.T) {
	for _, logged := range []int{5, 100} {
		for _, which := range []int{0, 3, 9} {
			disk := damaged(t, 10*recordSize, logged, 100-logged)
			names := segments(disk)
			if len(names) != 10 {
				t.Fatalf("%d segments", len(names))
			}
			disk.Remove(names[which])
			j := openDamaged(t, disk, 10*recordSize, nil)
			next := 100
			if which == 9 && logged < 90 {
				next = 90 // nothing says that there was more
			}
			if got, want := takeAll(t, j, j.Cursors()[0]), numbers(100, numbers(100)[10*which:10*which+10]...); !slices.Equal(got, want) {
				t.Fatalf("%d logged, segment %d: got %v, want %v", logged, which, got, want)
			}
			goesOn(t, j, next)
		}
	}
}

func TestDamage_SegmentHeaderIsNoHarm(t *testing.T) {
	for at := range int64(headerSize) {
		if at == 7 {
			continue // the version, which another test changes
		}
		disk := damaged(t, 0, 5, 5)
		disk.FlipBit(segments(disk)[0], at)
		j := openDamaged(t, disk, 0, nil)
		if got, want := takeAll(t, j, j.Cursors()[0]), numbers(10); !slices.Equal(got, want) {
			t.Fatalf("byte %d: got %v, want %v", at, got, want)
		}
		goesOn(t, j, 10)
	}
}

// A kill may leave any part of a header. What is stored behind it later is kept, as
// often as the journal is opened.
func TestDamage_HeaderCutOffAtEveryByteIsNoHarm(t *testing.T) {
	for n := range headerSize + 1 {
		disk := damaged(t, 3*recordSize, 3, 0)
		j := openDamaged(t, disk, 3*recordSize, nil)
		j.Append(3, 0, []byte("message 00000003"))
		if err := j.Commit(); err != nil { // begins a segment
			t.Fatal(err)
		}
		disk.Kill()
		disk.Cut(segments(disk)[1], int64(n))
		for i := range 3 {
			j = openDamaged(t, disk, 3*recordSize, nil)
			if i == 0 {
				j.Append(3, 0, []byte("message 00000003"))
				if err := j.Commit(); err != nil {
					t.Fatal(err)
				}
			}
			disk.Kill()
		}
		j = openDamaged(t, disk, 3*recordSize, nil)
		if got, want := takeAll(t, j, j.Cursors()[0]), numbers(4); !slices.Equal(got, want) {
			t.Fatalf("with %d bytes of the header: got %v, want %v", n, got, want)
		}
	}
}

func TestDamage_FilesOfAnotherVersionAreSetAside(t *testing.T) {
	disk := damaged(t, 10*recordSize, 30, 0)
	content := disk.Content(segments(disk)[1])
	writeByte(t, disk, segments(disk)[1], 7, 2)
	j, rec, err := journal.Open(journal.Options{FS: disk.Dir("t"), FirstSeq: 100, SegmentBytes: 10 * recordSize})
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.SetAside) != 1 || !slices.Contains(disk.Files(), "t/"+rec.SetAside[0]) {
		t.Fatalf("set aside %v of %v", rec.SetAside, disk.Files())
	}
	if aside := disk.Content("t/" + rec.SetAside[0]); !bytes.Equal(aside[8:], content[8:]) {
		t.Error("the file that was set aside is not what it was")
	}
	if got, want := takeAll(t, j, j.Cursors()[0]), numbers(30, numbers(20)[10:]...); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	goesOn(t, j, 30)

	disk = damaged(t, 0, 10, 0)
	writeByte(t, disk, cursorFile(t, disk), 7, 2)
	j, rec, err = journal.Open(journal.Options{FS: disk.Dir("t"), FirstSeq: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.SetAside) != 1 || len(j.Cursors()) != 0 || j.Depth() != 10 {
		t.Fatalf("set aside %v, %d cursors, depth %d; want one, none and 10", rec.SetAside, len(j.Cursors()), j.Depth())
	}
}

func TestDamage_OfTheCursorFile(t *testing.T) {
	for name, damage := range map[string]func(disk *journaltest.Disk, file string){
		"missing": func(disk *journaltest.Disk, file string) { disk.Remove(file) },
		"empty":   func(disk *journaltest.Disk, file string) { disk.Cut(file, 0) },
		"header":  func(disk *journaltest.Disk, file string) { disk.Cut(file, 20) },
		"first":   func(disk *journaltest.Disk, file string) { disk.FlipBit(file, headerSize+9) },
	} {
		t.Run(name, func(t *testing.T) {
			disk := damaged(t, 0, 10, 5)
			damage(disk, cursorFile(t, disk))
			said := 0
			j := openDamaged(t, disk, 0, func(level slog.Level, _ string, _ ...any) {
				if level >= slog.LevelError {
					said++
				}
			})
			if said == 0 {
				t.Error("nobody was told")
			}
			if len(j.Cursors()) != 0 || j.Depth() != 15 {
				t.Fatalf("%d cursors and depth %d, want none and 15", len(j.Cursors()), j.Depth())
			}
			c := j.CreateCursor("c", journal.CursorOptions{})
			if got, want := takeAll(t, j, c), numbers(15); !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			goesOn(t, j, 15)
			j = openDamaged(t, disk, 0, nil)
			if len(j.Cursors()) != 1 || j.Cursors()[0].Depth() != 0 {
				t.Fatal("the new cursor was not kept")
			}
		})
	}
}

// TestDamage_InTheMiddleOfTheCursorFile: what stands before it is used, and
// nothing is lost: answers given since are asked for again.
func TestDamage_InTheMiddleOfTheCursorFile(t *testing.T) {
	disk := damaged(t, 0, 10, 0)
	j := openDamaged(t, disk, 0, nil)
	var ends []int64
	for range 4 {
		var d journal.Delivery
		if ok, err := j.Cursors()[0].Next(1, 100, 1, &d); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := j.Cursors()[0].Finish(d.Seq, 1); err != nil {
			t.Fatal(err)
		}
		if err := j.WriteEvents(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, int64(len(disk.Content(cursorFile(t, disk)))))
	}
	disk.Kill()
	disk.FlipBit(cursorFile(t, disk), ends[1]+10)
	j = openDamaged(t, disk, 0, nil)
	if got, want := takeAll(t, j, j.Cursors()[0]), numbers(10)[2:]; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	goesOn(t, j, 10)
	j = openDamaged(t, disk, 0, nil)
	if j.Cursors()[0].Depth() != 0 || j.Cursors()[0].InFlight() != 0 {
		t.Fatal("what was finished since came back")
	}
}

func TestOpen_UsesTheNewestCursorFileAndRemovesOldOnes(t *testing.T) {
	disk := damaged(t, 0, 10, 0)
	stale := disk.Content(cursorFile(t, disk))
	j := openDamaged(t, disk, 0, nil)
	takeAll(t, j, j.Cursors()[0])
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	dir := disk.Dir("t")
	for _, name := range []string{"cursors.0000000000000000", "cursors.00000000000000ff.tmp", "0000000000000000-0000000000000000.log.tmp"} {
		f, err := dir.Open(name, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(stale, 0); err != nil {
			t.Fatal(err)
		}
	}
	j = openDamaged(t, disk, 0, nil)
	if j.Cursors()[0].Depth() != 0 {
		t.Fatal("an old cursor file was used")
	}
	goesOn(t, j, 10)
	for _, name := range disk.Files() {
		if strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, "cursors.0000000000000000") {
			t.Errorf("%s was left", name)
		}
	}
}

// TestOpen_SaysAnErrorOfTheDisk: what can't be read now is not damage, and
// must not be cut off or passed over.
func TestOpen_SaysAnErrorOfTheDisk(t *testing.T) {
	disk := damaged(t, 0, 5, 200000/recordSize)
	disk.FlipBit(segments(disk)[0], headerSize+7*recordSize)
	size := len(disk.Content(segments(disk)[0]))
	for n := 1; ; n++ {
		reads := 0
		fail := func(op, name string) error {
			if op == "read" && strings.HasSuffix(name, ".log") {
				if reads++; reads == n {
					return journaltest.ErrInjected
				}
			}
			return nil
		}
		disk := disk.Clone(nil)
		disk.Fail(fail)
		j, _, err := journal.Open(journal.Options{FS: disk.Dir("t"), FirstSeq: 100})
		if len(disk.Content(segments(disk)[0])) != size {
			t.Fatal("the segment was cut")
		}
		if reads < n {
			break
		}
		if err == nil { // the damaged bytes could not be kept, which is no matter
			disk.Fail(nil)
			if got, want := takeAll(t, j, j.Cursors()[0]), numbers(5005, 7); !slices.Equal(got, want) {
				t.Fatalf("an error in read %d cost messages: %d, want %d", n, len(got), len(want))
			}
		}
	}
}

// FuzzRecover damages the files of a journal: opening it must not fail, hang
// or panic, and nothing must be delivered that was not published.
func FuzzRecover(f *testing.F) {
	f.Add([]byte{0, 0, 40, 1, 1, 0, 60, 2})
	f.Add([]byte{0, 1, 200, 9, 2, 0, 7, 1, 1, 0, 33, 1})
	f.Fuzz(func(t *testing.T, damage []byte) {
		damage = damage[:min(len(damage), 64)] // a few places at a time
		disk := damaged(t, 10*recordSize, 30, 20)
		for ; len(damage) >= 4; damage = damage[4:] {
			files := disk.Files()
			name := files[int(damage[0])%len(files)]
			size := len(disk.Content(name))
			at := int(binary.LittleEndian.Uint16(damage[1:]))
			switch {
			case size == 0:
			case damage[3] == 0:
				disk.Cut(name, int64(at%size))
			case damage[3] == 1:
				disk.ZeroPage(name, int64(at%size))
			case damage[3] == 2:
				disk.Remove(name)
			default:
				writeByte(t, disk, name, at%size, damage[3])
			}
			if len(disk.Files()) == 0 {
				return
			}
		}
		j := openDamaged(t, disk, 10*recordSize, nil)
		for len(j.Cursors()) == 0 {
			j.CreateCursor("c", journal.CursorOptions{})
		}
		for _, c := range j.Cursors() {
			c.Expire(1<<62, func(uint64, uint32) {})
			got := takeAll(t, j, c)
			if i := slices.IndexFunc(got, func(i int) bool { return i >= 50 }); i >= 0 || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Fatalf("got %v", got)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = openDamaged(t, disk, 10*recordSize, nil)
		for _, c := range j.Cursors() {
			if got := takeAll(t, j, c); len(got) != 0 {
				t.Fatalf("finished messages came back: %v", got)
			}
		}
	})
}

// writeByte changes one byte of a file.
func writeByte(t testing.TB, disk *journaltest.Disk, path string, at int, b byte) {
	t.Helper()
	f, err := disk.Dir("t").Open(strings.TrimPrefix(path, "t/"), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b}, int64(at)); err != nil {
		t.Fatal(err)
	}
}

// Where the journal ends is written with the next events, also if nothing has happened
// to messages: what is cut off a file between two records is missed.
func TestOpen_MissesWhatIsCutOffBetweenRecords(t *testing.T) {
	for _, noted := range []bool{false, true} {
		disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
		j := openDamaged(t, disk, 0, nil)
		j.CreateCursor("c", journal.CursorOptions{})
		if err := j.WriteEvents(); err != nil {
			t.Fatal(err)
		}
		var sizes []int64
		for i := range 3 {
			j.Append(int64(i), 0, fmt.Appendf(nil, "message %08d", i))
			if err := j.Commit(); err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, int64(len(disk.Content(segments(disk)[0]))))
		}
		if !j.Dirty() {
			t.Error("nothing is to be written, though the log does not know the end")
		}
		if noted {
			if err := j.WriteEvents(); err != nil {
				t.Fatal(err)
			}
		}
		disk.Kill()
		disk.Cut(segments(disk)[0], sizes[0])
		j = openDamaged(t, disk, 0, nil)
		takeAll(t, j, j.Cursors()[0])
		if want := map[bool]int64{false: 0, true: 2}[noted]; j.Corrupt() != want {
			t.Errorf("%d messages are missed, want %d", j.Corrupt(), want)
		}
	}
}
