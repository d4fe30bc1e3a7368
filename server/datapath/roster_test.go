package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// rig is a roster on a disk that counts what is done to it.
type rig struct {
	t    *testing.T
	disk *journaltest.Disk
	r    *Roster
	ops  map[string]int // by operation and path
	fail func(op, name string) error
	said []string
}

func newRig(t *testing.T) *rig {
	g := &rig{t: t, disk: journaltest.New(rand.New(rand.NewPCG(1, 1))), ops: map[string]int{}}
	g.open()
	return g
}

// open opens the roster, in another process after Kill or PowerCut.
func (g *rig) open() {
	g.t.Helper()
	g.disk.Fail(func(op, name string) error {
		g.ops[op+" "+name]++
		if g.fail != nil {
			return g.fail(op, name)
		}
		return nil
	})
	r, err := OpenRoster(g.disk, RosterOptions{Log: func(_ slog.Level, msg string, _ ...any) { g.said = append(g.said, msg) }})
	if err != nil {
		g.t.Fatal(err)
	}
	g.r = r
}

// kill ends the process and opens the roster again.
func (g *rig) kill() {
	g.t.Helper()
	g.disk.Kill()
	g.open()
}

// did returns how often an operation was done to paths with a prefix, and
// forgets all.
func (g *rig) did(op, prefix string) (n int) {
	for key, times := range g.ops {
		if strings.HasPrefix(key, op+" "+prefix) {
			n += times
		}
	}
	clear(g.ops)
	return n
}

const file = "cursors.0000000000000001"

// put gives a file of a directory a content, as journals do.
func (g *rig) put(dir, name, content string) {
	g.t.Helper()
	if err := put(g.r.Dir(dir), name, content); err != nil {
		g.t.Fatal(err)
	}
}

func put(dir journal.FS, name, content string) error {
	f, err := dir.Open(name+unfinishedSuffix, true)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		return err
	}
	return errors.Join(dir.Rename(name+unfinishedSuffix, name), f.Close())
}

func (g *rig) sync() {
	g.t.Helper()
	if err := g.r.Sync(); err != nil {
		g.t.Fatal(err)
	}
}

// want checks which directories there are, and what their files say.
func (g *rig) want(want ...string) {
	g.t.Helper()
	var got []string
	dirs, err := g.r.List()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, name := range dirs {
		dir := g.r.Dir(name)
		files, err := dir.List()
		if err != nil {
			g.t.Fatal(err)
		}
		got = append(got, name)
		for _, file := range files {
			got[len(got)-1] += " " + g.content(dir, file)
		}
	}
	if !slices.Equal(got, want) {
		g.t.Errorf("the disk has %q, want %q", got, want)
	}
}

