package main

import (
	"context"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestDiscovery_FindsWhatRegisters(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	s := nsqtest.Start(t, nsqtest.Registered(d))
	t.Setenv("NSQD_TCP_ADDRESSES", "")
	t.Setenv("NSQ_LOOKUPD_HTTP_ADDRESSES", d.HTTPAddr())
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error { return run(ctx, out) })
	p.Wait("tick 1 from " + s.TCPAddr())
	p.Stop()
	t.Setenv("NSQ_LOOKUPD_HTTP_ADDRESSES", "")
	if err := run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "NSQ_LOOKUPD_HTTP_ADDRESSES") {
		t.Errorf("without an address: %v", err)
	}
}
