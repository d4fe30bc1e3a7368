package journal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// laterWork is what a journal has others do.
type laterWork []func()

func (l *laterWork) take(work func()) { *l = append(*l, work) }

// do does what there is so far.
func (l *laterWork) do() {
	all := *l
	*l = nil
	for _, work := range all {
		work()
	}
}

// finishedSegments fills a journal with segments of which all but the last are
// finished, and lets it know.
func finishedSegments(t testing.TB, o journal.Options, n int) *journal.Journal {
	t.Helper()
	o.SegmentBytes = 64
	j := opened(t, o)
	c := j.CreateCursor("c", journal.CursorOptions{})
	for j.Segments() <= n {
		put(t, j, 100, 0)
	}
	c.Empty()
	return j
}

// segmentFiles are the names of the segments in a directory.
func segmentFiles(t testing.TB, dir journal.FS) []string {
	t.Helper()
	names, err := dir.List()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".log") })
}

// A finished segment loses its name at once, and nothing but work for others
// closes it, which is what takes a disk so long.
func TestClear_NamesGoAtOnceAndFilesAreClosedLater(t *testing.T) {
	var later laterWork
	dir := &counted{FS: journal.OSDir(filepath.Join(t.TempDir(), "t"))}
	j := finishedSegments(t, journal.Options{FS: dir, NeverSync: true, Later: later.take}, 5)
	before := dir.open
	flush(t, j)
	if n := len(segmentFiles(t, dir)); n != 1 || j.Segments() != 1 {
		t.Errorf("%d segment files and %d segments are left, want the last one", n, j.Segments())
	}
	if n := dir.open - before; n != 5 {
		t.Errorf("%d files without a name are open, want 5", n)
	}
	later.do()
	if dir.open != before {
		t.Errorf("%d files are open, want %d as before", dir.open, before)
	}
	if err := j.Close(); err != nil || dir.open != 0 {
		t.Errorf("after Close %d files are open, %v", dir.open, err)
	}
}

// However many segments are finished, few files are open without a name; the
// others stay, and are counted, until those are closed.
func TestClear_OnlySoManyAtOnce(t *testing.T) {
	var later laterWork
	dir := &counted{FS: journal.OSDir(filepath.Join(t.TempDir(), "t"))}
	j := finishedSegments(t, journal.Options{FS: dir, NeverSync: true, Later: later.take}, 40)
	before := dir.open
	var left []int
	for j.Segments() > 1 {
		flush(t, j)
		flush(t, j) // has nothing to do as long as they are open
		left = append(left, j.Segments())
		if n := dir.open - before; n > 16 {
			t.Fatalf("%d files without a name are open, want 16 at most", n)
		}
		if n := len(segmentFiles(t, dir)); n != j.Segments() {
			t.Fatalf("%d segment files and %d segments", n, j.Segments())
		}
		if j.Dirty() {
			t.Fatal("there is something to do before the files are closed")
		}
		later.do()
		if j.Dirty() != (j.Segments() > 1) {
			t.Fatalf("with %d segments left, dirty is %v", j.Segments(), j.Dirty())
		}
	}
	if want := []int{25, 9, 1}; !slices.Equal(left, want) {
		t.Errorf("segments left: %v, want %v", left, want)
	}
}

// What nobody has begun Close does, and then there is nothing to do.
func TestClear_CloseDoesWhatHasNotBegun(t *testing.T) {
	var later laterWork
	dir := &counted{FS: journal.OSDir(filepath.Join(t.TempDir(), "t"))}
	j := finishedSegments(t, journal.Options{FS: dir, Later: later.take}, 5)
	flush(t, j)
	if err := j.Close(); err != nil || dir.open != 0 {
		t.Fatalf("after Close %d files are open, %v", dir.open, err)
	}
	later.do()
	if dir.open != 0 {
		t.Errorf("%d files are open: something was closed twice", dir.open)
	}
}

// Close waits for what has begun.
func TestClear_CloseWaitsForWhatHasBegun(t *testing.T) {
	var later laterWork
	began, goOn := make(chan bool), make(chan bool)
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	dir := &slowClose{FS: disk.Dir("t"), began: began, goOn: goOn}
	j := finishedSegments(t, journal.Options{FS: dir, NeverSync: true, Later: later.take}, 1)
	dir.slow = segmentFiles(t, dir)[0]
	flush(t, j)
	go later.do()
	<-began
	closed := make(chan error)
	go func() { closed <- j.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("Close did not wait, %v", err)
	case <-time.After(20 * time.Millisecond): // no time is too short for a Close that waits
	}
	goOn <- true
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}

// slowClose is a directory one of whose files is closed slowly once it has lost
// its name.
type slowClose struct {
	journal.FS
	slow        string
	removed     bool
	began, goOn chan bool
}

