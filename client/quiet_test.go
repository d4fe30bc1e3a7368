package client_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server/nsqtest"
	"github.com/nsqloop/nsqloop/writer"
)

// At info a program says that it is connected and subscribed, and nothing of the
// messages that flow.
func TestLogs_QuietWhileMessagesFlow(t *testing.T) {
	s := nsqtest.Start(t)
	var out testwait.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	l, err := loop.New(loop.Options{Logger: log, SlowCallback: -1})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(l, writer.Options{NSQDs: []string{s.TCPAddr()}, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	_, err = reader.New(l, reader.Options{
		Topic: "t", Channel: "c", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 50, Logger: log,
		Handler: func(*reader.Message) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	const n = 500
	for i := range n {
		w.Publish("t", fmt.Append(nil, i), func(res writer.Result) {
			if res.Err != nil {
				t.Error(res.Err)
			}
		})
	}
	s.WaitFinished("t", "c", n)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, want := range []string{"msg=connected", "msg=subscribed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %q", want, lines)
		}
	}
	if len(lines) > 4 { // those two, and both disconnected
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}
