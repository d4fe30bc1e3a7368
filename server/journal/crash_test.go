package journal_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// crashSteps is the length of the workload that is cut short at every
// operation of its disk.
const crashSteps = 200

// crashedLife is the workload, whose disk fails for good at the nth operation
// and ever after; 0 is never.
func crashedLife(t *testing.T, seed uint64, n int) *life {
	t.Helper()
	m := newLife(t, seed)
	m.disk.CrashAt(n)
	for range crashSteps {
		m.step()
		if n > 0 && m.disk.Ops() >= n {
			break
		}
	}
	return m
}

// survive crashes a life, and lets it go on for a while.
func (m *life) survive(power bool, seed uint64) {
	m.t.Helper()
	m.crash(power, seed)
	for range 25 {
		if !m.step() {
			m.t.Fatal("an operation failed without a fault")
		}
	}
	m.crash(false, seed)
}

func TestCrash_AtEveryOperationOfTheDisk(t *testing.T) {
	for workload := range uint64(3) { // the second and third write cursor files in slices
		ops := crashedLife(t, 90+workload, 0).disk.Ops()
		if ops < 100 {
			t.Fatalf("the workload has only %d operations", ops)
		}
		for n := 1; n <= ops; n++ {
			t.Run(fmt.Sprintf("%d/kill at %d of %d", workload, n, ops), func(t *testing.T) {
				crashedLife(t, 90+workload, n).survive(false, 0)
			})
			for seed := range uint64(3) {
				t.Run(fmt.Sprintf("%d/power cut at %d of %d/%d", workload, n, ops, seed), func(t *testing.T) {
					crashedLife(t, 90+workload, n).survive(true, seed)
				})
			}
		}
	}
}

var everyCut = flag.Bool("journal.everycut", false, "try every subset of the last unsynced changes at every operation, not some of them")

// lastChanges is how many changes that were not durable are kept and lost in
// every combination.
const lastChanges = 8

// TestCrash_EverySubsetOfTheLastUnsyncedChanges cuts the power at every
// operation of the disk, and leaves every subset of the last unsynced changes.
func TestCrash_EverySubsetOfTheLastUnsyncedChanges(t *testing.T) {
	for _, workload := range []uint64{92, 94} { // the second begins in a roster
		everySubset(t, workload)
	}
}

func everySubset(t *testing.T, workload uint64) {
	ops, cuts := crashedLife(t, workload, 0).disk.Ops(), 0
	for n := 1; n <= ops; n++ {
		masks := uint64(1)
		for mask := uint64(0); mask < masks; mask++ {
			if !*everyCut && mask > 0 && (uint64(n)*256+mask)%151 != 0 {
				continue
			}
			m := crashedLife(t, workload, n)
			masks = 1 << m.disk.CutKeeping(lastChanges, mask)
			m.afterCrash(true)
			for range 5 {
				if !m.step() {
					t.Fatalf("cut at %d of %d, mask %b: an operation failed without a fault", n, ops, mask)
				}
			}
			m.crash(false, 0)
			cuts++
		}
	}
	t.Logf("%d operations, %d cuts", ops, cuts)
}

// TestSync_WhatItCoveredSurvivesEveryPowerCut tries the same cut many times:
// what was unsynced differs, what was synced must be there.
func TestSync_WhatItCoveredSurvivesEveryPowerCut(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			for cut := range uint64(5) {
				m := newLife(t, 500+seed)
				for range 20 + 2*seed {
					m.step()
				}
				if err := m.sync(); err != nil {
					t.Fatal(err)
				}
				for range 15 {
					m.step()
				}
				m.crash(true, cut)
			}
		})
	}
}

