package journal_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// eachFS runs test on every kind of directory there is, so that what holds in
// memory and under faults holds on a disk.
func eachFS(t *testing.T, test func(t *testing.T, dir journal.FS)) {
	t.Run("OSDir", func(t *testing.T) {
		test(t, journal.OSDir(filepath.Join(t.TempDir(), "data", "orders")))
	})
	t.Run("Memory", func(t *testing.T) { test(t, journal.Memory()) })
	t.Run("Disk", func(t *testing.T) {
		test(t, journaltest.New(rand.New(rand.NewPCG(1, 1))).Dir("orders"))
	})
	t.Run("Roster", func(t *testing.T) { test(t, cursorFiles{newRoster(t).Dir("orders")}) })
	t.Run("below Roster", func(t *testing.T) { test(t, newRoster(t).Dir("orders")) })
}

func newRoster(t testing.TB) *datapath.Roster {
	r, err := datapath.OpenRoster(datapath.OSDisk(t.TempDir(), journal.OSDir), datapath.RosterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// cursorFiles is a directory whose files have names as cursor files do, so that
// they stand in a roster.
type cursorFiles struct{ journal.FS }

const enrolledPrefix = "cursors."

func (d cursorFiles) Open(name string, create bool) (journal.File, error) {
	return d.FS.Open(enrolledPrefix+name, create)
}
func (d cursorFiles) Rename(from, to string) error {
	return d.FS.Rename(enrolledPrefix+from, enrolledPrefix+to)
}
func (d cursorFiles) Remove(name string) error { return d.FS.Remove(enrolledPrefix + name) }

func (d cursorFiles) List() ([]string, error) {
	names, err := d.FS.List()
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, enrolledPrefix)
	}
	return names, err
}

func TestFS_OpensAndLists(t *testing.T) {
	eachFS(t, func(t *testing.T, dir journal.FS) {
		wantFiles(t, dir)
		if _, err := dir.Open("a", false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening an absent file: %v, want fs.ErrNotExist", err)
		}
		wantFiles(t, dir)
		write(t, open(t, dir, "b"), "bee", 0)
		write(t, open(t, dir, "a"), "", 0)
		wantFiles(t, dir, "a", "b")
		wantContent(t, open(t, dir, "b"), "bee") // create keeps what is there
		if err := dir.SyncDir(); err != nil {
			t.Error(err)
		}
	})
}

func TestFS_RenamesAndRemoves(t *testing.T) {
	eachFS(t, func(t *testing.T, dir journal.FS) {
		one, two := open(t, dir, "one"), open(t, dir, "two")
		write(t, one, "first", 0)
		write(t, two, "second", 0)
		one.Close()
		two.Close()
		if err := dir.Rename("one", "two"); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dir, "two")
		two = open(t, dir, "two")
		wantContent(t, two, "first")
		two.Close()
		if err := dir.Remove("two"); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dir)
		if err := dir.Remove("two"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removing an absent file: %v, want fs.ErrNotExist", err)
		}
		if err := dir.Rename("two", "one"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("renaming an absent file: %v, want fs.ErrNotExist", err)
		}
		wantContent(t, open(t, dir, "two"), "")
	})
}

func TestFS_RemoveAllLeavesNothing(t *testing.T) {
	eachFS(t, func(t *testing.T, dir journal.FS) {
		if err := dir.RemoveAll(); err != nil {
			t.Errorf("removing what never was: %v", err)
		}
		open(t, dir, "a").Close()
		if err := dir.RemoveAll(); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dir)
		wantContent(t, open(t, dir, "a"), "") // the directory comes back with a file
		wantFiles(t, dir, "a")
	})
}

// A file is what a slice of bytes would be, whatever the sizes and offsets.
func TestFile_AgreesWithASlice(t *testing.T) {
	sizes := rapid.OneOf(
		rapid.Int64Range(0, 10),
		rapid.Int64Range(4090, 4100),       // where memory first grows
		rapid.Int64Range(262_140, 262_148), // where its second chunk begins
		rapid.Int64Range(0, 600_000),       // anywhere in the first three
	)
	eachFS(t, func(t *testing.T, dir journal.FS) {
		rapid.Check(t, func(t *rapid.T) {
			f := open(t, dir, "f")
			defer f.Close()
			if err := f.Truncate(0); err != nil {
				t.Fatal(err)
			}
			var want []byte
			for step := range rapid.IntRange(1, 6).Draw(t, "steps") {
				off := sizes.Draw(t, "offset")
				switch rapid.IntRange(0, 3).Draw(t, "step") {
				case 0, 1:
					p := bytes.Repeat([]byte{byte(step + 1)}, int(sizes.Draw(t, "length")))
					write(t, f, string(p), off)
					if len(p) > 0 {
						want = extend(want, off+int64(len(p)))
						copy(want[off:], p)
					}
				case 2:
					if err := f.Truncate(off); err != nil {
						t.Fatal(err)
					}
					want = extend(want, off)[:off]
				case 3:
					if err := f.Sync(); err != nil {
						t.Fatal(err)
					}
				}
				wantContent(t, f, string(want))
				wantRead(t, f, want, sizes.Draw(t, "from"), sizes.Draw(t, "count"))
			}
		})
	})
}

