package writer

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/client/lookup"
)

// Options are the options of a Writer. An address in NSQDs or Lookupds is
// required; everywhere else the zero value is the default that is named.
type Options struct {
	// NSQDs are addresses ("host:port", or the path of a unix socket) of nsqds
	// to publish to. A name is resolved again for each dial.
	NSQDs []string

	// Lookupds are HTTP addresses ("host:port" or a URL) of nsqlookupds. The
	// Writer publishes to all nsqds that they know, whatever topics those
	// have, beside NSQDs.
	Lookupds []string

	// LookupdPollInterval is how often nsqlookupd is asked. 0 means 60 s.
	// LookupdPollJitter times a random part of it delays the polls after the
	// first, once, so that many writers do not ask in step: 0 to 1, where 0
	// means 0.3, and negative means none.
	//
	// Between those polls there are others: when a connection was lost, and
	// while nobody names an nsqd, after a second at first and then each after
	// a tenth of the time that it has been so.
	LookupdPollInterval time.Duration
	LookupdPollJitter   float64

	// LookupdSecret, when not empty, is sent to the nsqlookupds as a bearer
	// token. HTTPClient asks them; nil means one that gives up after 10 s.
	LookupdSecret string
	HTTPClient    *http.Client

	// Filter, if set, sees the addresses of all nsqds that the nsqlookupds
	// name, and returns those to publish to. It runs on the loop, before and
	// after each poll. Connections that exist stay, whatever it returns.
	Filter func(nsqds []string) []string

	// Policy chooses the nsqd of each publish. "" means RoundRobin.
	Policy Policy

	// Retry is which publishes are tried again. "" means RetryUnsent.
	Retry Retry

	// Batch is how many publishes of one turn of the loop to one topic may
	// leave as one multi-publish; 0 and 1 mean none. It makes the original
	// nsqd several times faster; nsqd-lite gains little.
	//
	// Each publish keeps its own result. But nsqd may store part of a
	// multi-publish that it fails, when its disk is full (client.ErrMPubFailed):
	// all of the batch is Unknown then, where alone most would be NotSent and
	// tried on another nsqd. Of one turn, what goes to one topic keeps its
	// order, and different topics may overtake each other.
	Batch int

	// Name stands in the log. "" means the first address.
	Name string

	// Timeout is how long a publish may take, counted from when the loop
	// takes it up. At its end a publish that was not sent ends in
	// client.ErrTimeout, and one that was sent in client.ErrUnknownOutcome
	// (which then wraps client.ErrTimeout). 0 means 5 s, negative means no
	// limit.
	//
	// It ends in client.ErrNotConnected at once while each nsqd has failed in
	// a way that waiting does not mend: it is an HTTP port, it has no TLS or
	// checksums and Client asks for them, it wants AUTH and there is no
	// secret, or it has refused IDENTIFY or the secret (but not when its auth
	// server is away). With Lookupds it waits, as they may name another one.
	// The nsqds are dialled on.
	Timeout time.Duration

	// MaxWait is how much of its Timeout a publish may spend waiting to be
	// sent the first time; then it ends in client.ErrTimeout. It is for
	// messages that are worth nothing later. 0 means all of it; more than
	// Timeout is refused.
	MaxWait time.Duration

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
	// lasted ten seconds, and is 0.6 s or a hundredth of the outage at
	// most, of which a dial that fails late counts as a part. There is no last
	// attempt. 0 means 50 ms and 30 s, which are ours: NSQ's clients wait 15 s
	// or longer.
	ReconnectDelay    time.Duration
	MaxReconnectDelay time.Duration

	// The events below run on the loop, one at a time, and must not block.

	// OnConnect, when not nil, is called each time a connection is ready.
	OnConnect func(nsqd string)

	// OnDisconnect, when not nil, is called each time a connection that was
	// ready is lost, or closed (err is nil then).
	OnDisconnect func(nsqd string, err error)

	// OnResult, when not nil, is called with how each publish went, before its
	// done: for measurements. Copies of PublishAll are publishes, of which it
	// hears when all of them have ended.
	OnResult func(Result)

	// OnError, when not nil, is called for what no publish is told: a dial or a
	// handshake that did not succeed, and an nsqlookupd that fails, once until
	// it answers again.
	OnError func(err error)

	// Client is how the connections introduce themselves.
	Client client.Options

	// Logger receives changes of state at info, and failed publishes that
	// nobody looks at as errors. nil is silence.
	Logger *slog.Logger
}

