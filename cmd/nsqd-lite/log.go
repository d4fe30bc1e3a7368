package main

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/nsqloop/nsqloop/server"
)

// logHandler writes slog records as nsqd writes its log:
//
//	[nsqd] 2026/01/02 15:04:05.000000 INFO: text key=value
//
// It may be used from any goroutine.
type logHandler struct {
	prefix string
	level  slog.Leveler
	attrs  string // those of With, as they are written
	group  string // of WithGroup, with a dot at the end
	out    *lockedWriter
}

// lockedWriter keeps lines whole: handlers of HTTP requests log beside the
// loop.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func newLogHandler(w io.Writer, prefix string, level slog.Leveler) *logHandler {
	return &logHandler{prefix: prefix, level: level, out: &lockedWriter{w: w}}
}

// Enabled is slog.Handler's.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// Handle is slog.Handler's.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	b := make([]byte, 0, 256)
	b = append(b, h.prefix...)
	b = r.Time.AppendFormat(b, "2006/01/02 15:04:05.000000 ")
	b = append(b, levelName(r.Level)...)
	b = append(b, ": "...)
	b = appendPlain(b, r.Message)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.group, a)
		return true
	})
	b = append(b, '\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := h.out.w.Write(b)
	return err
}

// WithAttrs is slog.Handler's.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	b := []byte(h.attrs)
	for _, a := range attrs {
		b = appendAttr(b, h.group, a)
	}
	with.attrs = string(b)
	return &with
}

// WithGroup is slog.Handler's.
func (h *logHandler) WithGroup(name string) slog.Handler {
	with := *h
	if name != "" {
		with.group += name + "."
	}
	return &with
}

// levelName is nsqd's word for a level.
func levelName(l slog.Level) string {
	switch {
	case l >= server.LevelFatal:
		return "FATAL"
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

// appendAttr appends " key=value". Values come from the network too, so
// whatever is not a plain word is quoted.
func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			b = appendAttr(b, group, inner)
		}
		return b
	}
	if a.Equal(slog.Attr{}) {
		return b
	}
	b = append(b, ' ')
	b = append(b, group...)
	b = append(b, a.Key...)
	b = append(b, '=')
	text := v.String()
	if text == "" || strings.ContainsAny(text, ` "=`) || !printable(text) {
		return strconv.AppendQuote(b, text)
	}
	return append(b, text...)
}

// appendPlain appends a message, with what could break the line written out.
func appendPlain(b []byte, text string) []byte {
	if printable(text) {
		return append(b, text...)
	}
	quoted := strconv.Quote(text)
	return append(b, strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)...)
}

// printable says whether text can neither start a line nor steer a terminal.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) })
}