// TestSync_AfterAFailedOneBeginsFromScratch: names that could not be made
// durable are so after the next Sync.
func TestSync_AfterAFailedOneBeginsFromScratch(t *testing.T) {
	for cut := range uint64(20) {
		m := newLife(t, 3)
		m.create(false)
		for range 10 {
			if err := m.publish(); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.writeEvents(); err != nil {
			t.Fatal(err)
		}
		m.disk.FailNext("syncdir", nil)
		if err := m.sync(); err == nil {
			t.Fatal("the directory was not synced, and nobody said so")
		}
		if err := m.sync(); err != nil {
			t.Fatal(err)
		}
		m.crash(true, cut)
	}
}

// A disk that fails a fsync may drop what it was to write, and no later fsync
// says so. Messages are published again by those who were told; of the cursor
// file nobody is told.
// The process after it is not told of it either: it reads what the system still has
// in memory, and a fsync of that finds nothing to do.
func TestSync_ThatFailedHasTheCursorFileWrittenAnew(t *testing.T) {
	for seed := range uint64(80) {
		disk := journaltest.New(rand.New(rand.NewPCG(seed, 1)))
		j := openDamaged(t, disk, 0, nil)
		c := j.CreateCursor("c", journal.CursorOptions{})
		if err := j.WriteEvents(); err != nil {
			t.Fatal(err)
		}
		disk.FailNext("sync", nil)
		if err := j.Sync()(); err == nil {
			t.Fatal("a fsync failed, and Sync says nothing of it")
		}
		if seed%2 == 1 {
			disk.Kill()
			j = openDamaged(t, disk, 0, nil)
		}
		j.Append(1, 0, []byte("message"))
		if err := errors.Join(j.Commit(), j.WriteEvents(), j.Sync()()); err != nil {
			t.Fatal(err)
		}
		disk.PowerCut(rand.New(rand.NewPCG(seed, 2)))
		j = openDamaged(t, disk, 0, nil)
		if all := j.Cursors(); len(all) != 1 || all[0].Name() != c.Name() || all[0].Depth() != 1 {
			t.Fatalf("seed %d: after a power cut there are %d cursors, want the one with the message", seed, len(all))
		}
	}
}

// An old cursor file stays until a process has synced one that it has written itself:
// a fsync of what another process has left may find nothing to do.
func TestSync_OfWhatWasFoundKeepsTheOldCursorFile(t *testing.T) {
	for seed := range uint64(40) {
		disk := journaltest.New(rand.New(rand.NewPCG(seed, 1)))
		j := openDamaged(t, disk, 0, nil)
		c := j.CreateCursor("c", journal.CursorOptions{})
		if err := errors.Join(j.WriteEvents(), j.Sync()()); err != nil {
			t.Fatal(err)
		}
		disk.Fail(func(op, name string) error {
			if op == "sync" && strings.Contains(name, "cursors") {
				return journaltest.ErrInjected
			}
			return nil
		})
		for range 2 { // the second one is of a file that was begun anew
			j.Append(1, 0, []byte("message"))
			if err := errors.Join(j.Commit(), j.WriteEvents()); err != nil {
				t.Fatal(err)
			}
			if err := j.Sync()(); err == nil {
				t.Fatal("a fsync failed, and Sync says nothing of it")
			}
		}
		disk.Fail(nil)
		disk.Kill()
		j = openDamaged(t, disk, 0, nil)
		if err := j.Sync()(); err != nil {
			t.Fatal(err)
		}
		disk.PowerCut(rand.New(rand.NewPCG(seed, 2)))
		j = openDamaged(t, disk, 0, nil)
		if all := j.Cursors(); len(all) != 1 || all[0].Name() != c.Name() {
			t.Fatalf("seed %d: after a power cut there are %d cursors, want %q", seed, len(all), c.Name())
		}
	}
}

// A process that dies while a journal is removed leaves no message without what is
// known of it: none that was finished comes back.
func TestRemove_CutShortBringsNothingBack(t *testing.T) {
	for seed := range uint64(20) {
		disk := journaltest.New(rand.New(rand.NewPCG(seed, 1)))
		j := openDamaged(t, disk, 64, nil)
		c := j.CreateCursor("c", journal.CursorOptions{})
		for range 5 {
			j.Append(1, 0, []byte("message"))
			var d journal.Delivery
			if err := j.Commit(); err != nil {
				t.Fatal(err)
			}
			if ok, err := c.Next(1, 2, 1, &d); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if err := errors.Join(c.Finish(d.Seq, 1), j.WriteEvents()); err != nil {
				t.Fatal(err)
			}
		}
		disk.FailNext("removeall", journaltest.Torn(journaltest.ErrCrashed))
		if err := j.Remove(); err == nil {
			t.Fatal("the directory was not removed, and nobody said so")
		}
		disk.Kill()
		j = openDamaged(t, disk, 64, nil)
		if n := j.CreateCursor("new", journal.CursorOptions{}).Depth(); n != 0 {
			t.Fatalf("seed %d: %d finished messages came back", seed, n)
		}
	}
}

// outstanding is a journal with many messages in flight, of which a process that was
// killed has left what is known of them.
func outstanding(t *testing.T, disk *journaltest.Disk, n int) *journal.Journal {
	t.Helper()
	j := openDamaged(t, disk, 0, nil)
	c := j.CreateCursor("c", journal.CursorOptions{})
	for range n {
		j.Append(1, 0, []byte("message"))
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	for range n {
		var d journal.Delivery
		if ok, err := c.Next(1, 2, 1, &d); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	disk.Kill()
	j = openDamaged(t, disk, 0, nil)
	j.Append(1, 0, []byte("message"))
	if err := errors.Join(j.Commit(), j.WriteEvents()); err != nil {
		t.Fatal(err)
	}
	return j
}

// What an earlier process has left of the cursor file is written once more by whoever
// syncs. It may be long: the caller of Sync does not wait for it.
func TestSync_WritesWhatWasFoundOffTheCaller(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := outstanding(t, disk, 1000)
	name := cursorFile(t, disk)
	before := disk.Content(name)
	wrote := 0
	disk.Fail(func(op, name string) error {
		if op == "write" || op == "create" {
			wrote++
		}
		return nil
	})
	sync := j.Sync()
	if wrote > 0 {
		t.Errorf("Sync has written %d times before its work begins", wrote)
	}
	if err := sync(); err != nil {
		t.Fatal(err)
	}
	if wrote == 0 {
		t.Error("nothing was written again, so the fsync had nothing to do")
	}
	if got := disk.Content(name); !bytes.Equal(got, before) || cursorFile(t, disk) != name {
		t.Error("the cursor file has changed")
	}
	wrote = 0
	j.Append(1, 0, []byte("message"))
	if err := errors.Join(j.Commit(), j.Sync()()); err != nil {
		t.Fatal(err)
	}
	if wrote != 1 { // the message
		t.Errorf("the next Sync has it written again: %d writes", wrote)
	}
}

// What the system had of a cursor file may be gone when it is to be written again,
// because the disk had dropped it. That Sync fails, and the next one writes it anew.
func TestSync_WhatWasFoundAndIsForgotten(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := outstanding(t, disk, 1000)
	disk.ZeroPage(cursorFile(t, disk), 0)
	if err := j.Sync()(); err == nil || !strings.Contains(err.Error(), "cursor file") {
		t.Fatalf("the cursor file is not what it was, and Sync says %v", err)
	}
	if err := j.Sync()(); err != nil {
		t.Fatal(err)
	}
	disk.PowerCut(rand.New(rand.NewPCG(1, 2)))
	j = openDamaged(t, disk, 0, nil)
	if all := j.Cursors(); len(all) != 1 || all[0].Depth() != 1001 {
		t.Fatalf("after a power cut there are %d cursors, want the one with 1001 messages", len(all))
	}
}

// Segments that were found finished go on a disk that is full, too: what has to be
// proven first takes no room.
func TestSettle_OnAFullDisk(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 64, nil)
	j.CreateCursor("c", journal.CursorOptions{})
	for range 6 {
		j.Append(1, 0, bytes.Repeat([]byte("x"), 64))
		if err := j.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(j.WriteEvents(), j.Close()); err != nil {
		t.Fatal(err)
	}
	disk.SetCapacity(disk.Bytes())
	j = openDamaged(t, disk, 64, nil)
	c := j.Cursors()[0]
	for range 6 {
		var d journal.Delivery
		if ok, err := c.Next(1, 2, 1, &d); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := c.Finish(d.Seq, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.WriteEvents(); err == nil {
		t.Fatal("the disk is not full")
	}
	if err := j.Sync()(); err != nil {
		t.Fatal(err)
	}
	_ = j.WriteEvents() // there was no room before the segments went
	if n := len(segmentFiles(t, disk.Dir("t"))); n != 1 {
		t.Errorf("%d segments are left, want 1", n)
	}
	if err := j.WriteEvents(); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// A fsync that fails while events are written may take with it what was committed
// before: the next Sync, for which that waits, says so.
func TestSync_TellsOfAFsyncThatFailedBeforeIt(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 4<<10, nil)
	c := j.CreateCursor("c", journal.CursorOptions{})
	failed := false
	disk.Fail(func(op, name string) error {
		if op == "sync" && strings.HasSuffix(name, ".log") {
			failed = true
			return syscall.EIO
		}
		return nil
	})
	for i := 0; !failed; i++ { // until stragglers are copied
		if i == 1000 {
			t.Fatal("nothing is synced while events are written")
		}
		put(t, j, 100, 0)
		d := next(t, c, 1, 100)
		if i%40 != 0 {
			if err := c.Finish(d.Seq, 1); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, j)
	}
	disk.Fail(nil)
	if err := j.Sync()(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Sync says %v", err)
	}
	if err := j.Sync()(); err != nil {
		t.Error(err)
	}
}

// A Sync that cannot open all files leaves none of them open.
func TestSync_ThatCannotOpenAllHoldsNone(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	dir := &counted{FS: disk.Dir("t")}
	begin := func() *journal.Journal { return opened(t, journal.Options{FS: dir, SegmentBytes: 64}) }
	j := begin()
	j.CreateCursor("c", journal.CursorOptions{})
	for range 6 {
		put(t, j, 100, 0)
	}
	flush(t, j)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = begin()
	put(t, j, 100, 0)
	flush(t, j)
	names := segmentFiles(t, dir)
	disk.Fail(func(op, name string) error {
		if op == "open" && strings.HasSuffix(name, names[len(names)-2]) {
			return syscall.EMFILE
		}
		return nil
	})
	open := 0
	for i := range 4 {
		if err := j.Sync()(); !errors.Is(err, syscall.EMFILE) {
			t.Fatalf("a segment cannot be opened, and Sync says %v", err)
		}
		if i > 0 && dir.open != open {
			t.Errorf("%d files are open, %d were before", dir.open, open)
		}
		open = dir.open
	}
	disk.Fail(nil)
	if err := j.Sync()(); err != nil {
		t.Error(err)
	}
}

// A cursor file that somebody takes away before the first Sync is written again.
func TestSync_WhatWasFoundAndIsTakenAway(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 0, nil)
	j.CreateCursor("c", journal.CursorOptions{})
	put(t, j, 100, 0)
	flush(t, j)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openDamaged(t, disk, 0, nil)
	disk.Remove(cursorFile(t, disk))
	put(t, j, 100, 0)
	if err := j.Sync()(); err != nil {
		t.Fatal(err)
	}
	disk.PowerCut(rand.New(rand.NewPCG(1, 2)))
	j = openDamaged(t, disk, 0, nil)
	if all := j.Cursors(); len(all) != 1 || all[0].Depth() != 2 {
		t.Errorf("after a power cut there are %d cursors, want the one with both messages", len(all))
	}
}