func (g *rig) content(dir journal.FS, name string) string {
	g.t.Helper()
	f, err := dir.Open(name, false)
	if err != nil {
		g.t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		g.t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}

func TestRoster_KeepsSmallFilesWithoutDirectories(t *testing.T) {
	g := newRig(t)
	for _, name := range []string{"a", "b"} {
		if err := g.r.Make(name); err != nil {
			t.Fatal(err)
		}
	}
	g.put("b", file, "x")
	f, err := g.r.Dir("b").Open(file, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("yz"), 1); err != nil {
		t.Fatal(err)
	}
	g.want("a", "b xyz")
	if n := g.did("mkdir", ""); n != 1 {
		t.Errorf("%d directories were made, want the roster's alone", n)
	}
	for range 2 {
		g.kill()
		g.want("a", "b xyz")
		if dirs := g.disk.Dirs(); !slices.Equal(dirs, []string{RosterDir}) {
			t.Errorf("directories with files are %v", dirs)
		}
	}
	g.sync()
	g.disk.CutKeeping(1<<30, 0)
	g.open()
	g.want("a", "b xyz")
	if err := g.r.Dir("b").RemoveAll(); err != nil {
		t.Fatal(err)
	}
	g.disk.CutKeeping(1<<30, 0) // what was removed stays so
	g.open()
	g.want("a")
}

// A file that is no cursor file, and one that has grown too long, stand below,
// and so do all that are made after them.
func TestRoster_MovesBelow(t *testing.T) {
	g := newRig(t)
	if err := errors.Join(g.r.Make("a"), g.r.Make("b")); err != nil {
		t.Fatal(err)
	}
	g.put("a", file, "old")
	if f, err := g.r.Dir("a").Open("1.log", true); err != nil {
		t.Fatal(err)
	} else if _, err := f.WriteAt([]byte("messages"), 0); err != nil {
		t.Fatal(err)
	}
	g.want("a messages old", "b")
	const next = "cursors.0000000000000002"
	g.put("a", next, "new")
	long := strings.Repeat("l", smallMost+1)
	g.put("b", file, long)
	want := []string{"a/1.log", "a/" + next, "b/" + file, RosterDir + "/" + rosterName(1)}
	if got := g.disk.Files(); !slices.Equal(got, want) {
		t.Errorf("files are %q, want %q", got, want)
	}
	g.kill()
	g.want("a messages old new", "b "+long)
	a := g.r.Dir("a")
	if err := errors.Join(g.r.Sync(), a.SyncDir(), a.Remove(file)); err != nil {
		t.Fatal(err)
	}
	g.kill()
	g.want("a messages new", "b "+long)
	g.sync()
	if len(g.r.listed()) != 0 {
		t.Errorf("the roster still has %q, whose directories stay", g.r.listed())
	}
}

// A directory is as safe as its files when SyncDir returns, and the roster has
// it until then.
func TestRoster_SyncDirKeepsTheDirectory(t *testing.T) {
	for seed := range uint64(20) {
		g := newRig(t)
		if err := g.r.Make("a"); err != nil {
			t.Fatal(err)
		}
		g.put("a", file, "old")
		g.sync()
		a := g.r.Dir("a")
		f, err := a.Open("1.log", true)
		if err != nil {
			t.Fatal(err)
		}
		if seed%2 == 0 {
			if err := a.Remove(file); err != nil { // too early
				t.Fatal(err)
			}
			g.sync()
		} else if err := errors.Join(f.Sync(), a.SyncDir(), a.Remove(file)); err != nil {
			t.Fatal(err)
		}
		g.disk.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		g.open()
		if names, err := g.r.List(); err != nil || !slices.Equal(names, []string{"a"}) {
			t.Fatalf("seed %d: after a power cut there is %q, %v", seed, names, err)
		}
		if names, err := g.r.Dir("a").List(); seed%2 == 1 && (err != nil || !slices.Contains(names, "1.log")) {
			t.Fatalf("seed %d: after a power cut the directory has %q, %v", seed, names, err)
		}
	}
}

// One fsync is for all that was written, whoever asks for it.
func TestRoster_SyncsOnce(t *testing.T) {
	g := newRig(t)
	var dirs []journal.FS
	for i := range 100 {
		dirs = append(dirs, g.r.Dir(fmt.Sprint(i)))
		g.put(fmt.Sprint(i), file, "x")
	}
	g.did("", "")
	var wg sync.WaitGroup
	for _, dir := range dirs {
		wg.Go(func() {
			f, err := dir.Open(file, false)
			if err == nil {
				err = errors.Join(f.Sync(), dir.SyncDir())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := g.did("sync", RosterDir); n != 1 {
		t.Errorf("%d fsyncs, want 1", n)
	}
}

// The file is begun anew before it has twice what is in it, and the old one
// stays until the new one is durable.
func TestRoster_IsBegunAnew(t *testing.T) {
	g := newRig(t)
	content := strings.Repeat("c", 1000)
	for i := 0; g.r.generation < 2; i++ {
		g.put("a", file, fmt.Sprint(i, content))
		g.put("b", file, content)
		if g.r.size > rosterKept+2000 {
			t.Fatalf("the roster has %d bytes", g.r.size)
		}
	}
	a := g.content(g.r.Dir("a"), file)
	two := []string{RosterDir + "/" + rosterName(1), RosterDir + "/" + rosterName(2)}
	if got := g.disk.Files(); !slices.Equal(got, two) {
		t.Errorf("files before the sync are %q", got)
	}
	g.sync()
	if got := g.disk.Files(); !slices.Equal(got, two[1:]) {
		t.Errorf("files after the sync are %q", got)
	}
	g.kill()
	g.want("a "+a, "b "+content)
}

// Removing a directory goes on where it has failed.
func TestRoster_RemovesAgain(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		g := newRig(t)
		g.put("a", file, "1")
		g.sync()
		a := g.r.Dir("a")
		g.disk.FailNext(op, nil)
		if err := a.RemoveAll(); err == nil {
			t.Fatalf("%s failed, and nobody said so", op)
		}
		if err := a.RemoveAll(); err != nil {
			t.Fatal(err)
		}
		g.disk.CutKeeping(1<<30, 0)
		g.open()
		g.want()
	}
}

func TestRoster_IsAbsentUntilItIsNeeded(t *testing.T) {
	g := newRig(t)
	if _, err := g.r.Dir("a").Open(file, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening an absent file: %v", err)
	}
	if err := errors.Join(g.r.Sync(), g.r.Close()); err != nil {
		t.Error(err)
	}
	if files := g.disk.Files(); len(files) > 0 {
		t.Errorf("there are %q", files)
	}
}