// withDefaults returns o with defaults in place of zero values, or an error
// that names the first field that breaks its rule.
func (o Options) withDefaults() (Options, error) {
	o.NSQDs, o.Lookupds = slices.Clone(o.NSQDs), slices.Clone(o.Lookupds)
	if err := o.checkAddresses(); err != nil {
		return o, err
	}
	setDefault(&o.Name, slices.Concat(o.NSQDs, o.Lookupds)[0])
	setDefault(&o.LookupdPollInterval, lookup.DefaultInterval)
	setDefault(&o.LookupdPollJitter, lookup.DefaultJitter)
	setDefault(&o.Policy, RoundRobin)
	setDefault(&o.Retry, RetryUnsent)
	setDefault(&o.Timeout, 5*time.Second)
	setDefault(&o.MaxPending, 100_000)
	setDefault(&o.MaxPendingBytes, 64<<20)
	setDefault(&o.Window, 2048)
	setDefault(&o.ReplyTimeout, 2500*time.Millisecond)
	setDefault(&o.MaxMsgSize, client.DefaultMaxMsgSize)
	setDefault(&o.MaxBodySize, client.DefaultMaxBodySize)
	setDefault(&o.MaxDelay, client.DefaultMaxDelay)
	setDefault(&o.ReconnectDelay, 50*time.Millisecond)
	setDefault(&o.MaxReconnectDelay, 30*time.Second)
	o.LookupdPollJitter = max(o.LookupdPollJitter, 0)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Client.Logger == nil {
		o.Client.Logger = o.Logger
	}
	if err := o.check(); err != nil {
		return o, err
	}
	var err error
	if o.Client, err = o.Client.WithDefaults(); err != nil {
		return o, fmt.Errorf("Client.%w", err)
	}
	return o, nil
}

// setDefault gives a field that is zero its default.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// checkAddresses checks NSQDs and Lookupds.
func (o *Options) checkAddresses() error {
	if len(o.NSQDs) == 0 && len(o.Lookupds) == 0 {
		return errors.New("NSQDs, Lookupds: want at least one address in one of them")
	}
	for i, addr := range o.NSQDs {
		if err := client.CheckAddr(addr); err != nil {
			return fmt.Errorf("NSQDs: %w", err)
		}
		if slices.Contains(o.NSQDs[:i], addr) {
			return fmt.Errorf("NSQDs: %s: %w", addr, ErrDuplicate)
		}
	}
	if _, err := lookup.ParseAll(o.Lookupds); err != nil {
		return fmt.Errorf("Lookupds: %w", err)
	}
	return nil
}

// check returns an error for the first of the other fields that breaks its
// rule. It runs when the defaults are in place.
func (o *Options) check() error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"MaxPending", o.MaxPending},
		{"MaxPendingBytes", o.MaxPendingBytes},
		{"Window", o.Window},
		{"MaxMsgSize", o.MaxMsgSize},
		{"MaxBodySize", o.MaxBodySize},
		{"Batch", o.Batch},
	} {
		if f.value < 0 {
			return fmt.Errorf("%s %d: want a positive number, or 0 for the default", f.name, f.value)
		}
	}
	switch {
	case o.MaxDelay < 0:
		return fmt.Errorf("MaxDelay %v: want a positive duration, or 0 for the default", o.MaxDelay)
	case 0 < o.Timeout && o.Timeout < time.Millisecond:
		return fmt.Errorf("Timeout %v: want at least 1ms, 0 for the default or negative for none", o.Timeout)
	case o.MaxWait < 0 || 0 < o.MaxWait && o.MaxWait < time.Millisecond:
		return fmt.Errorf("MaxWait %v: want at least 1ms, or 0 for Timeout", o.MaxWait)
	case o.Timeout > 0 && o.MaxWait > o.Timeout:
		return fmt.Errorf("MaxWait %v: want at most Timeout, %v", o.MaxWait, o.Timeout)
	case 0 < o.ReplyTimeout && o.ReplyTimeout < time.Millisecond:
		return fmt.Errorf("ReplyTimeout %v: want at least 1ms, 0 for the default or negative for none", o.ReplyTimeout)
	case o.ReconnectDelay < 0:
		return fmt.Errorf("ReconnectDelay %v: want a positive duration, or 0 for the default", o.ReconnectDelay)
	case o.MaxReconnectDelay < o.ReconnectDelay:
		return fmt.Errorf("MaxReconnectDelay %v: want at least ReconnectDelay, %v", o.MaxReconnectDelay, o.ReconnectDelay)
	case o.LookupdPollInterval < time.Millisecond:
		return fmt.Errorf("LookupdPollInterval %v: want at least 1ms, or 0 for the default", o.LookupdPollInterval)
	case o.LookupdPollJitter > 1:
		return fmt.Errorf("LookupdPollJitter %v: want 0 to 1, or negative for none", o.LookupdPollJitter)
	case o.Policy != RoundRobin && o.Policy != Sticky && o.Policy != Nearest:
		return fmt.Errorf("Policy %q: want %q, %q or %q", o.Policy, RoundRobin, Sticky, Nearest)
	case o.Retry != RetryUnsent && o.Retry != RetryOnce && o.Retry != RetryUnknown && o.Retry != RetryNone:
		return fmt.Errorf("Retry %q: want %q, %q, %q or %q", o.Retry, RetryUnsent, RetryOnce, RetryUnknown, RetryNone)
	}
	return nil
}
