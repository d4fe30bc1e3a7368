package main

import (
	"context"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestTyped_HandlersGetValues(t *testing.T) {
	s := nsqtest.Start(t)
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error { return run(ctx, s.TCPAddr(), out) })
	p.Wait("order 1: 2 items, urgent false", "order 2: 0 items, urgent true", `level=WARN msg="message discarded"`)
	p.End()
	s.WaitFinished("orders", "pack", 3)
}
