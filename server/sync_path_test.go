package server

import (
	"math/rand/v2"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// A process that dies between making the directory of a topic and forcing that to
// the disk leaves it to the next one, which must not call a publish durable before.
func TestSync_DataPathOfAnEarlierProcess(t *testing.T) {
	for seed := range uint64(10) {
		d, o := journaltest.New(rand.New(rand.NewPCG(seed, 2))), Options{Sync: SyncAlways}
		w := newWorldOn(t, o, d)
		d.Fail(func(op, name string) error {
			if op == "syncdir" && name == "" {
				return journaltest.ErrCrashed
			}
			return nil
		})
		p := w.dial()
		p.pub("t", "unknown")
		p.frames()
		d.Kill()
		w.kill()
		d.Fail(nil)
		w.start(o)
		w.publish("t", "kept")
		d.PowerCut(rand.New(rand.NewPCG(seed, 1)))
		w.kill()
		w.start(o)
		if n := w.topic("t").Depth; n == 0 {
			t.Fatalf("seed %d: the topic was lost, and with it what was acknowledged", seed)
		}
	}
}

// Nobody is told OK when the data path cannot be forced to the disk.
func TestSync_DataPathThatFailsRefusesPublishes(t *testing.T) {
	d := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	w := newWorldOn(t, Options{Sync: SyncAlways}, d)
	fails := true
	d.Fail(func(op, name string) error {
		if fails && op == "syncdir" && name == "" {
			return errFull
		}
		return nil
	})
	p := w.dial()
	p.pub("t", "x")
	if got := p.frames(); len(got) != 1 || got[0] == "OK" {
		t.Errorf("answered %q while the data path cannot be forced to the disk", got)
	}
	fails = false
	w.publish("t", "y")
	if err := w.s.health(); err != nil {
		t.Errorf("health is %v after a publish that went well", err)
	}
}
