package tofile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newOutput is the output of topic t in a directory of its own.
func newOutput(t *testing.T, set func(*Options)) *output {
	t.Helper()
	o := &Options{
		Dir: t.TempDir(), Format: standardName, DateTime: standardTime, Host: "box", GzipLevel: 6, syncFile: (*os.File).Sync,
	}
	if set != nil {
		set(o)
	}
	if o.WorkDir == "" {
		o.WorkDir = o.Dir
	}
	n, err := newNaming(o, "t")
	if err != nil {
		t.Fatal(err)
	}
	return &output{o: o, naming: n}
}

// runJob writes bodies, and does what j says besides.
func (out *output) runJob(t *testing.T, at time.Time, j job, bodies ...string) *job {
	t.Helper()
	j.now = at
	for _, b := range bodies {
		j.bodies = append(j.bodies, []byte(b))
	}
	if err := out.run(&j); err != nil {
		t.Fatal(err)
	}
	return &j
}

// files are the names in dir, and what is in them, unzipped.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".gz") && len(raw) > 0 {
			z, err := gzip.NewReader(bytes.NewReader(raw))
			if err != nil {
				return err
			}
			if raw, err = io.ReadAll(z); err != nil {
				return err
			}
		}
		rel, err := filepath.Rel(dir, name)
		all = append(all, fmt.Sprintf("%s: %s", filepath.ToSlash(rel), strings.ReplaceAll(string(raw), "\n", "|")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// wantFiles compares the files of dir.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

// TestOutput_Appends: a plain file is continued, by the next process too.
func TestOutput_Appends(t *testing.T) {
	out := newOutput(t, nil)
	if j := out.runJob(t, noon, job{}, "a"); j.written != 1 || j.synced != 1 {
		t.Errorf("the first message of a file: %+v, want it synced", j)
	}
	if j := out.runJob(t, noon, job{before: 0}, "b"); j.written != 1 || j.synced != 0 {
		t.Errorf("the second message: %+v, want it written and not synced", j)
	}
	wantFiles(t, out.o.Dir, "t.box.2026-03-04_15.log: a|b|") // whoever looks sees it all the same
	if j := out.runJob(t, noon, job{wish: wish{close: true}, before: 1}); j.synced != 1 {
		t.Errorf("close: %+v, want all synced", j)
	}
	again := newOutput(t, func(o *Options) { o.Dir = out.o.Dir })
	again.runJob(t, noon, job{wish: wish{close: true}}, "c")
	wantFiles(t, out.o.Dir, "t.box.2026-03-04_15.log: a|b|c|")
}

// TestOutput_Rotates: by the clock, by age and by size.
func TestOutput_Rotates(t *testing.T) {
	out := newOutput(t, nil)
	out.runJob(t, noon, job{}, "a")
	if j := out.runJob(t, noon.Add(time.Hour), job{before: 1}, "b"); j.synced != 2 {
		t.Errorf("%+v, want the first message of a file, and what went before it, synced", j)
	}
	out.runJob(t, noon.Add(2*time.Hour), job{wish: wish{sync: true, tick: true}})
	wantFiles(t, out.o.Dir, "t.box.2026-03-04_15.log: a|", "t.box.2026-03-04_16.log: b|", "t.box.2026-03-04_17.log: ")

	out = newOutput(t, func(o *Options) { o.RotateInterval = time.Minute })
	out.runJob(t, noon, job{}, "a")
	out.runJob(t, noon.Add(59*time.Second), job{}, "b")
	out.runJob(t, noon.Add(60*time.Second), job{}, "c")
	wantFiles(t, out.o.Dir, "t.box-000000.2026-03-04_15.log: a|b|", "t.box-000001.2026-03-04_15.log: c|")

	out = newOutput(t, func(o *Options) { o.RotateSize = 3 })
	out.runJob(t, noon, job{}, "a", "b", "c", "d")
	wantFiles(t, out.o.Dir, "t.box-000000.2026-03-04_15.log: a|b|", "t.box-000001.2026-03-04_15.log: c|d|")
	again := newOutput(t, func(o *Options) { o.Dir, o.RotateSize = out.o.Dir, 3 })
	again.runJob(t, noon, job{}, "e")
	wantFiles(t, out.o.Dir, "t.box-000000.2026-03-04_15.log: a|b|", "t.box-000001.2026-03-04_15.log: c|d|", "t.box-000002.2026-03-04_15.log: e|")
}

// TestOutput_SkipsEmptyFiles: a tick that finds it is time closes, and opens
// nothing.
func TestOutput_SkipsEmptyFiles(t *testing.T) {
	out := newOutput(t, func(o *Options) { o.SkipEmptyFiles = true })
	tick := job{wish: wish{sync: true, tick: true}}
	out.runJob(t, noon, tick)
	wantFiles(t, out.o.Dir)
	out.runJob(t, noon, job{}, "a")
	out.runJob(t, noon.Add(time.Hour), tick)
	if out.f != nil {
		t.Error("the file of the last hour is open still")
	}
	wantFiles(t, out.o.Dir, "t.box.2026-03-04_15.log: a|")
}

// TestOutput_Gzip: each sync leaves a file that can be read to its end, and no
// file is opened twice.
func TestOutput_Gzip(t *testing.T) {
	out := newOutput(t, func(o *Options) { o.Gzip = true })
	sync := job{wish: wish{sync: true}}
	out.runJob(t, noon, sync, "a")
	wantFiles(t, out.o.Dir, "t.box-000000.2026-03-04_15.log.gz: a|")
	out.runJob(t, noon, sync, "b")
	wantFiles(t, out.o.Dir, "t.box-000000.2026-03-04_15.log.gz: a|b|")
	size := func() int64 {
		info, err := out.f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	out.runJob(t, noon, sync)
	if size() != before {
		t.Error("a sync without a message has written a member without one")
	}
	none := newOutput(t, func(o *Options) { o.Gzip = true })
	if err := errors.Join(none.rotate(noon), none.rotate(noon.Add(time.Hour)), none.close()); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, none.o.Dir, "t.box-000000.2026-03-04_15.log.gz: ", "t.box-000000.2026-03-04_16.log.gz: ")
	if info, err := os.Stat(filepath.Join(none.o.Dir, "t.box-000000.2026-03-04_15.log.gz")); err != nil || info.Size() == 0 {
		t.Errorf("a file without messages is not one of gzip's: %v", err)
	}
	again := newOutput(t, func(o *Options) { o.Dir, o.Gzip = out.o.Dir, true })
	again.runJob(t, noon, sync, "c")
	wantFiles(t, out.o.Dir, "t.box-000000.2026-03-04_15.log.gz: a|b|", "t.box-000001.2026-03-04_15.log.gz: c|")
}

// TestOutput_WorkDir: a file shows itself when it is complete, in a directory
// of its topic's if the format says so, and overwrites nothing.
func TestOutput_WorkDir(t *testing.T) {
	for _, zip := range []bool{false, true} {
		work := t.TempDir()
		out := newOutput(t, func(o *Options) {
			o.WorkDir, o.Gzip, o.Format = work, zip, "<TOPIC>/x<REV>.log"
		})
		suffix := ""
		if zip {
			suffix = ".gz"
		}
		out.runJob(t, noon, job{}, "a")
		wantFiles(t, out.o.Dir)
		wantFiles(t, work, "t/x-000000.log"+suffix+": a|")
		taken := filepath.Join(out.o.Dir, "t/x-000000.log"+suffix)
		if err := makeDir(taken); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(taken, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		out.runJob(t, noon, job{wish: wish{close: true}})
		wantFiles(t, work)
		wantFiles(t, out.o.Dir, "t/x-000000.log"+suffix+": ", "t/x-000001.log"+suffix+": a|")
		// After a SIGHUP, too: NSQ's own dies here.
		out.runJob(t, noon, job{wish: wish{close: true}}, "b")
		if got := files(t, out.o.Dir); len(got) != 3 || !strings.HasSuffix(got[2], ": b|") {
			t.Errorf("after the file was closed: %q", got)
		}
	}
}

// TestOutput_Errors: what cannot be written is not called written.
func TestOutput_Errors(t *testing.T) {
	out := newOutput(t, func(o *Options) {
		o.syncFile = func(*os.File) error { return io.ErrShortWrite }
	})
	j := &job{now: noon, bodies: [][]byte{[]byte("a")}}
	if err := out.run(j); err == nil || j.synced != 0 {
		t.Errorf("error %v, %d synced", err, j.synced)
	}
	out = newOutput(t, func(o *Options) { o.Dir = filepath.Join(o.Dir, "file", "below") })
	if err := os.WriteFile(filepath.Dir(out.o.Dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := out.run(&job{now: noon, bodies: [][]byte{[]byte("a")}}); err == nil {
		t.Error("a file below a file")
	}
}
