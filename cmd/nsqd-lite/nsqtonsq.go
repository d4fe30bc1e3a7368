package main

import (
	"context"
	"log/slog"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/pick"
	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/relay"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/spf13/pflag"
)

// toNSQFlags are nsq_to_nsq's.
type toNSQFlags struct {
	from     consumerFlags
	log      logFlags
	mode     string
	producer []string
	o        relay.Options
}

func (p process) toNSQVerb() verb {
	f := new(toNSQFlags)
	return verb{
		use: "nsq_to_nsq", short: "copy topics to other nsqds", group: groupNSQ,
		long: "Copy topics to other nsqds. A message is finished when its destination has said OK, and\n" +
			"requeued otherwise. With a JSON flag, messages that are no JSON objects are dropped.",
		example: `  nsq_to_nsq --topic=test --lookupd-http-address=127.0.0.1:4161 --destination-nsqd-tcp-address=other:4150`,
		flags: func(fs *pflag.FlagSet) {
			f.from.flags(fs, "nsq_to_nsq")
			f.log.flags(fs, "nsq_to_nsq", slog.LevelInfo)
			fs.StringArrayVar(&f.o.Topics, "topic", nil, "topic to copy. May be given many times")
			fs.StringVar(&f.o.Destination, "destination-topic", "", "topic to copy to (default the same)")
			fs.StringArrayVar(&f.o.NSQDs, "destination-nsqd-tcp-address", nil, "`host:port` of an nsqd to copy to. May be given many times")
			fs.StringVar(&f.mode, "mode", string(pick.HostPool), "which of them gets a message: hostpool, round-robin or epsilon-greedy")
			fs.StringVar(&f.o.Filter.RequireField, "require-json-field", "", "copy messages with this `field` alone")
			fs.StringVar(&f.o.Filter.RequireValue, "require-json-value", "", "and with this `value` of it")
			fs.StringArrayVar(&f.o.Filter.Whitelist, "whitelist-json-field", nil, "`field` to copy, and no others. May be given many times")
			fs.IntVar(&f.o.StatusEvery, "status-every", 250, "messages between lines of the log that say how it goes, 0 for none")
			fs.StringArrayVar(&f.producer, "producer-opt", nil, "`name,value` of an option of NSQ's clients, for publishing. May be given many times")
		},
		run: func(ctx context.Context, _ []string) error { return p.toNSQ(ctx, f) },
	}
}

// toNSQ plays nsq_to_nsq.
func (p process) toNSQ(ctx context.Context, f *toNSQFlags) (err error) {
	log := f.log.logger(p)
	o := f.o
	o.Logger, o.Producer.Logger = log, log
	o.Producer.Client.UserAgent = "nsq_to_nsq/" + liteVersion + " nsqloop"
	if o.Consumer, err = f.from.reader(log, "nsq_to_nsq"); err != nil {
		return err
	}
	if err := setOptions("--producer-opt", o.Producer.SetPair, f.producer); err != nil {
		return err
	}
	if o.Mode, err = pick.ParseMode(f.mode, pick.HostPool, pick.RoundRobin, pick.EpsilonGreedy); err != nil {
		return usagef("--%w", err)
	}
	switch {
	case len(o.Topics) == 0:
		return usagef("name a --topic")
	case len(o.NSQDs) == 0:
		return usagef("say where to: --destination-nsqd-tcp-address")
	case o.Filter.RequireValue != "" && o.Filter.RequireField == "":
		return usagef("--require-json-value is the value of which --require-json-field?")
	}
	return onLoop(ctx, log, func(l loop.Loop, _ func(error)) error {
		if _, err := relay.New(l, o); err != nil {
			return usageError{err}
		}
		return nil
	})
}
