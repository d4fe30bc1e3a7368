package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

// An hour is a moment for a server whose clock the test sets forward.
func TestDeferred_ComesWhenItIsDue(t *testing.T) {
	s := nsqtest.Start(t)
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error {
		return run(ctx, s.TCPAddr(), time.Hour, out)
	})
	p.Wait("in a while, error: <nil>\n")
	deferred := func() bool { return s.Channel("reminders", "remind").DeferredCount == 1 }
	exampletest.Again(t, "deferred", deferred)
	s.Advance(59 * time.Minute)
	if strings.Contains(p.String(), "not yet") {
		t.Error("it has come before its time")
	}
	s.Advance(time.Minute)
	p.Wait("not yet: buy milk\n")
	exampletest.Again(t, "requeued", deferred)
	s.Advance(time.Hour)
	p.Wait("reminder: buy milk\n")
	p.End()
}
