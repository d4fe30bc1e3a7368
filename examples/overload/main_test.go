package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestOverload_PausesAndResumes(t *testing.T) {
	s := nsqtest.Start(t)
	var bodies []string
	for i := range 50 {
		bodies = append(bodies, fmt.Sprint(i))
	}
	s.Publish("jobs", bodies...)
	jobs := make(chan *reader.Message, 50)
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error {
		return run(ctx, s.TCPAddr(), func(m *reader.Message) { jobs <- m }, out)
	})
	p.Wait("paused at 6\n")
	for i := range 50 { // done one by one, so that it pauses again and again
		(<-jobs).Finish()
		if i == 30 {
			p.Wait("resumed at 2\n")
		}
	}
	s.WaitFinished("jobs", "do", 50)
}
