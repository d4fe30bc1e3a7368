package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// How often a meter shows how far something is.
const (
	meterOnTerminal = 100 * time.Millisecond
	meterElsewhere  = 10 * time.Second
	meterWidth      = 30 // characters of the bar
)

// meter shows how far work is that takes a while: as a bar on a terminal, as a
// line each 10 s elsewhere. It is used on one goroutine.
type meter struct {
	w        io.Writer
	terminal bool
	what     string
	now      func() time.Time
	began    time.Time
	shown    time.Time
	drawn    int // characters that stand in the line
}

// meter makes one that counts bytes.
func (p process) meter(what string) *meter {
	m := &meter{w: p.stderr, terminal: p.terminal, what: what, now: time.Now}
	m.began = m.now()
	m.shown = m.began
	return m
}

// show shows how far it is, if it is time to.
func (m *meter) show(done, total int64) {
	now := m.now()
	every := meterElsewhere
	if m.terminal {
		every = meterOnTerminal
	}
	if now.Sub(m.shown) < every {
		return
	}
	m.shown = now
	text := m.text(now, done, total)
	if !m.terminal {
		fmt.Fprintf(m.w, "%s: %s\n", m.what, text)
		return
	}
	if total > 0 {
		full := int(min(done, total) * meterWidth / total)
		text = fmt.Sprintf("[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", meterWidth-full), text)
	}
	fmt.Fprintf(m.w, "\r%s%s", text, strings.Repeat(" ", max(m.drawn-len(text), 0)))
	m.drawn = len(text)
}

// text says how far it is, how fast it goes, and how long it still takes.
func (m *meter) text(now time.Time, done, total int64) string {
	const mb = 1e6
	rate := float64(done) / max(now.Sub(m.began).Seconds(), 0.001)
	if total <= 0 {
		return fmt.Sprintf("%.1f MB, %.1f MB/s", float64(done)/mb, rate/mb)
	}
	left := time.Duration(float64(max(total-done, 0)) / max(rate, 1) * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%.1f of %.1f MB, %.1f MB/s, %v left", float64(done)/mb, float64(total)/mb, rate/mb, left)
}

// end wipes the bar.
func (m *meter) end() {
	if m.drawn > 0 {
		fmt.Fprintf(m.w, "\r%s\r", strings.Repeat(" ", m.drawn))
		m.drawn = 0
	}
}
