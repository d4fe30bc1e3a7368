package writer

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/client"
)

// Options are the options of a Writer. Zero values are defaults.
type Options struct {
	// NSQDs are the addresses ("host:port", or the path of a unix socket) to
	// publish to. At least one is required. A name is resolved again for each
	// dial.
	NSQDs []string

	// Name stands in the log. The default is the first address.
	Name string

	// Timeout is how long a publish may take, counted from when the loop
	// takes it up. At its end a publish that was not sent ends in
	// client.ErrTimeout, and one that was sent in client.ErrUnknownOutcome
	// (which then wraps client.ErrTimeout). 0 means 5 s, negative means no
	// limit.
	Timeout time.Duration

	// MaxPending is how many publishes may be pending: called and not ended,
	// a multi-publish counting as one. Beyond it Publish ends in ErrFull and
	// PublishSync waits. 0 means 100,000.
	MaxPending int

	// MaxPendingBytes is how many bytes of bodies may be pending. A publish
	// that is larger by itself is taken when nothing else is pending. 0 means
	// 64 MiB.
	MaxPendingBytes int

	// FailFast makes a publish for which no connection is ready end in
	// client.ErrNotConnected at once. The default is that it waits.
	FailFast bool

	// Window is how many publishes may be sent and unanswered per nsqd. When
	// a connection breaks, the outcome of that many is unknown; publishes
	// beyond it have not left and go elsewhere. 0 means 2048.
	Window int

	// ReplyTimeout is how long a connection that owes an answer may be silent
	// before it is given up as dead. 0 means 2.5 s, negative means that only
	// the heartbeats tell.
	ReplyTimeout time.Duration

	// MaxMsgSize, MaxBodySize and MaxDelay are the limits of the nsqds, which
	// do not tell theirs: the bytes of one body, of one multi-publish with its
	// lengths, and the longest delay. What is beyond them is rejected here,
	// because nsqd would close the connection over it. 0 means nsqd's
	// defaults: 1 MiB, 5 MiB and 1 h.
	MaxMsgSize  int
	MaxBodySize int
	MaxDelay    time.Duration

	// ReconnectDelay is how long to wait before a lost nsqd is dialled again.
	// It doubles up to MaxReconnectDelay, with jitter, until a connection has
	// lasted ten seconds. There is no last attempt. 0 means 50 ms and 30 s,
	// which are ours: NSQ's clients wait 15 s or longer.
	ReconnectDelay    time.Duration
	MaxReconnectDelay time.Duration

	// OnConnect, when not nil, is called each time a connection is ready.
	OnConnect func(nsqd string)

	// OnDisconnect, when not nil, is called each time a connection that was
	// ready is lost, or closed (err is nil then).
	OnDisconnect func(nsqd string, err error)

	// Client is how the connections introduce themselves.
	Client client.Options

	// Logger receives changes of state at info, and failed publishes that
	// nobody looks at as errors. nil is silence.
	Logger *slog.Logger
}

// withDefaults returns o with defaults in place of zero values, or an error
// that names the first field that breaks its rule.
func (o Options) withDefaults() (Options, error) {
	if len(o.NSQDs) == 0 {
		return o, errors.New("NSQDs: at least one address is required")
	}
	o.NSQDs = slices.Clone(o.NSQDs)
	for i, addr := range o.NSQDs {
		if err := client.CheckAddr(addr); err != nil {
			return o, fmt.Errorf("NSQDs: %w", err)
		}
		if slices.Contains(o.NSQDs[:i], addr) {
			return o, fmt.Errorf("NSQDs: %s is listed twice", addr)
		}
	}
	if o.Name == "" {
		o.Name = o.NSQDs[0]
	}
	for _, f := range []struct {
		field    *int
		name     string
		standard int
	}{
		{&o.MaxPending, "MaxPending", 100_000},
		{&o.MaxPendingBytes, "MaxPendingBytes", 64 << 20},
		{&o.Window, "Window", 2048},
		{&o.MaxMsgSize, "MaxMsgSize", client.DefaultMaxMsgSize},
		{&o.MaxBodySize, "MaxBodySize", client.DefaultMaxBodySize},
	} {
		if *f.field < 0 {
			return o, fmt.Errorf("%s %d: want a positive number, or 0 for the default", f.name, *f.field)
		}
		if *f.field == 0 {
			*f.field = f.standard
		}
	}
	for _, f := range []struct {
		field    *time.Duration
		name     string
		standard time.Duration
	}{
		{&o.MaxDelay, "MaxDelay", client.DefaultMaxDelay},
		{&o.ReconnectDelay, "ReconnectDelay", 50 * time.Millisecond},
		{&o.MaxReconnectDelay, "MaxReconnectDelay", 30 * time.Second},
	} {
		if *f.field < 0 {
			return o, fmt.Errorf("%s %v: want a positive duration, or 0 for the default", f.name, *f.field)
		}
		if *f.field == 0 {
			*f.field = f.standard
		}
	}
	if o.MaxReconnectDelay < o.ReconnectDelay {
		return o, fmt.Errorf("MaxReconnectDelay %v: want at least ReconnectDelay, %v", o.MaxReconnectDelay, o.ReconnectDelay)
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.ReplyTimeout == 0 {
		o.ReplyTimeout = 2500 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Client.Logger == nil {
		o.Client.Logger = o.Logger
	}
	var err error
	if o.Client, err = o.Client.WithDefaults(); err != nil {
		return o, fmt.Errorf("Client.%w", err)
	}
	return o, nil
}
