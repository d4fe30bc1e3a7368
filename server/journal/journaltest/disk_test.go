package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func open(t *testing.T, dir journal.FS, name string) journal.File {
	t.Helper()
	f, err := dir.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// must fails the test when an operation does that should not.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, f journal.File, s string, off int64) {
	t.Helper()
	_, err := f.WriteAt([]byte(s), off)
	must(t, err)
}

// state prints all there is on the disk, a file a word.
func state(d *Disk) string {
	var words []string
	for _, path := range d.Files() {
		words = append(words, fmt.Sprintf("%s=%s", path, d.Content(path)))
	}
	return strings.Join(words, " ")
}

func wantState(t *testing.T, d *Disk, want string) {
	t.Helper()
	if got := state(d); got != want {
		t.Errorf("the disk has %q, want %q", got, want)
	}
}

// outcomes cuts the power of copies of the disk under many seeds and returns
// how often each state was left.
func outcomes(d *Disk) map[string]int {
	left := make(map[string]int)
	for seed := range uint64(400) {
		c := d.Clone(newRand(seed))
		c.PowerCut(newRand(seed))
		left[state(c)]++
	}
	return left
}

func wantOutcomes(t *testing.T, d *Disk, want ...string) {
	t.Helper()
	got := sortedKeys(outcomes(d))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("power cuts leave\n\t%q\nwant\n\t%q", got, want)
	}
}

func TestDisk_HasDirectories(t *testing.T) {
	d := New(newRand(1))
	put(t, open(t, d.Dir("orders"), "1.log"), "abc", 0)
	put(t, open(t, d.Dir("bills"), "2.log"), "de", 0)
	d.Dir("nothing")
	wantState(t, d, "bills/2.log=de orders/1.log=abc")
	if got, want := d.Dirs(), []string{"bills", "orders"}; !slices.Equal(got, want) {
		t.Errorf("Dirs() = %q, want %q", got, want)
	}
	if got := d.Bytes(); got != 5 {
		t.Errorf("Bytes() = %d, want 5", got)
	}
	must(t, d.Dir("orders").RemoveAll())
	wantState(t, d, "bills/2.log=de")
}

func TestDisk_KillKeepsWhatWasWritten(t *testing.T) {
	d := New(newRand(1))
	dir := d.Dir("a")
	f := open(t, dir, "f")
	put(t, f, "abc", 0)
	d.FailEvery(1)
	d.Kill()
	wantState(t, d, "a/f=abc")
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, ErrCrashed) {
		t.Errorf("a file of a dead process: %v, want ErrCrashed", err)
	}
	if _, err := dir.List(); !errors.Is(err, ErrCrashed) {
		t.Errorf("a directory of a dead process: %v, want ErrCrashed", err)
	}
	put(t, open(t, d.Dir("a"), "f"), "d", 3) // the faults died too
	wantState(t, d, "a/f=abcd")
	d.PowerCut(newRand(1)) // nothing was ever synced
	wantOutcomes(t, d, "")
}

func TestDisk_PowerCutKeepsWhatWasSynced(t *testing.T) {
	d := New(newRand(1))
	f := open(t, d.Dir("a"), "f")
	put(t, f, "abc", 0)
	must(t, f.Sync())
	must(t, d.Dir("a").SyncDir())
	wantOutcomes(t, d, "a/f=abc")
}

func TestDisk_PowerCutForgetsANameThatWasNotSynced(t *testing.T) {
	d := New(newRand(1))
	f := open(t, d.Dir("a"), "f")
	put(t, f, "abc", 0)
	must(t, f.Sync())
	wantOutcomes(t, d, "", "a/f=abc")
}

// Two writes that were not synced: any of them may be kept, and where only the
// second is there are zeroes or nothing.
func TestDisk_PowerCutKeepsAnyWrites(t *testing.T) {
	d := New(newRand(1))
	f := open(t, d.Dir("a"), "f")
	must(t, d.Dir("a").SyncDir())
	put(t, f, "A", 0)
	put(t, f, "B", 1)
	wantOutcomes(t, d, "a/f=", "a/f=A", "a/f=AB", "a/f=\x00B", "a/f=A\x00", "a/f=\x00", "a/f=\x00\x00")
}

func TestDisk_PowerCutMayUndoATruncation(t *testing.T) {
	d := New(newRand(1))
	f := open(t, d.Dir("a"), "f")
	must(t, d.Dir("a").SyncDir())
	put(t, f, "abc", 0)
	must(t, f.Sync())
	must(t, f.Truncate(1))
	wantOutcomes(t, d, "a/f=abc", "a/f=a")
	must(t, f.Sync())
	wantOutcomes(t, d, "a/f=a")
}

