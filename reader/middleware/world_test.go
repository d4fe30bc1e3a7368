package middleware_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

var errBoom = errors.New("boom")

// world is a server, a reader and a writer in virtual time. The channel exists
// before anything is published.
type world struct {
	*looptest.World
	t      *testing.T
	l      *looptest.Loop // the reader's and the writer's
	server *server.Server
	r      *reader.Reader
	w      *writer.Writer
	events []string
}

func newWorld(t *testing.T, o reader.Options) *world {
	t.Helper()
	w := &world{World: looptest.Test(t, looptest.Options{Seed: 1}), t: t}
	w.l = w.Loop("client")
	var err error
	w.server, err = server.New(w.Loop("nsqd"), server.Options{TCPAddress: ":4150"})
	if err != nil {
		t.Fatal(err)
	}
	o.Topic, o.Channel, o.NSQDs = "t", "c", []string{"nsqd:4150"}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 10
	}
	o.RequeueDelay, o.MaxBackoff, o.MaxAttempts = time.Second, -1, -1
	if w.r, err = reader.New(w.l, o); err != nil {
		t.Fatal(err)
	}
	if w.w, err = writer.New(w.l, writer.Options{NSQDs: []string{"nsqd:4150"}}); err != nil {
		t.Fatal(err)
	}
	w.Run(time.Second)
	return w
}

// publish publishes bodies and lets what follows happen within d.
func (w *world) publish(d time.Duration, bodies ...string) {
	w.l.Do(func() {
		for _, b := range bodies {
			w.w.Publish("t", []byte(b), func(res writer.Result) {
				if res.Err != nil {
					w.t.Errorf("publish: %v", res.Err)
				}
			})
		}
	})
	w.Run(d)
}

// note writes an event down.
func (w *world) note(format string, args ...any) {
	w.events = append(w.events, fmt.Sprintf(format, args...))
}

// want compares and forgets the events so far.
func (w *world) want(want ...string) {
	w.t.Helper()
	if got := strings.Join(w.events, ", "); got != strings.Join(want, ", ") {
		w.t.Errorf("there were\n %s, want\n %s", got, strings.Join(want, ", "))
	}
	w.events = nil
}

// wantDone checks what became of all messages.
func (w *world) wantDone(finished, requeued uint64) {
	w.t.Helper()
	var s reader.Stats
	w.l.Do(func() { s = w.r.Stats() })
	if s.Finished != finished || s.Requeued != requeued || s.InFlight != 0 {
		w.t.Errorf("%d finished, %d requeued, %d in flight; want %d, %d, 0", s.Finished, s.Requeued, s.InFlight, finished, requeued)
	}
}
