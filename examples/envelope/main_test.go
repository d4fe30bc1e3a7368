package main

import (
	"context"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestEnvelope_AndPlainBodies(t *testing.T) {
	s := nsqtest.Start(t)
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error { return run(ctx, s.TCPAddr(), out) })
	p.Wait(
		`order.placed for eu: {"id":7,"cents":995}, trace 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`,
		"plain: order 8",
	)
	s.WaitFinished("orders", "billing", 2)
}
