package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/stats"
	"github.com/spf13/pflag"
)

// topFlags are those of top.
type topFlags struct {
	source   sourceFlags
	interval time.Duration
	sort     string
	rows     int
	asJSON   bool
}

// Escape sequences of terminals: another screen without a cursor, and back;
// the upper left corner; the rest of the line; the rest of the screen.
const (
	screenOn   = "\x1b[?1049h\x1b[?25l"
	screenOff  = "\x1b[?25h\x1b[?1049l"
	screenHome = "\x1b[H"
	lineRest   = "\x1b[K"
	screenRest = "\x1b[J"
	bold       = "\x1b[1m"
	plain      = "\x1b[0m"
)

func (p process) topVerb() verb {
	f := new(topFlags)
	return verb{
		use: "top", short: "watch the busiest channels", group: groupLook,
		long: "Watch the busiest channels, with their rates, until it is interrupted. Where the output is no terminal,\n" +
			"one table follows the other.",
		flags: func(fs *pflag.FlagSet) {
			f.source.flags(fs)
			fs.DurationVar(&f.interval, "interval", time.Second, "time between tables")
			fs.StringVar(&f.sort, "sort", "depth", "what comes first: depth, in, out, in-flight or name")
			fs.IntVarP(&f.rows, "n", "n", 20, "channels to show")
			fs.BoolVar(&f.asJSON, "json", false, "print each table as a JSON object on a line of its own")
		},
		run: func(ctx context.Context, _ []string) error { return p.top(ctx, f) },
	}
}

// topRow is a line of top: a channel, or what a topic holds itself.
type topRow struct {
	Topic string `json:"topic_name"`
	stats.Channel
	stats.Rates
}

// name is what a table calls the row.
func (r *topRow) name() string {
	if r.Name == "" {
		return r.Topic
	}
	return r.Topic + "/" + r.Name
}

// topJSON is a table for programs. What a topic holds itself has an
// empty channel_name.
type topJSON struct {
	Nodes    []string `json:"nodes"`
	Channels []topRow `json:"channels"`
}

// topOrders are the values of --sort.
var topOrders = map[string]func(a, b topRow) int{
	"depth":     func(a, b topRow) int { return cmp.Compare(b.Depth, a.Depth) },
	"in":        func(a, b topRow) int { return cmp.Compare(b.In, a.In) },
	"out":       func(a, b topRow) int { return cmp.Compare(b.Out, a.Out) },
	"in-flight": func(a, b topRow) int { return cmp.Compare(b.InFlightCount, a.InFlightCount) },
	"name":      func(a, b topRow) int { return 0 },
}

// top shows tables.
func (p process) top(ctx context.Context, f *topFlags) error {
	order := topOrders[f.sort]
	switch {
	case order == nil:
		return usagef("--sort %q: want depth, in, out, in-flight or name", f.sort)
	case f.interval <= 0 || f.rows < 1:
		return usagef("--interval and -n must be more than 0")
	}
	source := f.source.source(nil)
	if f.asJSON {
		p.screen = false
	}
	if p.screen {
		if _, err := io.WriteString(p.stdout, screenOn); err != nil {
			return err
		}
		defer func() { _, _ = io.WriteString(p.stdout, screenOff) }() // a terminal that has gone needs none
	}
	var before *stats.Stats
	return stats.Every(ctx, f.interval, func() (bool, error) {
		now, err := source.Poll(ctx, "", "")
		if err != nil {
			return false, err
		}
		rows := topRows(now, before, f.interval.Seconds())
		before = now
		sort.SliceStable(rows, func(i, j int) bool { return order(rows[i], rows[j]) < 0 })
		if f.asJSON {
			return true, json.NewEncoder(p.stdout).Encode(topJSON{now.Nodes, rows[:min(len(rows), f.rows)]})
		}
		_, err = io.WriteString(p.stdout, p.topTable(now, rows, f))
		return true, err
	})
}

// topRows is every channel, sorted by name, with its rates since before.
func topRows(now, before *stats.Stats, seconds float64) []topRow {
	var rows []topRow
	for _, t := range now.Topics {
		if t.Depth > 0 || len(t.Channels) == 0 {
			rows = append(rows, topRow{Topic: t.Name, Channel: stats.Channel{Depth: t.Depth, MessageCount: t.MessageCount, Paused: t.Paused}})
		}
		for _, c := range t.Channels {
			row := topRow{Topic: t.Name, Channel: c}
			if before != nil {
				if old, ok := before.Find(t.Name, c.Name); ok {
					row.Rates = c.Rate(old, seconds)
				}
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// topTable is one table, for a screen or for a pipe.
func (p process) topTable(s *stats.Stats, rows []topRow, f *topFlags) string {
	var b strings.Builder
	end, on, off := "\n", "", ""
	if p.screen {
		b.WriteString(screenHome)
		end = lineRest + "\n"
		if _, no := p.getenv("NO_COLOR"); !no {
			on, off = bold, plain
		}
	}
	var depth, flight int64
	for _, r := range rows {
		depth, flight = depth+r.Depth, flight+r.InFlightCount
	}
	fmt.Fprintf(&b, "%d nsqd, %d topics, %d messages waiting, %d in flight; each %v, by %s%s",
		len(s.Nodes), len(s.Topics), depth, flight, f.interval, f.sort, end)
	fmt.Fprintf(&b, "%s%10s %9s %9s %9s %9s %8s %8s  %s%s%s", on, "depth", "in/s", "out/s", "in flight", "deferred", "timeouts", "clients", "topic/channel", off, end)
	for _, r := range rows[:min(len(rows), f.rows)] {
		fmt.Fprintf(&b, "%10d %9.0f %9.0f %9d %9d %8d %8d  %s%s%s", r.Depth, r.In, r.Out, r.InFlightCount, r.DeferredCount,
			r.TimeoutCount, r.ClientCount, r.name(), paused(r.Paused), end)
	}
	if p.screen {
		b.WriteString(screenRest)
	}
	return b.String()
}
