//go:build linux || darwin

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// TestProgram_FrozenAndContinued: a server that is stopped by a signal costs
// publishes their answers and no message; when it goes on, so do its clients, and
// each publish has told which of the two it was.
func TestProgram_FrozenAndContinued(t *testing.T) {
	p := start(t, t.TempDir(), nil, nsqd()...)
	tcp, _ := p.ready()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(l, writer.Options{NSQDs: []string{tcp}, Timeout: 2 * time.Second, ReplyTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var confirmed, unanswered atomic.Int64
	owed := map[string]bool{} // the loop's
	over, done := context.WithCancel(ctx)
	defer done()
	frozen, thawed := false, false
	var publishing loop.Timer
	check := func() {
		if thawed && len(owed) == 0 {
			publishing.Stop() // what is published while the loop drains might be delivered to nobody
			done()
		}
	}
	_, err = reader.New(l, reader.Options{Topic: "t", Channel: "c", NSQDs: []string{tcp}, MaxInFlight: 100,
		Handler: func(m *reader.Message) error {
			delete(owed, string(m.Body))
			check()
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	publishing = l.Every(5*time.Millisecond, func() {
		n++
		body := fmt.Sprint(n)
		owed[body] = true
		w.Publish("t", []byte(body), func(res writer.Result) {
			if res.Err == nil {
				confirmed.Add(1)
			} else {
				unanswered.Add(1)
				delete(owed, body) // it may come, or not
			}
			switch {
			case !frozen && confirmed.Load() == 100:
				frozen = true
				if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
					t.Error(err)
				}
			case frozen && !thawed && unanswered.Load() >= 100:
				thawed = true
				if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
					t.Error(err)
				}
			}
			check()
		})
	})
	if err := l.Run(over); err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil || !thawed {
		t.Fatalf("after a minute: frozen %v, thawed %v, %d confirmed, %d not, %d of them still to come", frozen, thawed, confirmed.Load(), unanswered.Load(), len(owed))
	}
	if len(owed) > 0 {
		t.Errorf("%d confirmed messages were not delivered", len(owed))
	}
}
