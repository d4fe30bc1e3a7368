package datapath

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// What a power cut leaves of a new file counts where it says something, and the
// one before it does elsewhere.
func TestRoster_NewFileThatIsNotWhole(t *testing.T) {
	for cut := range int64(200) {
		g := newRig(t)
		g.put("a", file, "1")
		g.put("b", file, "1")
		g.sync()
		g.put("b", file, "2")
		g.r.stale = true
		g.put("a", file, "2") // begins the second
		path := RosterDir + "/" + rosterName(2)
		size := int64(len(g.disk.Content(path)))
		if cut >= size {
			break
		}
		g.disk.Cut(path, cut)
		g.kill()
		for _, name := range []string{"a", "b"} {
			if got := g.content(g.r.Dir(name), file); got != "2" && !(name == "a" && got == "1") {
				t.Fatalf("cut at %d of %d: %s has %q", cut, size, name, got)
			}
		}
		g.put("c", file, "3") // and it goes on
		g.sync()
		g.kill()
		if names, err := g.r.List(); err != nil || !slices.Equal(names, []string{"a", "b", "c"}) {
			t.Fatalf("cut at %d of %d: there is %q, %v", cut, size, names, err)
		}
	}
}

// A new file that did not come to its name may be longer than the next one, which
// is written over it: nothing of it is left.
func TestRoster_NewFileOverAnUnfinishedOne(t *testing.T) {
	g := newRig(t)
	g.put("a", file, "1")
	g.r.stale = true
	g.fail = func(op, _ string) error {
		if op == "rename" || op == "remove" {
			return errors.New("the disk fails")
		}
		return nil
	}
	if err := put(g.r.Dir("b"), file, "1"); err == nil {
		t.Fatal("the second file was begun, though it could not be renamed")
	}
	g.fail = nil
	g.put("a", file, "2") // the second file, with the same first record
	g.kill()
	g.want("a 2")
}

// Damage costs what its own record says, is told, and the file is kept.
func TestRoster_DamageHitsOneRecord(t *testing.T) {
	g := newRig(t)
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		g.put(name, file, "content")
	}
	g.sync()
	path := RosterDir + "/" + rosterName(1)
	whole := g.disk.Content(path)
	for at := range int64(len(whole)) {
		disk := g.disk.Clone(rand.New(rand.NewPCG(1, 1)))
		disk.FlipBit(path, at)
		h := &rig{t: t, disk: disk, ops: map[string]int{}}
		h.open()
		found, err := h.r.List()
		if err != nil {
			t.Fatal(err)
		}
		hit := at >= rosterHeader
		last := bytes.LastIndex(whole, []byte{0, 0, 0, kindHas, 1, 'd'}) - 7
		switch {
		case hit && len(found) != 3, !hit && len(found) != 4:
			t.Fatalf("a bit at %d: there is %q", at, found)
		case hit && at < int64(last) && !h.r.Damaged():
			t.Fatalf("a bit at %d, and nobody was told", at)
		}
		if !h.r.Damaged() {
			continue
		}
		if err := h.r.Mend(); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(h.disk.Files(), path+asideSuffix) {
			t.Fatalf("a bit at %d: files after it was mended are %q", at, h.disk.Files())
		}
		h.kill()
		again, err := h.r.List()
		if err != nil || h.r.Damaged() || !slices.Equal(again, found) {
			t.Fatalf("a bit at %d: mended there is %q, %v, damaged %v; want %q", at, again, err, h.r.Damaged(), found)
		}
	}
}

// A disk that cannot be read is not damage: nothing is forgotten, and nothing
// changed.
func TestRoster_ThatCannotBeRead(t *testing.T) {
	g := newRig(t)
	g.put("a", file, "1")
	for _, op := range []string{"list", "open", "size", "read"} {
		g.disk.Kill()
		g.disk.Fail(func(did, name string) error {
			if did == op && strings.HasPrefix(name, RosterDir) {
				return journaltest.ErrInjected
			}
			return nil
		})
		if _, err := OpenRoster(g.disk, RosterOptions{}); !errors.Is(err, journaltest.ErrInjected) {
			t.Errorf("%s failed, and the roster was opened, with %v", op, err)
		}
		if n := g.disk.Ops(); n > 0 {
			t.Errorf("%d changes to a disk that cannot be read", n)
		}
	}
	g.kill()
	g.want("a 1")
}

func TestRoster_OfANewerVersionIsRefused(t *testing.T) {
	g := newRig(t)
	g.put("a", file, "x")
	f, err := g.disk.Dir(RosterDir).Open(rosterName(1), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{rosterVersion + 1}, int64(len(rosterMagic))); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRoster(g.disk, RosterOptions{}); !errors.Is(err, ErrNewer) {
		t.Errorf("opened, with %v", err)
	}
}

// A file that is below as well, which a program has made that knows of no
// rosters, is the one below.
func TestRoster_WhatIsBelowCounts(t *testing.T) {
	g := newRig(t)
	g.put("a", file, "roster")
	if err := put(g.disk.Dir("a"), file, "below"); err != nil {
		t.Fatal(err)
	}
	g.kill()
	g.want("a below")
}

func TestRoster_FailedWriteChangesNothing(t *testing.T) {
	g := newRig(t)
	g.put("a", file, "1")
	fails := true
	g.fail = func(op, name string) error {
		if fails && op == "write" {
			return journaltest.Torn(journaltest.ErrInjected)
		}
		return nil
	}
	a := g.r.Dir("a")
	f, err := a.Open(file, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("2"), 0)
	for what, err := range map[string]error{"write": err, "rename": put(a, "cursors.0000000000000002", "2"), "remove": a.Remove(file), "remove all": a.RemoveAll()} {
		if err == nil {
			t.Errorf("%s did not fail", what)
		}
	}
	g.want("a 1 2") // the second has not got its name
	if err := g.r.Make("b"); err != nil {
		t.Errorf("no directory can be made though there is room for one: %v", err)
	}
	fails = false
	g.put("c", file, "3")
	g.kill()
	g.want("a 1", "b", "c 3")
}

// A sync that fails may have lost what it was for: another file is begun, also by
// the next process, which is not told of it.
func TestRoster_FailedSync(t *testing.T) {
	for seed := range uint64(40) {
		g := newRig(t)
		g.put("a", file, "1")
		g.put("b", file, "1")
		a, err := g.r.Dir("a").Open(file, false)
		if err != nil {
			t.Fatal(err)
		}
		b, err := g.r.Dir("b").Open(file, false)
		if err != nil {
			t.Fatal(err)
		}
		g.disk.FailNext("sync", nil)
		if err := a.Sync(); err == nil {
			t.Fatal("a sync failed, and nobody said so")
		}
		if seed%2 == 0 {
			err = b.Sync()
		} else {
			g.kill()
			g.put("b", file, "1")
			g.sync()
		}
		if err != nil {
			t.Fatal(err)
		}
		g.disk.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		g.open()
		g.want("a 1", "b 1")
	}
}
