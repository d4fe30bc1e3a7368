package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/stats"
	"github.com/spf13/pflag"
)

// sourceFlags say which servers to ask.
type sourceFlags struct {
	nsqds    []string
	lookupds []string
}

func (f *sourceFlags) flags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.nsqds, "nsqd-http-address", nil, "`host:port` of an nsqd's HTTP API. May be given many times (default 127.0.0.1:4151)")
	fs.StringArrayVar(&f.lookupds, "lookupd-http-address", nil, "`host:port` of an nsqlookupd's HTTP API: all nsqds that it names. May be given many times")
}

// source makes what they say, with the nsqd of this machine when they say
// nothing.
func (f *sourceFlags) source(h *http.Client) *stats.Source {
	nsqds := f.nsqds
	if len(nsqds) == 0 && len(f.lookupds) == 0 {
		nsqds = []string{"127.0.0.1:4151"}
	}
	s := &stats.Source{Node: func(addr string) *api.Client { return api.New(addr, "the nsqd's --broadcast-address", h) }}
	for _, addr := range nsqds {
		s.NSQDs = append(s.NSQDs, api.New(addr, "--nsqd-http-address", h))
	}
	for _, addr := range f.lookupds {
		s.Lookupds = append(s.Lookupds, api.New(addr, "--lookupd-http-address", h))
	}
	return s
}

// statFlags are those of stat.
type statFlags struct {
	source   sourceFlags
	asJSON   bool
	watch    bool
	interval time.Duration
}

func (p process) statVerb() verb {
	f := new(statFlags)
	return verb{
		use: "stat [TOPIC [CHANNEL]]", short: "show what topics and channels hold", group: groupLook,
		example: `  nsqd-lite stat
  nsqd-lite stat orders --watch
  nsqd-lite stat --json --lookupd-http-address=127.0.0.1:4161`,
		most: 2,
		flags: func(fs *pflag.FlagSet) {
			f.source.flags(fs)
			fs.BoolVar(&f.asJSON, "json", false, "as JSON, with the names of nsqd's /stats")
			fs.BoolVar(&f.watch, "watch", false, "again and again")
			fs.DurationVar(&f.interval, "interval", 2*time.Second, "how often, with --watch")
		},
		run: func(ctx context.Context, args []string) error {
			if f.interval <= 0 {
				return usagef("--interval must be more than 0")
			}
			args = append(args, "", "")
			source := f.source.source(nil)
			return stats.Every(ctx, f.interval, func() (bool, error) {
				s, err := source.Poll(ctx, args[0], args[1])
				if err != nil {
					return false, err
				}
				if args[0] != "" && len(s.Topics) == 0 && !f.watch {
					return false, fmt.Errorf("no nsqd has topic %s%s", args[0], said(args[1] != "", " with channel "+args[1]))
				}
				return f.watch, p.printStats(s, f.asJSON)
			})
		},
	}
}

// printStats prints a table, or one line of JSON.
func (p process) printStats(s *stats.Stats, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(s)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "depth\tdisk\tin flight\tdeferred\trequeued\ttimed out\tmessages\tclients\t  topic/channel")
	for _, t := range s.Topics {
		fmt.Fprintf(w, "%d\t%d\t\t\t\t\t%d\t\t  %s%s\n", t.Depth, t.BackendDepth, t.MessageCount, t.Name, paused(t.Paused))
		for _, c := range t.Channels {
			fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t  %s/%s%s\n", c.Depth, c.BackendDepth, c.InFlightCount, c.DeferredCount,
				c.RequeueCount, c.TimeoutCount, c.MessageCount, c.ClientCount, t.Name, c.Name, paused(c.Paused))
		}
	}
	return w.Flush()
}

func paused(is bool) string {
	if is {
		return " (paused)"
	}
	return ""
}

// nsqStatFlags are those of nsq_stat.
type nsqStatFlags struct {
	source   sourceFlags
	http     httpTimeouts
	topic    string
	channel  string
	interval time.Duration
	count    int
}

func (p process) nsqStatVerb() verb {
	f := new(nsqStatFlags)
	return verb{
		use: "nsq_stat", short: "show how a channel moves, a line each interval", group: groupNSQ,
		example: `  nsq_stat --topic=test --channel=c --nsqd-http-address=127.0.0.1:4151`,
		flags: func(fs *pflag.FlagSet) {
			f.source.flags(fs)
			f.http.flags(fs, 5*time.Second)
			fs.Lookup("nsqd-http-address").Usage = "`host:port` of an nsqd's HTTP API. May be given many times"
			fs.StringVar(&f.topic, "topic", "", "topic of the channel")
			fs.StringVar(&f.channel, "channel", "", "channel to show")
			fs.DurationVar(&f.interval, "interval", 2*time.Second, "time between lines")
			fs.IntVar(&f.count, "count", 0, "end after so many lines, 0 for never")
		},
		run: func(ctx context.Context, _ []string) error { return p.nsqStat(ctx, f) },
	}
}

// nsqStat plays nsq_stat.
func (p process) nsqStat(ctx context.Context, f *nsqStatFlags) error {
	switch {
	case f.topic == "" || f.channel == "":
		return usagef("name a --topic and a --channel")
	case (len(f.source.nsqds) == 0) == (len(f.source.lookupds) == 0):
		return usagef("say where: --nsqd-http-address or --lookupd-http-address, one kind")
	case f.interval <= 0 || f.count < 0:
		return usagef("--interval must be more than 0, and --count not negative")
	}
	source := f.source.source(f.http.client(1))
	var before stats.Channel
	rows := -1 // the first poll is what the first line is compared with
	return stats.Every(ctx, f.interval, func() (bool, error) {
		s, err := source.Poll(ctx, f.topic, f.channel)
		if err != nil {
			return false, err
		}
		c, ok := s.Find(f.topic, f.channel)
		if !ok {
			return false, fmt.Errorf("no nsqd has a channel %s of topic %s", f.channel, f.topic)
		}
		if rows >= 0 {
			if err := statRow(p.stdout, rows, c, c.Rate(before, f.interval.Seconds())); err != nil {
				return false, err
			}
		}
		rows++
		before = c
		return f.count == 0 || rows < f.count, nil
	})
}

// statRow prints a line of nsq_stat, with the headings each 25.
func statRow(w io.Writer, row int, c stats.Channel, r stats.Rates) error {
	var b strings.Builder
	if row%25 == 0 {
		fmt.Fprintf(&b, "%-16s| %-38s| %s\n", "rate per second", "depth", "since the start")
		fmt.Fprintf(&b, "%7s %7s | %7s %7s %7s %6s %6s | %7s %7s %12s %7s\n",
			"ingress", "egress", "total", "mem", "disk", "inflt", "def", "req", "t-o", "msgs", "clients")
	}
	fmt.Fprintf(&b, "%7.0f %7.0f | %7d %7d %7d %6d %6d | %7d %7d %12d %7d\n", r.In, r.Out,
		c.Depth, c.Depth-c.BackendDepth, c.BackendDepth, c.InFlightCount, c.DeferredCount,
		c.RequeueCount, c.TimeoutCount, c.MessageCount, c.ClientCount)
	_, err := io.WriteString(w, b.String())
	return err
}
