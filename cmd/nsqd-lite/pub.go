package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/records"
	"github.com/spf13/pflag"
)

// pubBytes is about how many bytes of bodies a request has at most.
const pubBytes = 1 << 20

// pubOptions are what pub is told by its flags.
type pubOptions struct {
	server nsqdHTTP
	file   string
	null   bool
	whole  bool
	rate   float64
	delay  time.Duration
	batch  int
}

func (p process) pubVerb() verb {
	o := new(pubOptions)
	return verb{
		use: "pub TOPIC [BODY|-]", short: "publish BODY, or each line of the standard input", group: groupMessages,
		long: "Publish BODY as one message, or each line of the standard input. Empty lines are left out.\n" +
			"Lines go out in batches, and as they come when the input is slow.",
		example: `  nsqd-lite pub test 'hello world'
  printf 'a\nb\n' | nsqd-lite pub test
  find . -print0 | nsqd-lite pub files --null --rate=100
  nsqd-lite pub reminders 'call back' --defer=10m`,
		least: 1, most: 2, missing: "name one topic, and at most one body",
		flags: func(fs *pflag.FlagSet) {
			o.server.flag(fs)
			fs.StringVar(&o.file, "file", "", "publish what is in the file of this `path`")
			fs.BoolVarP(&o.null, "null", "0", false, "messages end in a zero byte, not in a new line")
			fs.BoolVar(&o.whole, "whole", false, "all of the input is one message")
			fs.Float64Var(&o.rate, "rate", 0, "messages per second at most, 0 for as many as can be")
			fs.DurationVar(&o.delay, "defer", 0, "deliver them after this time")
			fs.IntVar(&o.batch, "batch", 1000, "messages per request at most; deferred ones go one by one")
		},
		run: func(ctx context.Context, args []string) error { return p.pub(ctx, o, args) },
	}
}

// pub publishes what its arguments and flags say.
func (p process) pub(ctx context.Context, o *pubOptions, args []string) error {
	topic, in := args[0], p.stdin
	body := len(args) == 2 && args[1] != "-"
	switch {
	case topic == "":
		return usagef("the topic has no name")
	case body && (o.file != "" || o.null || o.whole):
		return usagef("a BODY on the command line leaves nothing for --file, --null or --whole to say")
	case o.null && o.whole:
		return usagef("--null and --whole do not go together")
	case o.batch < 1:
		return usagef("--batch must be more than 0")
	case o.rate < 0 || o.delay < 0:
		return usagef("--rate and --defer must not be negative")
	}
	out := &publisher{
		client: o.server.client(), topic: topic, delay: o.delay, most: o.batch, pace: records.NewPace(o.rate),
	}
	if o.rate > 0 {
		out.most = min(out.most, max(1, int(o.rate/10))) // a tenth of a second at a time
	}
	if body {
		return out.fail(out.add(ctx, []byte(args[1]), true))
	}
	if o.file != "" {
		f, err := os.Open(o.file)
		if err != nil {
			return fmt.Errorf("--file: %w", err)
		}
		defer f.Close()
		in = f
	}
	if o.whole {
		all, err := io.ReadAll(io.LimitReader(in, records.Limit+1))
		switch {
		case err != nil:
			return fmt.Errorf("read the message: %w", err)
		case len(all) > records.Limit:
			return fmt.Errorf("read the message: it has more than %d bytes", records.Limit)
		}
		return out.fail(out.add(ctx, all, true))
	}
	delim := byte('\n')
	if o.null {
		delim = 0
	}
	return out.fail(out.addAll(ctx, records.NewReader(in, delim), !o.null))
}

// publisher gathers messages for a topic and publishes them.
type publisher struct {
	client *api.Client
	topic  string
	delay  time.Duration
	most   int // messages per request
	pace   *records.Pace
	batch  []byte // messages as /mpub?binary=true takes them, behind 4 bytes for their number
	count  int
}

// fail names the topic.
func (o *publisher) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("topic %s: %w", o.topic, err)
}

// addAll publishes the records of in. Of lines, a carriage return at the end
// is not part of the message.
func (o *publisher) addAll(ctx context.Context, in *records.Reader, lines bool) error {
	for {
		record, ready, err := in.Next()
		if errors.Is(err, io.EOF) {
			return o.flush(ctx)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read the input: %w", err), o.flush(ctx))
		}
		if lines {
			record = bytes.TrimRight(record, "\r")
		}
		if len(record) == 0 {
			continue
		}
		if err := o.add(ctx, record, !ready); err != nil {
			return err
		}
	}
}

// add takes a message, and publishes all it has when there are enough of them
// or no more are at hand.
func (o *publisher) add(ctx context.Context, body []byte, last bool) error {
	if o.delay > 0 {
		if err := o.pace.Wait(ctx, 1); err != nil {
			return err
		}
		query := ofTopic(o.topic)
		query.Set("defer", strconv.FormatInt(o.delay.Milliseconds(), 10))
		return o.client.Post(ctx, "/pub", query, bytes.NewReader(body))
	}
	if o.count == 0 {
		o.batch = append(o.batch[:0], 0, 0, 0, 0)
	}
	o.batch = binary.BigEndian.AppendUint32(o.batch, uint32(len(body)))
	o.batch = append(o.batch, body...)
	o.count++
	if last || o.count >= o.most || len(o.batch) >= pubBytes {
		return o.flush(ctx)
	}
	return nil
}

// flush publishes what was gathered.
func (o *publisher) flush(ctx context.Context) error {
	if o.count == 0 {
		return nil
	}
	if err := o.pace.Wait(ctx, o.count); err != nil {
		return err
	}
	query, path, body := ofTopic(o.topic), "/mpub", o.batch
	if o.count == 1 {
		path, body = "/pub", o.batch[8:] // which says what is wrong with a single message
	} else {
		binary.BigEndian.PutUint32(o.batch, uint32(o.count))
		query.Set("binary", "true")
	}
	o.count = 0
	return o.client.Post(ctx, path, query, bytes.NewReader(body))
}
