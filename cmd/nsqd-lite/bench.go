package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/loadgen"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/spf13/pflag"
)

// benchFlags are those of bench.
type benchFlags struct {
	o      loadgen.Options
	server nsqdHTTP
	asJSON bool
}

func (p process) benchVerb() verb {
	return verb{
		use: "bench", short: "measure how fast a server is, from here", group: groupLook,
		example: `  nsqd-lite bench pub
  nsqd-lite bench sub --count=1000000
  nsqd-lite bench e2e --rate=2000 --json`,
		verbs: []verb{
			p.benchKind(loadgen.Pub, "publish with many pending, and measure from publish to OK"),
			p.benchKind(loadgen.Sub, "publish, then consume and finish all of it"),
			p.benchKind(loadgen.E2E, "publish at a rate, and measure from publish to handler"),
		},
	}
}

func (p process) benchKind(kind loadgen.Kind, short string) verb {
	f := &benchFlags{o: loadgen.Options{Kind: kind, Channel: "bench"}}
	count, duration, pending := 0, 5*time.Second, 100
	if kind == loadgen.Sub {
		count, duration, pending = 100_000, time.Duration(0), 2500
	}
	return verb{
		use: string(kind), short: short,
		flags: func(fs *pflag.FlagSet) {
			f.server.flag(fs)
			fs.Lookup(nsqdHTTPFlag).Usage = "`host:port` of the HTTP API that deletes the topic afterwards, unless --topic names one"
			fs.StringArrayVar(&f.o.NSQDs, "nsqd-tcp-address", []string{"127.0.0.1:4150"}, "`host:port` of an nsqd. May be given many times")
			fs.StringVar(&f.o.Topic, "topic", "", "topic to use, which stays (default one of its own, which does not)")
			fs.IntVar(&f.o.Size, "size", 200, "bytes of a message, at least 8")
			fs.IntVar(&f.o.Count, "count", count, "messages, 0 for as many as the duration takes")
			fs.DurationVar(&f.o.Duration, "duration", duration, "time after which it ends")
			fs.IntVar(&f.o.Pending, "pending", pending, "publishes, or messages, in flight at once")
			fs.BoolVar(&f.asJSON, "json", false, "as JSON")
			if kind == loadgen.E2E {
				fs.Float64Var(&f.o.Rate, "rate", 1000, "messages per second")
			}
		},
		run: func(ctx context.Context, _ []string) error { return p.bench(ctx, f) },
	}
}

// bench runs a load and prints what was measured.
func (p process) bench(ctx context.Context, f *benchFlags) error {
	log := slog.New(newLogHandler(p.stderr, "[bench] ", slog.LevelError))
	var result loadgen.Result
	done := false
	topic := f.o.Topic
	err := onLoop(ctx, log, func(l loop.Loop, end func(error)) error {
		o := f.o
		if topic == "" {
			topic = fmt.Sprintf("nsqd-lite-bench-%06d", l.Rand().IntN(1_000_000))
			o.Topic = topic
		}
		o.Done = func(r loadgen.Result, err error) {
			result, done = r, err == nil
			end(err)
		}
		x, err := loadgen.New(l, o)
		if err != nil {
			return usageError{err}
		}
		p.showProgress(l, x)
		return nil
	})
	if p.terminal {
		fmt.Fprint(p.stderr, "\r"+lineRest)
	}
	if f.o.Topic == "" {
		if bad := f.server.client().Post(context.WithoutCancel(ctx), "/topic/delete", ofTopic(topic), nil); bad != nil && !api.Is(bad, http.StatusNotFound) {
			fmt.Fprintf(p.stderr, "nsqd-lite bench: topic %s stays: %v\n", topic, bad)
		}
	}
	switch {
	case err != nil:
		return err
	case !done:
		return exitCode(exitInterrupt)
	case f.asJSON:
		return json.NewEncoder(p.stdout).Encode(result)
	}
	return p.printResult(result)
}

// showProgress shows a bar on a terminal, and elsewhere a line each 10 s.
func (p process) showProgress(l loop.Loop, x *loadgen.Load) {
	every := 10 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	l.Every(every, func() {
		n, of, since := x.Progress()
		line := progressLine(n, of, since)
		if p.terminal {
			fmt.Fprint(p.stderr, "\r"+line+lineRest)
		} else {
			fmt.Fprintln(p.stderr, line)
		}
	})
}

// progressLine is how far it is: a bar when the end is known, the rate, and
// what is left.
func progressLine(done, of int, since time.Duration) string {
	const width = 30
	rate := 0.0
	if since > 0 {
		rate = float64(done) / since.Seconds()
	}
	line := fmt.Sprintf("%d messages, %.0f/s", done, rate)
	if of == 0 {
		return line
	}
	full := min(width, done*width/of)
	line = fmt.Sprintf("[%s%s] %3d %% %s", strings.Repeat("#", full), strings.Repeat(".", width-full), done*100/of, line)
	if rate > 0 {
		line += fmt.Sprintf(", %v left", (time.Duration(float64(of-done)/rate) * time.Second))
	}
	return line
}

// printResult prints what was measured.
func (p process) printResult(r loadgen.Result) error {
	text := fmt.Sprintf("%s: %d messages of %d bytes in %.2f s: %.0f/s, %.1f MB/s\n", r.Kind, r.Messages, r.Size, r.Seconds, r.Rate, r.Bytes/1e6)
	if r.Max > 0 {
		text += fmt.Sprintf("latency: p50 %s  p90 %s  p99 %s  p99.9 %s  max %s\n", micros(r.P50), micros(r.P90), micros(r.P99), micros(r.P999), micros(r.Max))
	}
	_, err := fmt.Fprint(p.stdout, text)
	return err
}

func micros(n int64) string { return (time.Duration(n) * time.Microsecond).String() }