// wantRead compares a read in the middle, or beyond the end.
func wantRead(t fataler, f journal.File, want []byte, off, n int64) {
	t.Helper()
	p := bytes.Repeat([]byte{0xff}, int(n))
	got, err := f.ReadAt(p, off)
	rest := want[min(off, int64(len(want))):]
	switch {
	case int64(len(rest)) >= n && (err != nil || got != int(n)):
		t.Fatalf("read of %d at %d of %d: %d, %v", n, off, len(want), got, err)
	case int64(len(rest)) < n && (err != io.EOF || got != len(rest)):
		t.Fatalf("read of %d at %d of %d: %d, %v, want %d, EOF", n, off, len(want), got, err, len(rest))
	case !bytes.Equal(p[:got], rest[:got]):
		t.Fatalf("read of %d at %d of %d gets other bytes than were written", n, off, len(want))
	}
}

func TestFile_RefusesWhatIsClosedOrNegative(t *testing.T) {
	eachFS(t, func(t *testing.T, dir journal.FS) {
		f := open(t, dir, "f")
		if _, err := f.WriteAt([]byte("x"), -1); err == nil {
			t.Errorf("a write before the beginning succeeds")
		}
		if _, err := f.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
			t.Errorf("a read before the beginning: %v", err)
		}
		if err := f.Truncate(-1); err == nil {
			t.Errorf("a truncation to less than nothing succeeds")
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("a write after close: %v, want fs.ErrClosed", err)
		}
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("a read after close: %v, want fs.ErrClosed", err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("a second close: %v, want fs.ErrClosed", err)
		}
	})
}

func TestOSDir_IsForItsUserAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	root := filepath.Join(t.TempDir(), "data")
	dir := journal.OSDir(filepath.Join(root, "orders"))
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is there before its first file")
	}
	open(t, dir, "a").Close()
	for path, want := range map[string]fs.FileMode{
		root:                               fs.ModeDir | 0o700,
		filepath.Join(root, "orders"):      fs.ModeDir | 0o700,
		filepath.Join(root, "orders", "a"): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
}

func TestOSDir_ListsFilesOnly(t *testing.T) {
	path := t.TempDir()
	if err := os.Mkdir(filepath.Join(path, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := journal.OSDir(path)
	open(t, dir, "a").Close()
	wantFiles(t, dir, "a")
}

// A file that grows copies nothing of what it has: it costs its chunks.
func TestMemory_GrowsInChunks(t *testing.T) {
	dir := journal.Memory()
	f := open(t, dir, "f")
	p := make([]byte, 64<<10)
	off := int64(0)
	for range 8 {
		if _, err := f.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
		off += int64(len(p))
	}
	// 256 writes of 64 KiB are 256 chunks, and a few times the list of them.
	n := testing.AllocsPerRun(1, func() {
		for range 256 {
			if _, err := f.WriteAt(p, off); err != nil {
				t.Fatal(err)
			}
			off += int64(len(p))
		}
	})
	if n > 270 {
		t.Errorf("16 MiB cost %v allocations", n)
	}
}

// A Sync reads and writes the cursor file on another goroutine; in memory too.
func TestMemory_SyncMeanwhile(t *testing.T) {
	dir := journal.Memory()
	j := opened(t, journal.Options{FS: dir})
	j.CreateCursor("c", journal.CursorOptions{})
	put(t, j, 100, 0)
	flush(t, j)
	j = opened(t, journal.Options{FS: dir})
	c := j.Cursors()[0]
	put(t, j, 100, 0)
	sync, done := j.Sync(), make(chan error)
	go func() { done <- sync() }()
	for range 100 {
		put(t, j, 10, 0)
		if err := c.Finish(next(t, c, 1, 100).Seq, 1); err != nil {
			t.Fatal(err)
		}
		flush(t, j)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What a budget counts for a large message is what it takes, within a hundredth.
func TestMemory_LargeMessagesTakeTheirSize(t *testing.T) {
	p := make([]byte, 1<<20+60)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := open(t, journal.Memory(), "f")
	if _, err := f.WriteAt(p, 32); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(len(p)+len(p)/100) {
		t.Errorf("%d bytes took %d", len(p), took)
	}
}

// fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func open(t fataler, dir journal.FS, name string) journal.File {
	t.Helper()
	f, err := dir.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	if t, ok := t.(*testing.T); ok {
		t.Cleanup(func() { f.Close() })
	}
	return f
}

func write(t fataler, f journal.File, s string, off int64) {
	t.Helper()
	if n, err := f.WriteAt([]byte(s), off); n != len(s) || err != nil {
		t.Fatalf("write of %d bytes at %d: %d, %v", len(s), off, n, err)
	}
}

func wantContent(t fataler, f journal.File, want string) {
	t.Helper()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	if size != int64(len(want)) {
		t.Fatalf("the file has %d bytes, want %d", size, len(want))
	}
	got := make([]byte, size)
	if _, err := f.ReadAt(got, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if string(got) != want {
		if len(want) > 100 {
			t.Fatalf("the %d bytes are not those written", size)
		}
		t.Fatalf("the file has %q, want %q", got, want)
	}
}

func wantFiles(t fataler, dir journal.FS, want ...string) {
	t.Helper()
	got, err := dir.List()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("files %q, want %q", got, want)
	}
}

// extend returns data with zeroes up to size.
func extend(data []byte, size int64) []byte {
	if n := size - int64(len(data)); n > 0 {
		data = append(data, make([]byte, n)...)
	}
	return data
}
