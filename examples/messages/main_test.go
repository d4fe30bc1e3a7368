package main

import (
	"context"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestMessages_EndsAfterN(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("words", "one", "two", "three", "four")
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error { return run(ctx, s.TCPAddr(), 3, out) })
	p.End()
	s.WaitFinished("words", "print", 3)
	s.WaitDepth("words", "print", 1) // what was not wanted is there for somebody else
	p = exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error { return run(ctx, s.TCPAddr(), -1, out) })
	s.WaitFinished("words", "print", 4)
	p.Stop()
}