// A torn write keeps whole blocks, as they lie on the disk.
func TestDisk_PowerCutTearsAtBlocks(t *testing.T) {
	d := New(newRand(1))
	f := open(t, d.Dir("a"), "f")
	must(t, d.Dir("a").SyncDir())
	old := strings.Repeat(".", 3*blockSize)
	put(t, f, old, 0)
	must(t, f.Sync())
	put(t, f, strings.Repeat("x", 2*blockSize), 100) // parts of three blocks
	kinds := make(map[string]bool)
	for left := range outcomes(d) {
		data := strings.TrimPrefix(left, "a/f=")
		kind := ""
		for i, piece := range []string{data[100:512], data[512:1024], data[1024:1124]} {
			switch strings.Trim(piece, piece[:1]) + piece[:1] {
			case "x":
				kind += "x"
			case ".":
				kind += "."
			default:
				t.Fatalf("block %d was torn inside", i)
			}
		}
		if data[:100]+data[1124:] != old[1024:] {
			t.Fatalf("bytes around the write changed")
		}
		kinds[kind] = true
	}
	if len(kinds) != 8 {
		t.Errorf("power cuts leave %q, want all 8 sets of blocks", sortedKeys(kinds))
	}
}

// The usual way to replace a file: without SyncDir the name may be the old
// one's still, but a file is never without any name.
func TestDisk_PowerCutMayUndoARename(t *testing.T) {
	d := New(newRand(1))
	dir := d.Dir("a")
	put(t, open(t, dir, "f"), "old", 0)
	must(t, open(t, dir, "f").Sync())
	must(t, dir.SyncDir())
	g := open(t, dir, "g")
	put(t, g, "new", 0)
	must(t, g.Sync())
	must(t, dir.Rename("g", "f"))
	wantState(t, d, "a/f=new")
	wantOutcomes(t, d, "a/f=old", "a/f=new", "a/f=old a/g=new")
	must(t, dir.SyncDir())
	wantOutcomes(t, d, "a/f=new")
}

func TestDisk_PowerCutMayUndoARemove(t *testing.T) {
	d := New(newRand(1))
	dir := d.Dir("a")
	f := open(t, dir, "f")
	put(t, f, "abc", 0)
	must(t, f.Sync())
	must(t, dir.SyncDir())
	must(t, dir.Remove("f"))
	wantState(t, d, "")
	wantOutcomes(t, d, "", "a/f=abc")
	must(t, dir.SyncDir())
	wantOutcomes(t, d, "")
}

// CrashAt visits every moment of a history: what came before is there, what
// comes after is not, and the write at that moment may be there in part.
func TestDisk_CrashAtEveryOperation(t *testing.T) {
	history := func(d *Disk) error {
		dir := d.Dir("a")
		f, err := dir.Open("f", true) // 1
		if err != nil {
			return err
		}
		if _, err := f.WriteAt([]byte("abcdef"), 0); err != nil { // 2
			return err
		}
		if _, err := f.Size(); err != nil { // not counted
			return err
		}
		if err := f.Sync(); err != nil { // 3
			return err
		}
		return dir.Rename("f", "g") // 4
	}
	want := []string{"", "torn", "a/f=abcdef", "a/f=abcdef", "a/g=abcdef"}
	for n := 1; ; n++ {
		d := New(newRand(13))
		d.CrashAt(n)
		err := history(d)
		if _, again := d.Dir("a").List(); err != nil && !errors.Is(again, ErrCrashed) {
			t.Errorf("after operation %d failed the next one does not", n)
		}
		d.Kill()
		if want[n-1] == "torn" {
			if got := state(d); !strings.HasPrefix("a/f=abcdef", got) {
				t.Errorf("a write torn by a crash leaves %q", got)
			}
		} else {
			wantState(t, d, want[n-1])
		}
		if err == nil {
			if n != 5 {
				t.Errorf("the history ended well at operation %d, want 5", n)
			}
			break
		}
		if !errors.Is(err, ErrCrashed) {
			t.Fatal(err)
		}
	}
}

