package main

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/pick"
	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/tohttp"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/spf13/pflag"
)

// toHTTPFlags are nsq_to_http's.
type toHTTPFlags struct {
	from      consumerFlags
	log       logFlags
	http      httpTimeouts
	topic     string
	post, get []string
	headers   []string
	mode      string
	o         tohttp.Options
}

func (p process) toHTTPVerb() verb {
	f := new(toHTTPFlags)
	return verb{
		use: "nsq_to_http", short: "send messages to HTTP addresses", group: groupNSQ,
		long: "Send messages to HTTP addresses. A message is finished when a POST is answered with 2xx, or a\n" +
			"GET with 200; otherwise it is requeued, and sending slows down.",
		example: `  nsq_to_http --topic=test --post=http://127.0.0.1:8080/in --lookupd-http-address=127.0.0.1:4161
  nsq_to_http --topic=test --get='http://127.0.0.1:8080/in?body=%s' --nsqd-tcp-address=127.0.0.1:4150`,
		flags: func(fs *pflag.FlagSet) {
			f.from.flags(fs, "nsq_to_http")
			f.log.flags(fs, "nsq_to_http", slog.LevelInfo)
			f.http.flags(fs, 20*time.Second)
			fs.StringVar(&f.topic, "topic", "", "topic to send")
			fs.StringArrayVar(&f.post, "post", nil, "`URL` to post messages to. May be given many times")
			fs.StringArrayVar(&f.get, "get", nil, "`URL` with one %s, which stands for the message. May be given many times")
			fs.StringArrayVar(&f.headers, "header", nil, "`Name: value` to send along. May be given many times")
			fs.StringVar(&f.o.ContentType, "content-type", "application/octet-stream", "type of what is posted")
			fs.IntVar(&f.o.Concurrency, "n", 100, "messages being sent at once")
			fs.StringVar(&f.mode, "mode", string(pick.HostPool), "which address gets a message: hostpool, round-robin, epsilon-greedy; or all")
			fs.Float64Var(&f.o.Sample, "sample", 1, "share of messages to send; the others are finished without")
			fs.IntVar(&f.o.StatusEvery, "status-every", 250, "messages between lines of the log that say how it goes, 0 for none")
		},
		run: func(ctx context.Context, _ []string) error { return p.toHTTP(ctx, f) },
	}
}

// toHTTP plays nsq_to_http.
func (p process) toHTTP(ctx context.Context, f *toHTTPFlags) (err error) {
	log := f.log.logger(p)
	o := f.o
	o.Logger, o.HTTP, o.Header = log, f.http.client(o.Concurrency), http.Header{}
	if o.Consumer, err = f.from.reader(log, "nsq_to_http"); err != nil {
		return err
	}
	o.Consumer.Topic = f.topic
	if o.Mode, err = pick.ParseMode(f.mode, pick.HostPool, pick.RoundRobin, pick.EpsilonGreedy, pick.All); err != nil {
		return usagef("--%w", err)
	}
	switch {
	case f.topic == "":
		return usagef("name a --topic")
	case (len(f.post) == 0) == (len(f.get) == 0):
		return usagef("say where to: --post or --get, one kind")
	}
	o.URLs, o.Get = append(f.post, f.get...), len(f.get) > 0
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return usagef("--header %q: want Name: value", h)
		}
		o.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return onLoop(ctx, log, func(l loop.Loop, _ func(error)) error {
		if _, err := tohttp.New(l, o); err != nil {
			return usageError{err}
		}
		return nil
	})
}