func (d *slowClose) Open(name string, create bool) (journal.File, error) {
	f, err := d.FS.Open(name, create)
	return &slowCloseFile{f, d, name}, err
}

func (d *slowClose) Remove(name string) error {
	d.removed = d.removed || name == d.slow
	return d.FS.Remove(name)
}

type slowCloseFile struct {
	journal.File
	dir  *slowClose
	name string
}

func (f *slowCloseFile) Close() error {
	if f.dir.removed && f.name == f.dir.slow {
		f.dir.began <- true
		<-f.dir.goOn
	}
	return f.File.Close()
}

// A journal that is removed is gone when Remove returns, and its files are closed
// later.
func TestClear_RemoveLeavesNoNames(t *testing.T) {
	var later laterWork
	dir := &counted{FS: journal.OSDir(filepath.Join(t.TempDir(), "t"))}
	j := finishedSegments(t, journal.Options{FS: dir, NeverSync: true, Later: later.take}, 20)
	flush(t, j) // 16 of them
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	if names, err := dir.List(); err != nil || len(names) != 0 {
		t.Errorf("left are %v, %v", names, err)
	}
	if dir.open == 0 {
		t.Error("no file is open: all were closed by Remove")
	}
	later.do()
	if dir.open != 0 {
		t.Errorf("%d files are open", dir.open)
	}
}

// jealous is a directory that removes no file which is open, as some systems do.
type jealous struct{ *counted }

func (d jealous) Remove(name string) error {
	if d.holds[name] > 0 {
		return fs.ErrPermission
	}
	return d.counted.Remove(name)
}

func TestClear_WhereOpenFilesCannotBeRemoved(t *testing.T) {
	var later laterWork
	dir := jealous{&counted{FS: journal.OSDir(filepath.Join(t.TempDir(), "t"))}}
	j := finishedSegments(t, journal.Options{FS: dir, NeverSync: true, Later: later.take}, 5)
	flush(t, j)
	if n := len(segmentFiles(t, dir)); n != 1 || len(later) != 0 {
		t.Errorf("%d segment files are left, want 1; %d works were handed over, want none", n, len(later))
	}
}

// A segment that cannot be removed is told of, once, and left for the next start.
func TestClear_SaysWhatCannotBeRemoved(t *testing.T) {
	for _, how := range []string{"later", "at once"} {
		t.Run(how, func(t *testing.T) {
			var later laterWork
			var said []string
			disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
			o := journal.Options{FS: disk.Dir("t"), Log: func(_ slog.Level, msg string, _ ...any) { said = append(said, msg) }}
			if how == "later" {
				o.Later = later.take
			}
			j := finishedSegments(t, o, 3)
			first := segmentFiles(t, o.FS)[0]
			disk.Fail(func(op, name string) error {
				if op == "remove" && strings.HasSuffix(name, first) {
					return errors.New("no")
				}
				return nil
			})
			flush(t, j)
			later.do()
			if want := []string{"remove a finished segment"}; !slices.Equal(said, want) {
				t.Errorf("said %q, want %q", said, want)
			}
			if left := segmentFiles(t, o.FS); len(left) != 2 || left[0] != first {
				t.Errorf("left are %v, want %s and the last", left, first)
			}
			disk.Fail(nil)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = opened(t, journal.Options{FS: o.FS, SegmentBytes: 64})
			flush(t, j)
			if left := segmentFiles(t, o.FS); len(left) != 2 {
				t.Errorf("after a start %v are left, before it is known what the disk has", left)
			}
			if err := j.Sync()(); err != nil {
				t.Fatal(err)
			}
			flush(t, j)
			if left := segmentFiles(t, o.FS); len(left) != 1 {
				t.Errorf("after a start %v are left, want the last", left)
			}
		})
	}
}

// BenchmarkReclaim is how long a journal holds its caller when a finished segment
// of 100 MB goes.
func BenchmarkReclaim(b *testing.B) {
	for _, how := range []string{"later", "at once"} {
		b.Run(how, func(b *testing.B) {
			o := journal.Options{FS: journal.OSDir(filepath.Join(b.TempDir(), "t")), NeverSync: true}
			done := make(chan bool, 1)
			if how == "later" {
				o.Later = func(work func()) { go func() { work(); done <- true }() }
			}
			j := opened(b, o)
			c := j.CreateCursor("c", journal.CursorOptions{})
			body := make([]byte, 1<<20)
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				for j.Segments() < 2 {
					j.Append(1, 0, body)
					if err := j.Commit(); err != nil {
						b.Fatal(err)
					}
				}
				c.Empty()
				b.StartTimer()
				if err := j.WriteEvents(); err != nil || j.Segments() != 1 {
					b.Fatal(fmt.Sprint(j.Segments()), err)
				}
				b.StopTimer()
				if how == "later" {
					<-done
				}
				b.StartTimer()
			}
		})
	}
}
