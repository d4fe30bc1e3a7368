package journal_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

// turn publishes some messages, delivers and finishes them, and writes it all.
func turn(t testing.TB, j *journal.Journal, body []byte) {
	var seqs [50]uint64
	for range seqs {
		j.Append(1, 0, body)
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, c := range j.Cursors() {
		for i := range seqs {
			var d journal.Delivery
			if ok, err := c.Next(1, 100, 1, &d); !ok || err != nil {
				t.Fatal(ok, err)
			}
			seqs[i] = d.Seq
		}
		for _, seq := range seqs {
			if err := c.Finish(seq, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
}

func TestJournal_AllocatesNothingPerMessage(t *testing.T) {
	for name, o := range map[string]journal.Options{
		"memory": {FS: journal.Memory(), Volatile: true, NeverSync: true},
		"disk":   {FS: journal.OSDir(filepath.Join(t.TempDir(), "t")), NeverSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.SegmentBytes = 1 << 30 // a new segment allocates its file
			j, _, err := journal.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			j.CreateCursor("a", journal.CursorOptions{})
			j.CreateCursor("b", journal.CursorOptions{})
			body := make([]byte, 20)
			for range 50 {
				turn(t, j, body)
			}
			// In memory the file itself grows now and then.
			if n := testing.AllocsPerRun(200, func() { turn(t, j, body) }); n >= 1 {
				t.Errorf("%v allocations in a turn of 50 messages and 2 cursors", n)
			}
			if err := j.Remove(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// counted is a directory that knows how many of its files are open.
type counted struct {
	journal.FS
	open  int
	opens int // all of them
	read  int64
	holds map[string]int // by name: how often it is open
}

type countedFile struct {
	journal.File
	dir  *counted
	name string
}

func (d *counted) Open(name string, create bool) (journal.File, error) {
	f, err := d.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	d.open++
	d.opens++
	if d.holds == nil {
		d.holds = map[string]int{}
	}
	d.holds[name]++
	return &countedFile{f, d, name}, nil
}

func (f *countedFile) Close() error {
	f.dir.open--
	f.dir.holds[f.name]--
	return f.File.Close()
}

func (f *countedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.dir.read += int64(n)
	return n, err
}

// heapOfEach is how much memory each of many journals takes, in bytes, which begin
// makes in directories of their own.
func heapOfEach(t *testing.T, begin func(dir *counted, blocks *journal.Blocks) *journal.Journal) int64 {
	t.Helper()
	const many = 200
	journals := make([]*journal.Journal, many)
	var blocks journal.Blocks
	var before, after runtime.MemStats
	root := t.TempDir()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range journals {
		journals[i] = begin(&counted{FS: journal.OSDir(filepath.Join(root, fmt.Sprint(i)))}, &blocks)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(journals)
	return (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / many
}

func TestIdle_HoldsNoFileAndLittleMemory(t *testing.T) {
	each := heapOfEach(t, func(dir *counted, blocks *journal.Blocks) *journal.Journal {
		j := opened(t, journal.Options{FS: dir, Blocks: blocks})
		j.CreateCursor("c", journal.CursorOptions{})
		turn(t, j, make([]byte, 20))
		if err := j.Sync()(); err != nil {
			t.Fatal(err)
		}
		j.Idle()
		if dir.open != 0 {
			t.Fatalf("%d files are open in an idle journal", dir.open)
		}
		return j
	})
	t.Logf("an idle journal with a cursor that had 50 messages in flight: %d bytes", each)
	if each > 2<<10 {
		t.Errorf("an idle journal holds %d bytes", each)
	}
}

// Nobody is about to read what a journal without a cursor has committed: of ten
// thousand such topics none keeps a buffer.
func TestCommit_HoldsLittleMemoryWithoutACursor(t *testing.T) {
	each := heapOfEach(t, func(dir *counted, blocks *journal.Blocks) *journal.Journal {
		j := opened(t, journal.Options{FS: dir, Blocks: blocks})
		j.Append(1, 0, make([]byte, 20))
		if err := errors.Join(j.Commit(), j.WriteEvents()); err != nil {
			t.Fatal(err)
		}
		return j
	})
	if each > 4<<10 {
		t.Errorf("a journal that was published to holds %d bytes", each)
	}
}

// TestOpen_ReadsLittleOfALongJournal: when only publishes happened, the log
// still knows about where the journal ends.
func TestOpen_ReadsLittleOfALongJournal(t *testing.T) {
	fs := journal.Memory()
	o := journal.Options{FS: fs, SegmentBytes: 8 << 20, NeverSync: true}
	j, _, err := journal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 10<<10)
	for range 6000 {
		j.Append(1, 0, body)
		if j.Uncommitted() < 20 {
			continue
		}
		if err := j.Commit(); err != nil {
			t.Fatal(err)
		}
		if j.Dirty() {
			if err := j.WriteEvents(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Killed.
	dir := &counted{FS: fs}
	o.FS = dir
	k, rec, err := journal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if k.Depth() != 6000 {
		t.Fatalf("depth %d, want 6000", k.Depth())
	}
	if dir.read > 10<<20 {
		t.Errorf("%d of %d bytes were read, %d messages", dir.read, k.Bytes(), rec.Messages)
	}
}

// TestNext_DoesNotReadAllDeferredFirst: a message whose time has come is
// delivered without a look at all the others that were published for later.
func TestNext_DoesNotReadAllDeferredFirst(t *testing.T) {
	dir := &counted{FS: journal.Memory()}
	j, _, err := journal.Open(journal.Options{FS: dir, NeverSync: true})
	if err != nil {
		t.Fatal(err)
	}
	c := j.CreateCursor("c", journal.CursorOptions{})
	const n = 20_000
	for i := range n {
		j.Append(1, int64(1000+i), make([]byte, 200))
		if j.Uncommitted() == 100 {
			if err := j.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Expire(1000+n, func(uint64, uint32) {})
	for i := range n {
		dir.read = 0
		var d journal.Delivery
		if ok, err := c.Next(1000+n, 1<<60, 1, &d); !ok || err != nil || d.Seq != uint64(i) {
			t.Fatalf("delivery %d: %v %v, sequence %d", i, ok, err, d.Seq)
		}
		if dir.read > 200<<10 {
			t.Fatalf("delivery %d reads %d bytes", i, dir.read)
		}
		if err := c.Finish(d.Seq, 1); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := c.Next(1000+n, 1<<60, 1, new(journal.Delivery)); ok || err != nil || c.Depth() != 0 {
		t.Errorf("after all of them: %v %v, depth %d", ok, err, c.Depth())
	}
	if err := j.WriteEvents(); err != nil || j.Segments() != 1 {
		t.Errorf("%d segments are left, %v", j.Segments(), err)
	}
}

// muchDeferred is a journal with a cursor that was handed many messages for later,
// and has read none of their records.
func muchDeferred(t *testing.T, n int) (*counted, *journal.Journal, *journal.Cursor) {
	t.Helper()
	dir := &counted{FS: journal.Memory()}
	j, _, err := journal.Open(journal.Options{FS: dir, NeverSync: true})
	if err != nil {
		t.Fatal(err)
	}
	c := j.CreateCursor("c", journal.CursorOptions{})
	for i := range n {
		j.Append(1, int64(1000+i), make([]byte, 200))
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	return dir, j, c
}

// TestNext_ReadsNotOnWhenNothingIsFresh: after the one message whose time has
// come nothing is to be delivered, and the records of the others are left alone.
func TestNext_ReadsNotOnWhenNothingIsFresh(t *testing.T) {
	dir, j, c := muchDeferred(t, 20_000)
	c.Expire(1000, func(uint64, uint32) {})
	dir.read = 0
	var d journal.Delivery
	if ok, err := c.Next(1000, 1<<60, 1, &d); !ok || err != nil || d.Seq != 0 {
		t.Fatalf("%v %v, sequence %d, want the first message", ok, err, d.Seq)
	}
	if ok, err := c.Next(1000, 1<<60, 1, &d); ok || err != nil || c.Passing() {
		t.Fatalf("%v %v, passing %v: nothing more is due", ok, err, c.Passing())
	}
	if dir.read > 200<<10 {
		t.Errorf("%d of %d bytes are read to deliver one message", dir.read, j.Bytes())
	}
}

// TestPace_LetsNextStopOnItsWay: a fresh message behind many that were handed over
// is found in steps, each of which reads little more than it may.
func TestPace_LetsNextStopOnItsWay(t *testing.T) {
	const pace, slack = 100 << 10, 64<<10 + 4<<10 // what is read ahead
	dir, j, c := muchDeferred(t, 20_000)
	last := j.Append(1, 0, []byte("fresh"))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	var d journal.Delivery
	for steps := 1; ; steps++ {
		dir.read = 0
		c.Pace(pace)
		ok, err := c.Next(1, 1<<60, 1, &d)
		if err != nil {
			t.Fatal(err)
		}
		if dir.read > pace+slack {
			t.Fatalf("step %d reads %d bytes at a pace of %d", steps, dir.read, pace)
		}
		if !ok && (!c.Passing() || c.Depth() != 1) {
			t.Fatalf("step %d: passing %v, depth %d, and no message", steps, c.Passing(), c.Depth())
		}
		if !ok {
			continue
		}
		if d.Seq != last || c.Passing() {
			t.Errorf("sequence %d, want %d; passing %v", d.Seq, last, c.Passing())
		}
		if want := int(j.Bytes() / (pace + slack)); steps < want {
			t.Errorf("%d steps, want %d at least", steps, want)
		}
		return
	}
}

// TestNext_KeepsSegmentsOpen: messages whose times have come stand here and
// there; their files are not opened for each, and not read much beyond them.
func TestNext_KeepsSegmentsOpen(t *testing.T) {
	dir := &counted{FS: journal.Memory()}
	j, _, err := journal.Open(journal.Options{FS: dir, NeverSync: true, SegmentBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	c := j.CreateCursor("c", journal.CursorOptions{})
	const n = 5000
	for i := range n {
		j.Append(1, int64(1000+i*7919%n), make([]byte, 200))
		if err := j.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for at := int64(1000); c.Deferred() > 0; at += 10 { // ten at a time, wherever they are
		c.Expire(at, func(uint64, uint32) {})
		for c.Depth() > 0 {
			var d journal.Delivery
			if ok, err := c.Next(at, 1<<60, 1, &d); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if err := c.Finish(d.Seq, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if j.Segments() < 5 || dir.opens > 3*j.Segments() {
		t.Errorf("%d segments were opened %d times", j.Segments(), dir.opens)
	}
	if each := dir.read / n; each > 8<<10 {
		t.Errorf("%d bytes are read for a message of 200", each)
	}
}
