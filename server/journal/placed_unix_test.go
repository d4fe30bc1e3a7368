//go:build unix

package journal_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

// Whatever is done to the files of a journal that is in use: what is
// acknowledged afterwards is there after the death of the process, and the
// operator was told. A file that was open loses nothing at all.
func TestJournal_FilesTakenAwayWhileInUse(t *testing.T) {
	const before, after = 50, 150
	all := func(dir, pattern string) []string {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	each := func(pattern string, do func(string) error) func(string) {
		return func(dir string) {
			files := all(dir, pattern)
			if len(files) == 0 {
				t.Fatalf("no %s", pattern)
			}
			for _, file := range files {
				if err := do(file); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, row := range []struct {
		name  string
		idle  bool
		do    func(dir string)
		loses bool // what was acknowledged before
	}{
		{"all removed", false, func(dir string) { _ = os.RemoveAll(dir) }, false},
		{"segment removed", false, each("*.log", os.Remove), false},
		{"segment moved", false, each("*.log", func(f string) error { return os.Rename(f, f+".old") }), false},
		{"segment cut", false, each("*.log", func(f string) error { return os.Truncate(f, 0) }), true},
		{"cursor file removed", false, each("cursors.*", os.Remove), false},
		{"cursor file moved", false, each("cursors.*", func(f string) error { return os.Rename(f, f+".old") }), false},
		{"segment removed while closed", true, each("*.log", os.Remove), true},
		{"all removed while closed", true, func(dir string) { _ = os.RemoveAll(dir) }, true},
	} {
		for _, never := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, never synced %v", row.name, never), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "t")
				var told []string
				o := journal.Options{FS: journal.OSDir(dir), NeverSync: never, Log: func(_ slog.Level, msg string, args ...any) {
					told = append(told, msg)
				}}
				j, _, err := journal.Open(o)
				if err != nil {
					t.Fatal(err)
				}
				c := j.CreateCursor("c", journal.CursorOptions{})
				var d journal.Delivery
				number := func() (i int) {
					if _, err := fmt.Sscanf(string(d.Body), "message %d", &i); err != nil {
						t.Fatalf("body %q", d.Body)
					}
					return i
				}
				finished := map[int]bool{}
				put := func(first, end int) {
					for i := first; i < end; i++ {
						// Ten a second.
						j.Append(int64(i)*1e8, 0, fmt.Appendf(nil, "message %08d", i))
						if err := j.Commit(); err != nil {
							t.Fatal(err)
						}
						if i%10 == 0 { // one of ten is finished
							if ok, err := c.Next(1, 100, 1, &d); !ok || err != nil {
								t.Fatal(ok, err)
							}
							finished[number()] = true
							if err := c.Finish(d.Seq, 1); err != nil {
								t.Fatal(err)
							}
						}
						if err := j.WriteEvents(); err != nil {
							t.Fatal(err)
						}
					}
				}
				put(0, before)
				if len(told) > 0 {
					t.Errorf("before that the operator was told %q", told)
				}
				if !never {
					if err := j.Sync()(); err != nil {
						t.Fatal(err)
					}
				}
				if row.idle {
					j.Idle()
				}
				row.do(dir)
				put(before, before+11)
				if !never {
					if err := j.Sync()(); err != nil {
						t.Fatal(err)
					}
				}
				put(before+11, after)
				if !slices.ContainsFunc(told, func(msg string) bool { return strings.Contains(msg, "somebody else") }) {
					t.Errorf("the operator was told %q", told)
				}

				// The process dies.
				told = nil
				k, _, err := journal.Open(o)
				if err != nil {
					t.Fatal(err)
				}
				if len(k.Cursors()) != 1 {
					t.Fatalf("%d cursors are left: %q", len(k.Cursors()), told)
				}
				got := map[int]bool{}
				for {
					ok, err := k.Cursors()[0].Next(1, 100, 1, &d)
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					got[number()] = true
				}
				for i := range after {
					if finished[i] && got[i] {
						t.Errorf("message %d was finished and comes again", i)
					}
					if !finished[i] && !got[i] && (i >= before || !row.loses) {
						t.Fatalf("message %d of %d is lost, %d are there", i, after, len(got))
					}
				}
			})
		}
	}
}

// A reader that meets a segment whose file is gone goes on behind it.
func TestCursor_GoesOnBehindASegmentThatIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "t")
	j, _, err := journal.Open(journal.Options{FS: journal.OSDir(dir), SegmentBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	c := j.CreateCursor("c", journal.CursorOptions{})
	for i := range 100 {
		j.Append(int64(i), 0, fmt.Appendf(nil, "message %08d", i))
		if err := j.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	if err := j.Sync()(); err != nil {
		t.Fatal(err)
	}
	j.Idle() // what is in memory goes
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	n := 0
	var d journal.Delivery
	for ok := true; ok; n++ {
		if ok, err = c.Next(1, 100, 1, &d); err != nil {
			t.Fatal(err)
		}
	}
	if left := int64(n-1) + j.Corrupt(); left != 100 || j.Corrupt() != 25 {
		t.Errorf("%d messages came, %d were told to be lost", n-1, j.Corrupt())
	}
}