func TestDisk_FailNext(t *testing.T) {
	d := New(newRand(1))
	f := open(t, d.Dir("a"), "f")
	errBad := errors.New("bad sector")
	d.FailNext("write", nil)
	d.FailNext("read", errBad)
	d.FailNext("write", errBad)
	_, first := f.WriteAt([]byte("abc"), 0)
	_, read := f.ReadAt(nil, 0)
	_, second := f.WriteAt([]byte("abc"), 0)
	if !errors.Is(first, ErrInjected) || !errors.Is(second, errBad) || !errors.Is(read, errBad) {
		t.Errorf("faults %v, %v, %v, want injected, bad, bad", first, read, second)
	}
	wantState(t, d, "a/f=")
	var path *fs.PathError
	if !errors.As(second, &path) || path.Op != "write" || path.Path != "a/f" {
		t.Errorf("the error is %v, want one about write a/f", second)
	}
	put(t, f, "abc", 0)
	wantState(t, d, "a/f=abc")
	d.FailNext("", nil)
	if _, err := f.Size(); err != nil {
		t.Errorf("an operation that is not counted: %v", err)
	}
	if err := f.Truncate(0); !errors.Is(err, ErrInjected) {
		t.Errorf("the next counted operation: %v, want ErrInjected", err)
	}
}

func TestDisk_TornWritesStoreABeginning(t *testing.T) {
	lengths := make(map[int]bool)
	for seed := range uint64(50) {
		d := New(newRand(seed))
		f := open(t, d.Dir("a"), "f")
		d.FailNext("write", Torn(syscall.EIO))
		n, err := f.WriteAt([]byte("abcd"), 0)
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("a torn write: %v, want EIO", err)
		}
		if got := string(d.Content("a/f")); got != "abcd"[:n] {
			t.Fatalf("a torn write of %d stored %q", n, got)
		}
		lengths[n] = true
	}
	if got, want := sortedKeys(lengths), []int{0, 1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("torn writes of 4 bytes store %v, want %v", got, want)
	}
}

func TestDisk_FailEvery(t *testing.T) {
	d := New(newRand(1))
	f := open(t, d.Dir("a"), "f") // operation 1
	d.FailEvery(3)
	var failed []int
	for i := 2; i <= 9; i++ {
		if _, err := f.WriteAt([]byte("x"), 0); errors.Is(err, ErrInjected) {
			failed = append(failed, i)
		}
	}
	if want := []int{3, 6, 9}; !slices.Equal(failed, want) {
		t.Errorf("operations %v failed, want %v", failed, want)
	}
	if got := d.Ops(); got != 9 {
		t.Errorf("Ops() = %d, want 9", got)
	}
	d.FailEvery(0)
	for range 3 {
		put(t, f, "x", 0)
	}
}

func TestDisk_FailSeesEveryOperation(t *testing.T) {
	d := New(newRand(1))
	dir := d.Dir("a")
	var log []string
	d.Fail(func(op, name string) error {
		log = append(log, op+" "+name)
		if op == "rename" {
			return syscall.EACCES
		}
		return nil
	})
	f := open(t, dir, "f")
	put(t, f, "x", 0)
	must(t, f.Truncate(0))
	must(t, f.Sync())
	if err := dir.Rename("f", "g"); !errors.Is(err, syscall.EACCES) {
		t.Errorf("rename: %v, want EACCES", err)
	}
	must(t, f.Close())
	open(t, dir, "f")
	must(t, dir.SyncDir())
	must(t, dir.Remove("f"))
	must(t, dir.RemoveAll())
	want := []string{"create a/f", "write a/f", "truncate a/f", "sync a/f", "rename a/f", "close a/f", "open a/f", "syncdir a", "remove a/f", "removeall a"}
	if !slices.Equal(log, want) {
		t.Errorf("the hook saw\n\t%q\nwant\n\t%q", log, want)
	}
	if got, want := d.Ops(), len(want)-2; got != want { // open and close
		t.Errorf("Ops() = %d, want %d", got, want)
	}
}

func TestDisk_IsFullAtItsCapacity(t *testing.T) {
	d := New(newRand(1))
	dir := d.Dir("a")
	put(t, open(t, d.Dir("b"), "other"), "12345", 0)
	d.SetCapacity(10)
	f := open(t, dir, "f")
	if n, err := f.WriteAt([]byte("abcdefgh"), 0); n != 5 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("8 bytes into 5: %d, %v, want 5, ENOSPC", n, err)
	}
	put(t, f, "ABCDE", 0) // in place
	if n, err := f.WriteAt([]byte("xyz"), 3); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("one byte beyond: %d, %v, want 2, ENOSPC", n, err)
	}
	wantState(t, d, "a/f=ABCxy b/other=12345")
	must(t, d.Dir("b").Remove("other"))
	put(t, f, "fgh", 5)
	wantState(t, d, "a/f=ABCxyfgh")
}

