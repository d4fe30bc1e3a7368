package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/records"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/writer"
	"github.com/spf13/pflag"
)

// publishFlags are to_nsq's.
type publishFlags struct {
	topic     string
	delimiter string
	rate      float64
	nsqds     []string
	options   []string
}

func (p process) publishVerb() verb {
	f := new(publishFlags)
	return verb{
		use: "to_nsq", short: "publish the lines of the standard input to each of several nsqds", group: groupNSQ,
		long: "Publish the lines of the standard input. With several addresses, each line goes to each of them.\n" +
			"Empty lines are left out. The first line that cannot be published ends the program.",
		example: `  tail -f log | to_nsq --topic=log --nsqd-tcp-address=127.0.0.1:4150`,
		flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&f.topic, "topic", "", "topic to publish to")
			fs.StringVar(&f.delimiter, "delimiter", "\n", "the one byte that ends a message")
			fs.Float64Var(&f.rate, "rate", 0, "messages per second at most, 0 for as many as can be")
			fs.StringArrayVar(&f.nsqds, "nsqd-tcp-address", nil, "`host:port` of an nsqd. May be given many times")
			fs.StringArrayVar(&f.options, "producer-opt", nil, "`name,value` of an option of NSQ's clients, as in snappy. May be given many times")
		},
		run: func(ctx context.Context, _ []string) error { return p.publish(ctx, f) },
	}
}

// publish plays to_nsq.
func (p process) publish(ctx context.Context, f *publishFlags) error {
	switch {
	case f.topic == "":
		return usagef("name a --topic")
	case len(f.delimiter) != 1:
		return usagef("--delimiter must be one byte")
	case len(f.nsqds) == 0:
		return usagef("say where to: --nsqd-tcp-address")
	case f.rate < 0:
		return usagef("--rate must not be negative")
	}
	o := writer.Options{FailFast: false}
	o.Client.UserAgent = "to_nsq/" + liteVersion + " nsqloop"
	if err := setOptions("--producer-opt", o.SetPair, f.options); err != nil {
		return err
	}
	log := slog.New(newLogHandler(p.stderr, "[to_nsq] ", slog.LevelWarn))
	return onLoop(ctx, log, func(l loop.Loop, end func(error)) error {
		var out []*writer.Writer
		for _, addr := range f.nsqds {
			each := o
			each.NSQDs, each.Logger = []string{addr}, log
			w, err := writer.New(l, each)
			if err != nil {
				return usageError{err}
			}
			out = append(out, w)
		}
		in := records.NewReader(p.stdin, f.delimiter[0])
		go func() { end(feed(ctx, in, records.NewPace(f.rate), out, f.topic)) }()
		return nil
	})
}

// feed publishes each record to each writer, and waits for all of them.
func feed(ctx context.Context, in *records.Reader, pace *records.Pace, out []*writer.Writer, topic string) error {
	const most = 1000 // records on their way; beyond, reading waits
	results := make(chan error, most*len(out))
	pending := 0
	settle := func(down int) error {
		for pending > down {
			if err := <-results; err != nil {
				return fmt.Errorf("publish to %s: %w", topic, err)
			}
			pending--
		}
		return nil
	}
	for {
		record, ready, err := in.Next()
		if errors.Is(err, io.EOF) {
			return settle(0)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read the standard input: %w", err), settle(0))
		}
		if err := pace.Wait(ctx, 1); err != nil {
			return settle(0) // asked to stop: the rest of the input stays there
		}
		body := append([]byte(nil), record...)
		for _, w := range out {
			pending++
			w.Publish(topic, body, func(res writer.Result) { results <- res.Err })
		}
		down := (most - 1) * len(out)
		if !ready {
			down = 0 // while nothing comes, failures are told at once
		}
		if err := settle(down); err != nil {
			return err
		}
	}
}
