package main

import (
	"context"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestDeadLetter_KeepsWhatCannotBeProcessed(t *testing.T) {
	s := nsqtest.Start(t)
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error { return run(ctx, s.TCPAddr(), out) })
	s.Publish("orders", `{"id":1,"amount":50}`, `{"id":2,"amount":-1}`, `no JSON`, `{"id":4,"amount":0}`)
	p.Wait("billed order 1: 100", "put aside: no JSON: ", "the amount -1 is negative", "panic: runtime error: integer divide by zero")
	s.WaitFinished("orders", "billing", 4)
	s.WaitDepth("orders.dead", "", 3)
}
