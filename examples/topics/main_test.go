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

func TestTopics_ComeWhenTheyAreMade(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	s := nsqtest.Start(t, nsqtest.Registered(d))
	s.Publish("orders.eu", "one")
	s.Publish("users", "two")
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error {
		return run(ctx, d.HTTPAddr(), 50*time.Millisecond, out)
	})
	p.Wait("orders.eu: one")
	s.Publish("orders.us", "three")
	p.Wait("orders.us: three")
	if strings.Contains(p.String(), "users") {
		t.Errorf("it consumes what does not match: %s", p)
	}
}