// After a Sync that failed, another one that succeeds promises nothing about
// what was written before.
func TestDisk_FailedSyncMayLoseForGood(t *testing.T) {
	left := make(map[string]bool)
	for seed := range uint64(100) {
		d := New(newRand(seed))
		f := open(t, d.Dir("a"), "f")
		must(t, d.Dir("a").SyncDir())
		put(t, f, "abc", 0)
		d.FailNext("sync", syscall.EIO)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync: %v, want EIO", err)
		}
		must(t, f.Sync())
		wantState(t, d, "a/f=abc") // the living do not notice
		d.PowerCut(newRand(seed))
		left[state(d)] = true
	}
	if !left["a/f="] || !left["a/f=abc"] {
		t.Errorf("power cuts leave %q, want also nothing and all", sortedKeys(left))
	}
}

func TestDisk_RemoveAllMayBeTorn(t *testing.T) {
	left := make(map[int]bool)
	for seed := range uint64(50) {
		d := New(newRand(seed))
		for _, name := range []string{"1", "2"} {
			open(t, d.Dir("a"), name)
		}
		d.CrashAt(d.Ops() + 1)
		if err := d.Dir("a").RemoveAll(); !errors.Is(err, ErrCrashed) {
			t.Fatalf("removeall: %v, want ErrCrashed", err)
		}
		left[len(d.Files())] = true
	}
	if len(left) != 3 {
		t.Errorf("a crash leaves %v of 2 files, want sometimes each number", sortedKeys(left))
	}
}

func TestDisk_CorruptionIsDurable(t *testing.T) {
	d := New(newRand(1))
	dir := d.Dir("a")
	f := open(t, dir, "f")
	put(t, f, strings.Repeat("a", 2*pageSize+10), 0)
	must(t, dir.SyncDir())
	d.ZeroPage("a/f", pageSize+1)
	d.FlipBit("a/f", 3)
	want := []byte("aaa`" + strings.Repeat("a", pageSize-4) + strings.Repeat("\x00", pageSize) + strings.Repeat("a", 10))
	if got := d.Content("a/f"); !bytes.Equal(got, want) {
		t.Errorf("the corrupted file is not what it should be")
	}
	p := make([]byte, 1)
	if _, err := f.ReadAt(p, 3); err != nil || p[0] != '`' {
		t.Errorf("an open file reads %q, %v, want the corrupted byte", p, err)
	}
	d.ZeroPage("a/f", 2*pageSize) // the rest of a page
	d.Cut("a/f", 4)
	wantOutcomes(t, d, "a/f=aaa`")
	d.Cut("a/f", 0)
	wantOutcomes(t, d, "a/f=")
	open(t, dir, "g")
	d.Remove("a/f")
	d.Remove("a/g")
	wantOutcomes(t, d, "")
	for name, wrong := range map[string]func(){
		"no file": func() { d.FlipBit("a/f", 0) },
		"no byte": func() { open(t, dir, "h"); d.FlipBit("a/h", 0) },
		"no path": func() { d.Remove("f") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			wrong()
		}()
	}
}

// One seed is one history.
func TestDisk_IsDeterministic(t *testing.T) {
	run := func() string {
		d := New(newRand(7))
		dir := d.Dir("a")
		for i := range 20 {
			f := open(t, dir, fmt.Sprint("f", i%7))
			d.FailEvery(5)
			_, err := f.WriteAt(bytes.Repeat([]byte{byte('a' + i)}, 3000), int64(i*100))
			if err == nil && i%3 == 0 {
				err = f.Sync()
			}
			d.FailEvery(0)
			if err != nil && !errors.Is(err, ErrInjected) {
				t.Fatal(err)
			}
		}
		d.PowerCut(newRand(8))
		return state(d)
	}
	want := run()
	if want == "" {
		t.Fatal("the history leaves nothing: choose another seed")
	}
	for range 5 {
		if run() != want {
			t.Fatal("two runs of one seed differ")
		}
	}
}

func TestDisk_DirectoryWithoutSyncMayBeLost(t *testing.T) {
	kept, lost := 0, 0
	for seed := range uint64(40) {
		d := New(rand.New(rand.NewPCG(seed, 1)))
		for _, name := range []string{"early", "late"} {
			if err := d.Make(name); err != nil {
				t.Fatal(err)
			}
			f, err := d.Dir(name).Open("f", true)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Sync(), d.Dir(name).SyncDir()); err != nil {
				t.Fatal(err)
			}
			if name == "early" {
				if err := d.Sync(); err != nil {
					t.Fatal(err)
				}
			}
		}
		d.PowerCut(rand.New(rand.NewPCG(seed, 2)))
		names, err := d.List()
		if err != nil {
			t.Fatal(err)
		}
		switch strings.Join(names, " ") {
		case "early late":
			kept++
		case "early":
			lost++
		default:
			t.Fatalf("seed %d: left are %q", seed, names)
		}
	}
	if kept == 0 || lost == 0 {
		t.Errorf("the directory that was not synced was kept %d times and lost %d times, want some of each", kept, lost)
	}
}
