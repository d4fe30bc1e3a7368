package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestInTurn_OneOrderOfACustomerAtATime(t *testing.T) {
	s := nsqtest.Start(t)
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error { return run(ctx, s.TCPAddr(), out) })
	var bodies []string
	for i := range 10 {
		bodies = append(bodies, fmt.Sprintf("ann %d", i), fmt.Sprintf("bob %d", i))
	}
	s.Publish("orders", append(bodies, "ann 3")...)
	s.WaitFinished("orders", "billing", 21)
	p.Wait("ann 3 came again")
	busy := map[string]string{}
	for _, line := range strings.Split(p.String(), "\n") {
		who, what, ok := strings.Cut(line, ": order ")
		if !ok {
			continue
		}
		order, _, _ := strings.Cut(what, " ")
		switch {
		case strings.HasSuffix(what, "begins"):
			if busy[who] != "" {
				t.Errorf("order %s of %s begins while %s is not done", order, who, busy[who])
			}
			busy[who] = order
		case busy[who] != order:
			t.Errorf("order %s of %s is done, and has not begun", order, who)
		default:
			busy[who] = ""
		}
	}
}
