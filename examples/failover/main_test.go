package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestFailover_GoesOnWithTheNextOne(t *testing.T) {
	first, second := nsqtest.Start(t), nsqtest.Start(t)
	in, lines := io.Pipe()
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error {
		return run(ctx, []string{first.TCPAddr(), second.TCPAddr()}, in, out)
	})
	p.Wait("connected to "+first.TCPAddr(), "connected to "+second.TCPAddr())
	fmt.Fprintln(lines, "one")
	p.Wait("one: stored by " + first.TCPAddr())
	first.Kill()
	p.Wait("lost " + first.TCPAddr())
	fmt.Fprintln(lines, "two")
	p.Wait("two: stored by " + second.TCPAddr())
	first.Restart()
	exampletest.Again(t, "connected again", func() bool {
		return strings.Count(p.String(), "connected to "+first.TCPAddr()) == 2
	})
	fmt.Fprintln(lines, "three")
	p.Wait("three: stored by " + first.TCPAddr())
	lines.Close()
	p.End()
	first.WaitDepth("lines", "", 2)
	second.WaitDepth("lines", "", 1)
}
