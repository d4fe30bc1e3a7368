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

// Four of six messages are being worked on when the end comes: they are finished,
// the others are there for somebody else.
func TestGraceful_FinishesWhatHasBegun(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("work", "1", "2", "3", "4", "5", "6")
	ctx, stop := context.WithCancel(t.Context())
	goOn := make(chan struct{})
	work := func(context.Context, []byte) error {
		<-goOn
		return nil
	}
	p := exampletest.Start(t, func(_ context.Context, out *exampletest.Running) error {
		return run(ctx, s.TCPAddr(), 20*time.Second, work, out)
	})
	exampletest.Again(t, "in flight", func() bool {
		return s.Channel("work", "do").InFlightCount == 6 && strings.Count(p.String(), "started ") == 4
	})
	stop()
	s.WaitDepth("work", "do", 2) // given back
	close(goOn)
	p.Wait("finished 4, given back 2, in flight 0; published 4, not sent 0, unknown 0\n")
	p.End()
	s.WaitFinished("work", "do", 4)
	s.WaitDepth("done", "", 4)
}
