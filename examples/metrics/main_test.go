package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestMetrics_AreServed(t *testing.T) {
	s := nsqtest.Start(t)
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error {
		return run(ctx, s.TCPAddr(), "127.0.0.1:0", out)
	})
	p.Wait("/metrics\n")
	s.WaitFinished("ticks", "count", 1)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(strings.TrimSpace(p.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`nsq_reader_finished_total{channel="count",topic="ticks"} `,
		`nsq_reader_handler_seconds_count{channel="count",topic="ticks"} `,
		`nsq_writer_published_total{result="confirmed",topic="ticks"} `,
		`nsq_loop_callback_seconds_count `,
	} {
		if !strings.Contains(string(page), want) || strings.Contains(string(page), want+"0\n") {
			t.Errorf("no %sin\n%s", want, page)
		}
	}
}
