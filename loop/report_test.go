package loop_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// reports is a log handler that passes records on.
type reports chan string

func newReports() reports { return make(reports, 100) }

func (r reports) Enabled(context.Context, slog.Level) bool { return true }
func (r reports) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r reports) WithGroup(string) slog.Handler            { return r }

func (r reports) Handle(_ context.Context, rec slog.Record) error {
	var b strings.Builder
	b.WriteString(rec.Level.String() + " " + rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		b.WriteString(" " + a.Key + "=" + a.Value.String())
		return true
	})
	r <- b.String()
	return nil
}

// contains fails the test when a part is missing in a report.
func contains(t *testing.T, report string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(report, part) {
			t.Errorf("no %q in the report: %s", part, report)
		}
	}
}

func TestPanic_OfAHandlerClosesItsConnectionOnly(t *testing.T) {
	log, hooked := newReports(), make(chan string, 1)
	l := start(t, loop.Options{Logger: slog.New(log), OnPanic: func(what string, value any, stack []byte) {
		hooked <- what
		contains(t, string(stack), "TestPanic_OfAHandler")
	}})
	closed := make(chan error, 1)
	addr := l.listen(t, func(loop.Conn) loop.Handler {
		return &handler{
			name:    "reader orders/billing",
			onData:  func(loop.Conn, []byte) int { panic("nil map, probably") },
			onClose: func(err error) { closed <- err },
		}
	})
	nc := dial(t, addr)
	_, _ = nc.Write([]byte("x"))
	err := wait(t, "OnClose", closed)
	if !errors.Is(err, loop.ErrPanic) || !strings.Contains(err.Error(), "nil map, probably") {
		t.Errorf("error: %v", err)
	}
	contains(t, wait(t, "the report", log), "ERROR", "OnData of reader orders/billing", "nil map, probably", "report_test.go")
	if what := wait(t, "the hook", hooked); what != "OnData of reader orders/billing" {
		t.Errorf("hook: %s", what)
	}
	if n, err := nc.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from a connection that should be closed", n)
	}
	l.Do(t, func() {}) // the loop goes on
}

func TestPanic_OfAPostedFunctionIsReported(t *testing.T) {
	log := newReports()
	l := start(t, loop.Options{Logger: slog.New(log)})
	_ = l.Post(func() { panic(errors.New("posted")) })
	contains(t, wait(t, "the report", log), "ERROR", "posted function", "TestPanic_OfAPostedFunction")
	l.Do(t, func() { l.After(0, func() { panic("timed") }) })
	contains(t, wait(t, "the report", log), "ERROR", "timer", "timed")
	l.Do(t, func() {})
}

func TestWatchdog_NamesACallbackThatStillRuns(t *testing.T) {
	log := newReports()
	l := start(t, loop.Options{Logger: slog.New(log), SlowCallback: 20 * time.Millisecond})
	release := make(chan struct{})

	_ = l.Post(func() { <-release })
	contains(t, wait(t, "the report of a posted function", log), "WARN", "callback holds the loop",
		"posted function", "TestWatchdog_NamesACallbackThatStillRuns", "reader.Options.Workers or Loop.Go")
	release <- struct{}{}

	addr := l.listen(t, func(loop.Conn) loop.Handler {
		return &handler{name: "reader slow/ch", onData: func(_ loop.Conn, p []byte) int { <-release; return len(p) }}
	})
	nc := dial(t, addr)
	_, _ = nc.Write([]byte("x"))
	contains(t, wait(t, "the report of a handler", log), "OnData of reader slow/ch")
	release <- struct{}{}

	l.Do(t, func() { l.After(0, func() { <-release }) })
	contains(t, wait(t, "the report of a timer", log), "timer github.com/nsqloop/nsqloop/loop_test.TestWatchdog")
	release <- struct{}{}
}

func TestWatchdog_ReportsOnceAndOnlyWhatIsSlow(t *testing.T) {
	log := newReports()
	l := start(t, loop.Options{Logger: slog.New(log), SlowCallback: 20 * time.Millisecond})
	for range 2000 { // a busy loop of short callbacks
		_ = l.Post(func() {})
	}
	release := make(chan struct{})
	_ = l.Post(func() { <-release })
	wait(t, "the report", log)
	// Ten times the limit later, it was not reported again.
	timeout := time.NewTimer(200 * time.Millisecond)
	defer timeout.Stop()
	select {
	case again := <-log:
		t.Errorf("reported again: %s", again)
	case <-timeout.C:
	}
	close(release)
	l.Do(t, func() {})
}

func TestWatchdog_NegativeIsOff(t *testing.T) {
	log := newReports()
	l := start(t, loop.Options{Logger: slog.New(log), SlowCallback: -1})
	release := make(chan struct{})
	time.AfterFunc(150*time.Millisecond, func() { close(release) })
	l.Do(t, func() { <-release })
	select {
	case report := <-log:
		t.Errorf("reported: %s", report)
	default:
	}
}

func TestPost_ReportsAPileUpOnce(t *testing.T) {
	log := newReports()
	l := start(t, loop.Options{Logger: slog.New(log), PostLimit: 100, SlowCallback: -1})
	for range 2 {
		release, held := make(chan struct{}), make(chan struct{})
		_ = l.Post(func() { close(held); <-release })
		wait(t, "the loop is held", held)
		for range 500 {
			_ = l.Post(func() {})
		}
		contains(t, wait(t, "the report", log), "WARN posted functions pile up", "waiting=100")
		if len(log) > 0 {
			t.Errorf("reported again: %s", <-log)
		}
		close(release)
		l.Do(t, func() {})
	}
}
