package server

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// Whatever a disk fails with, and at which operation: publishes are refused
// with its words, consumers go on, what was acknowledged before and after is
// delivered, and what was refused is not.
func TestDisk_EveryKindOfFailure(t *testing.T) {
	for _, sync := range []Sync{SyncAlways, SyncInterval} {
		for _, kind := range []syscall.Errno{syscall.EIO, syscall.EROFS, syscall.ENOSPC, syscall.ENOENT, syscall.EMFILE} {
			for _, op := range []string{"write", "create", "sync"} {
				if op == "sync" && sync != SyncAlways {
					continue // nobody waits for it
				}
				t.Run(fmt.Sprintf("%s/%v/%s", sync, kind, op), func(t *testing.T) { failAndGoOn(t, sync, kind, op) })
			}
		}
	}
}

func failAndGoOn(t *testing.T, sync Sync, kind syscall.Errno, op string) {
	// A segment per message, so that each publish makes a file.
	d, o := onDisk(t, Options{Sync: sync, MaxBytesPerFile: 1})
	w := newWorld(t, o)
	p := w.subscribe("t", "c", 1)
	w.publish("t", "1", "2")
	d.Fail(failing(op, kind))
	q := w.dial()
	q.send(wire.AppendPub(nil, "t", []byte("refused")))
	if got := q.frames(); len(got) != 1 || !strings.HasPrefix(got[0], "E_PUB_FAILED") || !strings.Contains(got[0], kind.Error()) || !q.closed() {
		t.Fatalf("answered %q, want the disk's words", got)
	}
	p.fin(p.message("1", 1)) // consumers go on
	p.message("2", 1)
	d.Fail(nil)
	w.sleep(time.Second)
	w.publish("t", "3")
	d.Kill()
	w.kill()
	w.start(o)
	var got []string
	for _, m := range w.subscribe("t", "c", 10).messages(2) {
		got = append(got, string(m.Body))
	}
	slices.Sort(got)
	// A fsync that failed leaves open whether its messages are kept, so the
	// one that was refused may be there, and the first FIN may be lost.
	if want := []string{"2", "3"}; op != "sync" && !slices.Equal(got, want) {
		t.Errorf("after a kill there are %q, want %q", got, want)
	}
	if w.channel("t", "c").Depth > 1 || op != "sync" && w.channel("t", "c").Depth > 0 {
		t.Errorf("%d more wait", w.channel("t", "c").Depth)
	}
}
