package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/tofile"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/spf13/pflag"
)

// toFileFlags are nsq_to_file's.
type toFileFlags struct {
	from    consumerFlags
	log     logFlags
	http    httpTimeouts
	pattern string
	o       tofile.Options
}

func (p process) toFileVerb() verb {
	f := new(toFileFlags)
	return verb{
		use: "nsq_to_file", short: "write topics to files, a message a line", group: groupNSQ,
		long: "Write topics to files, a message a line. A message is finished when the disk has it: after\n" +
			"--sync-interval, when as many wait as may be in flight, and when none came for a second.\n" +
			"SIGHUP closes the files; what comes then opens the next.",
		example: `  nsq_to_file --topic=test --output-dir=/tmp --lookupd-http-address=127.0.0.1:4161
  nsq_to_file --topic-pattern='^orders' --gzip --rotate-size=100000000 --output-dir=/archive --lookupd-http-address=127.0.0.1:4161`,
		flags: func(fs *pflag.FlagSet) {
			f.from.flags(fs, "nsq_to_file")
			f.log.flags(fs, "nsq_to_file", slog.LevelInfo)
			f.http.flags(fs, 5*time.Second)
			f.flags(fs)
		},
		run: func(ctx context.Context, _ []string) error { return p.toFile(ctx, f) },
	}
}

func (f *toFileFlags) flags(fs *pflag.FlagSet) {
	o := &f.o
	fs.StringArrayVar(&o.Topics, "topic", nil, "topic to write. May be given many times (default all that an nsqlookupd knows)")
	fs.StringVar(&f.pattern, "topic-pattern", "", "regular `expression` of topics to write, of those that an nsqlookupd knows")
	fs.DurationVar(&o.Refresh, "topic-refresh", time.Minute, "how often an nsqlookupd is asked for topics")
	fs.StringVar(&o.Dir, "output-dir", "/tmp", "`directory` in which files end up")
	fs.StringVar(&o.WorkDir, "work-dir", "", "`directory` in which files are until they are complete (default the output directory)")
	fs.StringVar(&o.Format, "filename-format", "<TOPIC>.<HOST><REV>.<DATETIME>.log", "name of files, with <TOPIC>, <HOST>, <PID>, <DATETIME> and <REV>")
	fs.StringVar(&o.DateTime, "datetime-format", "%Y-%m-%d_%H", "strftime's format of <DATETIME>")
	fs.StringVar(&o.HostIdentifier, "host-identifier", "", "what <HOST> is, with <SHORT_HOST> and <HOSTNAME> (default <SHORT_HOST>)")
	fs.BoolVar(&o.Gzip, "gzip", false, "compress")
	fs.IntVar(&o.GzipLevel, "gzip-level", 6, "how well, 1 to 9")
	fs.Int64Var(&o.RotateSize, "rotate-size", 0, "bytes, before compression, after which the next file follows; 0 for any number")
	fs.DurationVar(&o.RotateInterval, "rotate-interval", 0, "time after which the next file follows; 0 for any time")
	fs.DurationVar(&o.SyncInterval, "sync-interval", 30*time.Second, "how long messages may wait for the disk while others come")
	fs.BoolVar(&o.SkipEmptyFiles, "skip-empty-files", false, "make no file for a time without messages")
}

// toFile plays nsq_to_file.
func (p process) toFile(ctx context.Context, f *toFileFlags) (err error) {
	log := f.log.logger(p)
	o := f.o
	o.Logger, o.PID = log, os.Getpid()
	if o.Consumer, err = f.from.reader(log, "nsq_to_file"); err != nil {
		return err
	}
	if o.Host, err = os.Hostname(); err != nil {
		return err
	}
	if f.pattern != "" {
		if o.Pattern, err = regexp.Compile(f.pattern); err != nil {
			return usagef("--topic-pattern: %w", err)
		}
	}
	if len(o.Topics) == 0 || f.pattern != "" {
		if len(f.from.lookupds) == 0 {
			return usagef("name a --topic, or a --lookupd-http-address to ask for topics")
		}
		client := f.http.client(1)
		o.Discover = discover(f.from.lookupds, func(addr string) *api.Client {
			return api.New(addr, "--lookupd-http-address", client)
		})
	}
	return onLoop(ctx, log, func(l loop.Loop, end func(error)) error {
		o.Fail = end
		a, err := tofile.New(l, o)
		if err != nil {
			return usageError{err}
		}
		l.OnStop(onHangup(a.Reopen))
		return nil
	})
}

// discover asks nsqlookupds for topics. It fails when none answers.
func discover(lookupds []string, client func(addr string) *api.Client) func(context.Context) ([]string, error) {
	return func(ctx context.Context) (topics []string, err error) {
		var failures []error
		for _, addr := range lookupds {
			var reply struct{ Topics []string }
			if err := client(addr).Get(ctx, "/topics", nil, &reply); err != nil {
				failures = append(failures, err)
				continue
			}
			topics = append(topics, reply.Topics...)
		}
		if len(failures) == len(lookupds) {
			return nil, errors.Join(failures...)
		}
		slices.Sort(topics)
		return slices.Compact(topics), nil
	}
}
