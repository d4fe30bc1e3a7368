package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/spf13/pflag"
)

// errDone ends a program that has done what it was asked for.
var errDone = errors.New("done")

// onLoop runs what build makes on a loop until ctx is done or end is called;
// with errDone or nil as by a signal, with another error at once, which is then
// returned. end may be called from anywhere, and counts once.
func onLoop(ctx context.Context, log *slog.Logger, build func(l loop.Loop, end func(error)) error) error {
	l, err := loop.New(loop.Options{Logger: log})
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if err := build(l, func(err error) { end(errors.Join(errDone, err)) }); err != nil {
		return errors.Join(err, l.Close())
	}
	// What has failed answers nothing any more: that is somebody else's, soon.
	context.AfterFunc(ctx, func() {
		if failure(ctx) != nil {
			_ = l.Close() // Run tells how it ended
		}
	})
	err = l.Run(ctx)
	if bad := failure(ctx); bad != nil {
		return bad
	}
	return err
}

// failure is why end was called, unless all is well.
func failure(ctx context.Context) error {
	cause := context.Cause(ctx)
	joined, ok := cause.(interface{ Unwrap() []error })
	if !ok || !errors.Is(cause, errDone) {
		return nil
	}
	for _, err := range joined.Unwrap() {
		if !errors.Is(err, errDone) {
			return err
		}
	}
	return nil
}

// consumerFlags are those that all programs of NSQ's that consume have.
type consumerFlags struct {
	channel  string
	most     int
	nsqds    []string
	lookupds []string
	options  []string
}

func (f *consumerFlags) flags(fs *pflag.FlagSet, channel string) {
	fs.StringVar(&f.channel, "channel", channel, "channel to consume")
	fs.IntVar(&f.most, "max-in-flight", 200, "messages in flight at once")
	fs.StringArrayVar(&f.nsqds, "nsqd-tcp-address", nil, "`host:port` of an nsqd. May be given many times")
	fs.StringArrayVar(&f.lookupds, "lookupd-http-address", nil, "`host:port` of an nsqlookupd's HTTP API. May be given many times")
	fs.StringArrayVar(&f.options, "consumer-opt", nil, "`name,value` of an option of NSQ's clients, as in max_attempts,5 or snappy. May be given many times")
}

// reader makes the options of a reader. A message is tried any number of times,
// unless --consumer-opt says otherwise: none is given up behind anybody's back.
func (f *consumerFlags) reader(log *slog.Logger, agent string) (reader.Options, error) {
	switch {
	case f.most < 1:
		return reader.Options{}, usagef("--max-in-flight must be more than 0")
	case len(f.nsqds) == 0 && len(f.lookupds) == 0:
		return reader.Options{}, usagef("say where from: --nsqd-tcp-address or --lookupd-http-address")
	case len(f.nsqds) > 0 && len(f.lookupds) > 0:
		return reader.Options{}, usagef("--nsqd-tcp-address and --lookupd-http-address do not go together")
	}
	o := reader.Options{
		Channel: f.channel, MaxInFlight: f.most, NSQDs: f.nsqds, Lookupds: f.lookupds, MaxAttempts: -1, Logger: log,
		OnError: func(err error) { log.Warn("connection", "err", err) },
	}
	o.Client.UserAgent = agent + "/" + liteVersion + " nsqloop"
	err := setOptions("--consumer-opt", o.SetPair, f.options)
	return o, err
}

// logFlags are those about the log.
type logFlags struct {
	level  logLevel
	prefix string
}

func (f *logFlags) flags(fs *pflag.FlagSet, program string, level slog.Level) {
	f.level = logLevel(level)
	fs.Var(levelFlag{&f.level}, "log-level", "debug, info, warn, error or fatal")
	fs.StringVar(&f.prefix, "log-prefix", "["+program+"] ", "what log lines begin with")
}

func (f *logFlags) logger(p process) *slog.Logger {
	return slog.New(newLogHandler(p.stderr, f.prefix, slog.Level(f.level)))
}

// levelFlag is a logLevel as a flag of the tree.
type levelFlag struct{ *logLevel }

// Type is pflag.Value's.
func (levelFlag) Type() string { return "level" }

// httpTimeouts are the flags about requests.
type httpTimeouts struct{ connect, request time.Duration }

func (t *httpTimeouts) flags(fs *pflag.FlagSet, request time.Duration) {
	fs.DurationVar(&t.connect, "http-client-connect-timeout", 2*time.Second, "time to connect")
	fs.DurationVar(&t.request, "http-client-request-timeout", request, "time for a whole request")
}

// client makes requests with these timeouts, to most at once over connections
// that are kept.
func (t *httpTimeouts) client(most int) *http.Client {
	dialer := &net.Dialer{Timeout: t.connect}
	return &http.Client{
		Timeout:   t.request,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, MaxIdleConnsPerHost: most},
	}
}
