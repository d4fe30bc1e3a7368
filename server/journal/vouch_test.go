package journal_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// cursorsFail makes every operation of that name on a cursor file fail.
func cursorsFail(op string) func(string, string) error {
	return func(got, name string) error {
		if got == op && strings.Contains(name, "/cursors.") {
			return syscall.EIO
		}
		return nil
	}
}

// A message that is committed reaches the cursors that were there, after the death
// of the process too. So nothing is committed while one of them is in no file.
func TestCommit_RefusesWhileACursorIsInNoFile(t *testing.T) {
	long := strings.Repeat("c", 300) // so that the cursor file has to begin anew
	for _, row := range []struct {
		name, op string
		begin    func(j *journal.Journal) error // of the cursor file
	}{
		{"no file yet", "write", func(*journal.Journal) error { return nil }},
		{"no file can be made", "create", func(*journal.Journal) error { return nil }},
		{"a file that cannot be appended to", "write", func(j *journal.Journal) error {
			j.CreateCursor("before", journal.CursorOptions{})
			return j.WriteEvents()
		}},
		{"a file that cannot begin anew", "rename", func(j *journal.Journal) error {
			j.CreateCursor("before", journal.CursorOptions{})
			err := j.WriteEvents()
			journal.SetLogLimits(j, 0, 0)
			return err
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
			j := openDamaged(t, disk, 0, nil)
			put := func(body string) error {
				j.Append(1, 0, []byte(body))
				return j.Commit()
			}
			if err := errors.Join(row.begin(j), put("before")); err != nil {
				t.Fatal(err)
			}
			disk.Fail(cursorsFail(row.op))
			next := j.NextSeq()
			c := j.CreateCursor(long, journal.CursorOptions{})
			had := c.Depth()
			if err := j.WriteEvents(); !errors.Is(err, syscall.EIO) {
				t.Fatalf("the cursor cannot be written, and WriteEvents says %v", err)
			}
			ops := disk.Ops()
			if err := put("refused"); !errors.Is(err, syscall.EIO) || j.NextSeq() != next || c.Depth() != had {
				t.Fatalf("committed with %v, next is %d instead of %d, depth %d", err, j.NextSeq(), next, c.Depth())
			}
			if n := disk.Ops() - ops; n > 0 {
				t.Errorf("%d operations of the disk for a message that is refused", n)
			}
			disk.Fail(nil)
			if err := errors.Join(j.WriteEvents(), put("after")); err != nil {
				t.Fatal(err)
			}
			disk.Kill()
			j = openDamaged(t, disk, 0, nil)
			all := j.Cursors()
			if n := len(all); n == 0 || all[n-1].Name() != long || all[n-1].Depth() != had+1 {
				t.Fatalf("after a kill there are %d cursors, want one with the message", n)
			}
		})
	}
}

// A cursor that nobody has tried to write yet is written by Commit.
func TestCommit_WritesACursorThatIsInNoFile(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 0, nil)
	j.CreateCursor("c", journal.CursorOptions{})
	j.CreateCursor("passing", journal.CursorOptions{Ephemeral: true})
	j.Append(1, 0, []byte("message"))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	disk.Kill()
	j = openDamaged(t, disk, 0, nil)
	if all := j.Cursors(); len(all) != 1 || all[0].Name() != "c" || all[0].Depth() != 1 {
		t.Fatalf("after a kill there are %d cursors, want the one with the message", len(all))
	}
}

// An ephemeral cursor goes with the process: no file has to tell of it.
func TestCommit_DoesNotWaitForEphemeralCursors(t *testing.T) {
	disk := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	j := openDamaged(t, disk, 0, nil)
	disk.Fail(cursorsFail("create"))
	c := j.CreateCursor("passing", journal.CursorOptions{Ephemeral: true})
	_ = j.WriteEvents() // it may fail: where the messages are is in no file
	j.Append(1, 0, []byte("message"))
	if err := j.Commit(); err != nil || c.Depth() != 1 {
		t.Errorf("committed with %v, depth %d", err, c.Depth())
	}
}

// forgetful is a directory that says of its cursor files that they have lost their
// names.
type forgetful struct {
	journal.FS
	gone *bool
}

func (d forgetful) Placed(f journal.File, name string) bool { return !*d.gone }

// Where somebody has taken the cursor file away, no cursor is in a file until there
// is a new one.
func TestCommit_RefusesWhileTheCursorFileIsGone(t *testing.T) {
	disk, gone := journaltest.New(rand.New(rand.NewPCG(1, 1))), false
	j, _, err := journal.Open(journal.Options{FS: forgetful{disk.Dir("t"), &gone}, FirstSeq: 100})
	if err != nil {
		t.Fatal(err)
	}
	c := j.CreateCursor("c", journal.CursorOptions{})
	put := func() error {
		j.Append(1, 0, []byte("message"))
		return j.Commit()
	}
	if err := errors.Join(put(), j.WriteEvents()); err != nil {
		t.Fatal(err)
	}
	disk.Remove(cursorFile(t, disk))
	gone = true
	disk.Fail(cursorsFail("create"))
	c.SetPaused(true) // something to write
	if err := j.WriteEvents(); err == nil {
		t.Fatal("the cursor file is gone and cannot be made again, and nobody says so")
	}
	gone = false
	if err := put(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("committed with %v while no file tells of the cursor", err)
	}
	disk.Fail(nil)
	if err := errors.Join(j.WriteEvents(), put()); err != nil {
		t.Fatal(err)
	}
	disk.Kill()
	j = openDamaged(t, disk, 0, nil)
	if all := j.Cursors(); len(all) != 1 || all[0].Depth() != 2 {
		t.Fatalf("after a kill there are %d cursors, want the one with both messages", len(all))
	}
}

// A cursor file that can't be read now is not one that is damaged: to go on without
// it would be to forget the cursors.
func TestOpen_SaysThatTheCursorFileCannotBeRead(t *testing.T) {
	for _, op := range []string{"open", "size", "read"} {
		disk := damaged(t, 0, 5, 5)
		disk.Fail(cursorsFail(op))
		if _, _, err := journal.Open(journal.Options{FS: disk.Dir("t"), FirstSeq: 100}); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s fails, and Open says %v", op, err)
		}
		disk.Kill()
		j := openDamaged(t, disk, 0, nil)
		if all := j.Cursors(); len(all) != 2 || all[0].Depth() != 10 {
			t.Fatalf("%s has failed once: %d cursors are left", op, len(all))
		}
	}
}
