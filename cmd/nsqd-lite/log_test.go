package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server"
)

// TestLogHandler_Lines compares lines with nsqd's form; the time is the
// record's.
func TestLogHandler_Lines(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 6000, time.Local)
	for _, row := range []struct {
		level slog.Level
		text  string
		attrs []slog.Attr
		want  string
	}{
		{slog.LevelInfo, "TCP: listening on 127.0.0.1:4150", nil, "INFO: TCP: listening on 127.0.0.1:4150"},
		{slog.LevelDebug, "x", nil, "DEBUG: x"},
		{slog.LevelWarn, "x", nil, "WARNING: x"},
		{slog.LevelError, "x", nil, "ERROR: x"},
		{server.LevelFatal, "x", nil, "FATAL: x"},
		{slog.LevelInfo, "a", []slog.Attr{slog.Int("n", 1), slog.String("s", "plain"), slog.Duration("d", time.Second)}, "INFO: a n=1 s=plain d=1s"},
		{slog.LevelInfo, "a", []slog.Attr{slog.Any("err", errors.New("x y"))}, `INFO: a err="x y"`},
		{slog.LevelInfo, "a", []slog.Attr{slog.String("s", ""), slog.String("q", `say "hi"`)}, `INFO: a s="" q="say \"hi\""`},
		{slog.LevelInfo, "a", []slog.Attr{slog.String("id", "x\n[nsqd] FATAL: forged\x1b[2J")}, `INFO: a id="x\n[nsqd] FATAL: forged\x1b[2J"`},
		{slog.LevelInfo, "x\n[nsqd] FATAL: \"forged\"\xff", nil, `INFO: x\n[nsqd] FATAL: "forged"\xff`},
		{slog.LevelInfo, "385.567\u00b5s", []slog.Attr{slog.String("s", "\u00fc"), slog.String("rtl", "\u202e")}, "INFO: 385.567\u00b5s s=\u00fc rtl=\"\\u202e\""},
		{slog.LevelInfo, "a", []slog.Attr{slog.Group("g", slog.Int("n", 1), slog.Group("h", slog.Int("m", 2))), {}}, "INFO: a g.n=1 g.h.m=2"},
	} {
		var out bytes.Buffer
		h := newLogHandler(&out, "[nsqd] ", slog.LevelDebug)
		r := slog.NewRecord(at, row.level, row.text, 0)
		r.AddAttrs(row.attrs...)
		if err := h.Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if want := "[nsqd] 2026/01/02 15:04:05.000006 " + row.want + "\n"; out.String() != want {
			t.Errorf("got  %swant %s", out.String(), want)
		}
	}
}

// TestLogHandler_WithAndLevel: what With adds comes first, WithGroup qualifies
// what follows, and the level can change while it runs.
func TestLogHandler_WithAndLevel(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log := slog.New(newLogHandler(&out, "", level)).With("topic", "t")
	log.WithGroup("").WithGroup("conn").With("id", 1).Info("a", "n", 2)
	log.Info("b")
	log.Debug("unseen")
	level.Set(slog.LevelDebug)
	log.Debug("seen")
	level.Set(slog.LevelError)
	log.Warn("unseen")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{"INFO: a topic=t conn.id=1 conn.n=2", "INFO: b topic=t", "DEBUG: seen topic=t"}
	if len(lines) != len(want) {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	for i := range want {
		if !strings.HasSuffix(lines[i], " "+want[i]) {
			t.Errorf("line %q, want %q at its end", lines[i], want[i])
		}
	}
}
