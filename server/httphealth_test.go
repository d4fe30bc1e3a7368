package server

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

// errDisk is what a failing disk says.
var errDisk = errors.New("no space left on device")

// failingFS is a directory in memory whose writes fail while full is set.
type failingFS struct {
	journal.FS
	full *atomic.Bool // set by the test, read on the loop
}

func (fs failingFS) Open(name string, create bool) (journal.File, error) {
	file, err := fs.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	return failingFile{file, fs.full}, nil
}

type failingFile struct {
	journal.File
	full *atomic.Bool
}

func (f failingFile) WriteAt(p []byte, at int64) (int, error) {
	if f.full.Load() {
		return 0, errDisk
	}
	return f.File.WriteAt(p, at)
}

// TestHTTP_PingFollowsTheDisk is 227: a failed write is NOK until the next one
// succeeds, and the publisher is told.
func TestHTTP_PingFollowsTheDisk(t *testing.T) {
	full := new(atomic.Bool)
	s := startHTTP(t, Options{
		DataPath: t.TempDir(),
		fs:       func(string) journal.FS { return failingFS{journal.Memory(), full} },
	})
	if a := ask(t, s, "POST", "/pub?topic=t", "x"); a.status != 200 {
		t.Fatalf("pub: %d %s", a.status, a.body)
	}
	full.Store(true)
	a := ask(t, s, "POST", "/pub?topic=t", "x")
	if a.status != 503 || a.code(t) != "EXITING" || !strings.Contains(a.body, errDisk.Error()) {
		t.Errorf("pub on a full disk: %d %s", a.status, a.body)
	}
	a = ask(t, s, "GET", "/ping", "")
	if a.status != 500 || !strings.HasPrefix(a.body, "NOK - ") || !strings.Contains(a.body, errDisk.Error()) || a.header.Get("Content-Type") != typeText {
		t.Errorf("ping on a full disk: %d %q", a.status, a.body)
	}
	if body, _ := statsJSON(t, s, ""); strings.Contains(body, `"health":"OK"`) || !strings.Contains(body, errDisk.Error()) {
		t.Errorf("stats on a full disk: %.100s", body)
	}
	full.Store(false)
	if a := ask(t, s, "POST", "/pub?topic=t", "x"); a.status != 200 {
		t.Errorf("pub with room again: %d %s", a.status, a.body)
	}
	if a := ask(t, s, "GET", "/ping", ""); a.status != 200 || a.body != "OK" {
		t.Errorf("ping with room again: %d %q", a.status, a.body)
	}
	st, err := s.Stats(StatsOptions{})
	if err != nil || st.Health != "OK" || st.Topics[0].Depth != 2 {
		t.Errorf("stats with room again: %q, %+v, %v", st.Health, st.Topics, err)
	}
}
