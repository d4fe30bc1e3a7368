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

func TestGroups_FindsTopicsByTheirNames(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	s := nsqtest.Start(t, nsqtest.Registered(d))
	s.Publish("orders.books", "one")
	s.Publish("mail", "not for us")
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error {
		return run(ctx, d.HTTPAddr(), 50*time.Millisecond, out)
	})
	p.Wait("orders.books: one\n")
	s.Publish("orders.toys", "two") // which was not there before
	p.Wait("orders.toys: two\n")
	p.Stop()
	if strings.Contains(p.String(), "not for us") {
		t.Errorf("it has consumed what it should not:\n%s", p)
	}
}
