package reader

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/client/lookup"
)

// Handler processes one message. Its result is the answer, unless the message
// was answered before it returns: nil finishes, an error requeues with the
// automatic delay and counts as a failure for backoff, a panic is an error.
// RequeueAfter, WithoutBackoff and Discard make errors that say otherwise, and
// Pending leaves the answer for later.
//
// It runs on the loop, where it must not block, or with Options.Workers on
// goroutines of its own, where it may. It is called at most once per delivery;
// NSQ may deliver a message more than once.
type Handler func(m *Message) error

// Backoff is how long the pauses are that follow failures. The value names
// how they grow.
type Backoff string

// How pauses grow with the level, which counts failures less successes.
const (
	// Linear is pynsq's: 3.584 s more for each of the first ten levels and
	// 0.384 s for each after them, when MaxBackoff is 128 s, and in
	// proportion otherwise.
	Linear Backoff = "linear"

	// Exponential is go-nsq's: 2 s, 4 s, 8 s and so on. A level that would
	// pass MaxBackoff is not reached, but for the first.
	Exponential Backoff = "exponential"

	// FullJitter is a random part of what Exponential is, and EqualJitter half
	// of that and a random part of the other half. They are for many readers
	// that fail together, and should not all come back together.
	FullJitter  Backoff = "full jitter"
	EqualJitter Backoff = "equal jitter"

	// NoBackoff is no pauses at all.
	NoBackoff Backoff = "off"
)

// backoffs are all of them.
var backoffs = []Backoff{Linear, Exponential, FullJitter, EqualJitter, NoBackoff}

// backoffUnit is what Exponential doubles: go-nsq's backoff_multiplier.
const backoffUnit = time.Second

// Options say what a Reader consumes and how. Topic, Channel, Handler (or Batch)
// and an address are required; everywhere else the zero value is the default that is
// named. The numbers are those of the NSQ clients unless a comment says
// otherwise.
type Options struct {
	// Topic and Channel are what to consume.
	Topic   string
	Channel string

	// Handler processes the messages, one by one. Batch, when it has a Handler,
	// processes several at once instead.
	Handler Handler
	Batch   Batch

	// NSQDs are addresses ("host:port") of nsqd to connect to and to stay
	// connected to. Lookupds are HTTP addresses ("host:port" or a URL) of
	// nsqlookupd to ask for more of them. At least one of all is required;
	// both may be given.
	NSQDs    []string
	Lookupds []string

	// MaxInFlight is how many messages may be in flight at once, over all
	// connections: the handler never has more of them unanswered. 0 means as
	// many as there are Workers, and 1 without any. Pause is for none.
	//
	// With 1, nsqd sends each message at once. With more, nsqd gathers
	// messages for up to Client.OutputBufferTimeout (250 ms by default)
	// before it sends a few.
	MaxInFlight int

	// Workers is how many goroutines run the handler. 0 means none: it runs
	// on the loop. No more of them work at once than MaxInFlight.
	Workers int

	// MaxRate is how many messages a second may come, over all connections. 0
	// means any number. It is kept by ready counts of 0 in between, so that
	// nothing waits here; what is on its way when they fall still comes, and
	// is made up for. In any time t no more than MaxRate times t come, plus a
	// tenth of MaxRate, plus MaxInFlight.
	MaxRate float64

	// SerialBy, if set, gives each message a key. Of messages with the same
	// one, the handler has one at a time, in the order in which they came
	// here: the next when the one before is answered, is lost or has expired,
	// and its handler has returned. Those that wait count as in flight, and
	// their time runs. "" is no key. It runs on the loop.
	SerialBy func(m *Message) string

	// MaxAttempts is how many deliveries of a message reach the handler. One
	// more goes to OnGiveUp and is finished. 0 means 5, negative means any
	// number.
	MaxAttempts int

	// RequeueDelay times attempts is the automatic delay of a requeue, and
	// MaxRequeueDelay its limit. 0 means 90 s, or the limit when that is
	// less, and 15 m; a negative RequeueDelay means none.
	RequeueDelay    time.Duration
	MaxRequeueDelay time.Duration

	// Backoff is how pauses grow that follow failures. "" means Linear.
	Backoff Backoff

	// BackoffFunc, if set, says how long the pause of a level is, instead of
	// Backoff. Levels begin with 1. It runs on the loop, once for each step up
	// or down, and what it says is cut to MaxBackoff, where steps up end.
	BackoffFunc func(level int) time.Duration

	// MaxBackoff is the longest such pause. 0 means 128 s, negative means
	// that failures never pause the reader.
	MaxBackoff time.Duration

	// ResumeAtOnce lets one success end backoff, at whatever level, as nsqjs
	// does. Otherwise it takes as many as there were failures.
	ResumeAtOnce bool

	// FinishErrorsBackOff lets it count as a failure when nsqd refuses a
	// finish because the message's time was over: the handler is too slow.
	FinishErrorsBackOff bool

	// LookupdPollInterval is how often nsqlookupd is asked. 0 means 60 s.
	// LookupdPollJitter times a random part of it delays the polls after the
	// first, once, so that many readers do not ask in step: 0 to 1, where 0
	// means 0.3, and negative means none.
	//
	// Between those polls there are others: when a connection was lost, and
	// while nobody names an nsqd, after a second at first and then each after
	// a tenth of the time that it has been so.
	LookupdPollInterval time.Duration
	LookupdPollJitter   float64

	// LookupdSecret, when not empty, is sent to the nsqlookupds as a bearer
	// token. It is not taken from Client.AuthSecret: nsqlookupd speaks plain
	// HTTP unless its address says https.
	LookupdSecret string

	// Filter, if set, sees the addresses of all nsqd that the nsqlookupd
	// name, and returns those to connect to. It runs on the loop, before and
	// after each poll. Connections that exist stay, whatever it returns.
	Filter func(nsqds []string) []string

	// AdaptiveShare gives a connection that has had fewer messages in flight
	// than its share only about twice as many as it had, and the rest to those
	// that could use more. One that fills what it has been left gets its equal
	// share back at once. Without it shares stay equal.
	AdaptiveShare bool

	// RedistributeInterval is how often adaptive shares are looked at, and
	// ready counts moved when there are more connections than MaxInFlight: away from connections without a
	// message for LowReadyIdleTimeout, and from those that had theirs for
	// LowReadyTimeout. 0 means 5 s, 10 s and 30 s.
	RedistributeInterval time.Duration
	LowReadyIdleTimeout  time.Duration
	LowReadyTimeout      time.Duration

	// ReconnectDelay is how long to wait before a lost nsqd is dialled
	// again. It doubles up to MaxReconnectDelay, with jitter, until a
	// connection has lasted a second; but while an nsqd has been gone for
	// less than a minute up to 0.6 s only, and then up to a hundredth of that
	// time. A dial that fails late counts as a part of it. 0 means 50 ms
	// and 30 s, which are ours: NSQ's clients wait 15 s or longer.
	ReconnectDelay    time.Duration
	MaxReconnectDelay time.Duration

	// DrainGrace is how long, in a shutdown, handlers go on undisturbed before
	// the contexts of their messages end. 0 means 5 s, negative means that
	// they end at once.
	DrainGrace time.Duration

	// The events below are optional. They run on the loop, one at a time, in
	// the order in which things happened, never inside the call that caused
	// them, and must not block.

	// OnConnect is called when a connection has subscribed.
	OnConnect func(nsqd string)

	// OnDisconnect is called once for each OnConnect, when that connection
	// is closed. err is nil when this side asked for it.
	OnDisconnect func(nsqd string, err error)

	// OnBackoff is called when a pause begins, and OnResume when backoff is
	// over and messages flow as before.
	OnBackoff func(Pause)
	OnResume  func()

	// OnGiveUp is called, instead of the handler, with a message that was
	// delivered more than MaxAttempts times. It is finished when OnGiveUp
	// returns, unless it was answered before. Without OnGiveUp such messages
	// are logged as errors. It runs on the loop also when there are workers.
	OnGiveUp func(m *Message)

	// OnError is called for what nobody else is told: a dial, a handshake or
	// a subscription that did not succeed, and answers that nsqd refused.
	// errors.Is tells them apart with package client's variables.
	OnError func(err error)

	// HTTPClient asks the nsqlookupd. nil means one that gives up after 10 s.
	HTTPClient *http.Client

	// Client are the options of each connection.
	Client client.Options

	// Logger receives changes of state at info, what was recovered from at
	// warn, and given up messages without OnGiveUp and panics at error. nil
	// is silence. It is also the connections' logger, unless they have one.
	Logger *slog.Logger
}

// Pause is what OnBackoff hears of.
type Pause struct {
	Level    int           // how many successes it takes to leave backoff
	Duration time.Duration // how long nothing is received now
	Err      error         // what the handler said; nil when it did not
}

// withDefaults returns o with defaults in place of zero values, or an error
// that names the first field that breaks its rule.
func (o Options) withDefaults() (Options, error) {
	setDefault(&o.MaxInFlight, max(1, o.Workers))
	setDefault(&o.MaxAttempts, 5)
	setDefault(&o.Batch.Size, o.MaxInFlight)
	setDefault(&o.Batch.MaxWait, time.Second)
	setDefault(&o.MaxRequeueDelay, 15*time.Minute)
	setDefault(&o.RequeueDelay, min(90*time.Second, o.MaxRequeueDelay))
	setDefault(&o.Backoff, Linear)
	setDefault(&o.MaxBackoff, 128*time.Second)
	setDefault(&o.LookupdPollInterval, lookup.DefaultInterval)
	setDefault(&o.LookupdPollJitter, lookup.DefaultJitter)
	setDefault(&o.RedistributeInterval, 5*time.Second)
	setDefault(&o.LowReadyIdleTimeout, 10*time.Second)
	setDefault(&o.LowReadyTimeout, 30*time.Second)
	setDefault(&o.ReconnectDelay, 50*time.Millisecond)
	setDefault(&o.MaxReconnectDelay, 30*time.Second)
	setDefault(&o.DrainGrace, 5*time.Second)
	o.DrainGrace = max(o.DrainGrace, 0)
	o.LookupdPollJitter = max(o.LookupdPollJitter, 0)
	o.RequeueDelay = max(o.RequeueDelay, 0)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("topic", o.Topic, "channel", o.Channel)
	if o.Client.Logger == nil {
		o.Client.Logger = o.Logger
	}
	if err := o.check(); err != nil {
		return o, err
	}
	o.NSQDs, o.Lookupds = slices.Clone(o.NSQDs), slices.Clone(o.Lookupds)
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

// check returns an error for the first field that breaks its rule.
func (o *Options) check() error {
	if err := client.CheckTopic(o.Topic); err != nil {
		return fmt.Errorf("Topic: %w", err)
	}
	if err := client.CheckChannel(o.Channel); err != nil {
		return fmt.Errorf("Channel: %w", err)
	}
	switch {
	case o.Handler == nil && o.Batch.Handler == nil:
		return fmt.Errorf("Handler: want a function that handles messages")
	case o.Handler != nil && o.Batch.Handler != nil:
		return fmt.Errorf("Handler, Batch.Handler: want one of them")
	case len(o.NSQDs) == 0 && len(o.Lookupds) == 0:
		return fmt.Errorf("NSQDs, Lookupds: want at least one address in one of them")
	case o.MaxInFlight < 0:
		return fmt.Errorf("MaxInFlight %d: want at least 1, or 0 for the default (Pause stops a reader)", o.MaxInFlight)
	case o.Batch.Size < 0:
		return fmt.Errorf("Batch.Size %d: want at least 1, or 0 for MaxInFlight", o.Batch.Size)
	case o.Batch.MaxWait < 0:
		return fmt.Errorf("Batch.MaxWait %v: want a positive duration, or 0 for the default", o.Batch.MaxWait)
	case o.Batch.Handler != nil && o.Client.MsgTimeout > 0 && o.Batch.MaxWait >= o.Client.MsgTimeout:
		return fmt.Errorf("Batch.MaxWait %v: want less than Client.MsgTimeout, %v, in which a batch is to be handled too", o.Batch.MaxWait, o.Client.MsgTimeout)
	case o.Workers < 0:
		return fmt.Errorf("Workers %d: want at least 1, or 0 for handlers on the loop", o.Workers)
	case !(o.MaxRate >= 0):
		return fmt.Errorf("MaxRate %v: want messages per second, or 0 for no limit", o.MaxRate)
	case o.SerialBy != nil && o.Batch.Handler != nil:
		return fmt.Errorf("SerialBy, Batch.Handler: want one of them: a batch has no order of keys")
	case o.MaxRequeueDelay < 0:
		return fmt.Errorf("MaxRequeueDelay %v: want a positive duration, or 0 for the default", o.MaxRequeueDelay)
	case o.RequeueDelay > o.MaxRequeueDelay:
		return fmt.Errorf("RequeueDelay %v: want at most MaxRequeueDelay, %v", o.RequeueDelay, o.MaxRequeueDelay)
	case !slices.Contains(backoffs, o.Backoff):
		return fmt.Errorf("Backoff %q: want one of %q", o.Backoff, backoffs)
	case o.LookupdPollInterval < time.Millisecond:
		return fmt.Errorf("LookupdPollInterval %v: want at least 1ms, or 0 for the default", o.LookupdPollInterval)
	case o.LookupdPollJitter > 1:
		return fmt.Errorf("LookupdPollJitter %v: want 0 to 1, or negative for none", o.LookupdPollJitter)
	case o.RedistributeInterval < time.Millisecond:
		return fmt.Errorf("RedistributeInterval %v: want at least 1ms, or 0 for the default", o.RedistributeInterval)
	case o.LowReadyIdleTimeout < 0:
		return fmt.Errorf("LowReadyIdleTimeout %v: want a positive duration, or 0 for the default", o.LowReadyIdleTimeout)
	case o.LowReadyTimeout < 0:
		return fmt.Errorf("LowReadyTimeout %v: want a positive duration, or 0 for the default", o.LowReadyTimeout)
	case o.ReconnectDelay < 0:
		return fmt.Errorf("ReconnectDelay %v: want a positive duration, or 0 for the default", o.ReconnectDelay)
	case o.MaxReconnectDelay < o.ReconnectDelay:
		return fmt.Errorf("MaxReconnectDelay %v: want at least ReconnectDelay, %v", o.MaxReconnectDelay, o.ReconnectDelay)
	case o.Client.HeartbeatInterval < 0:
		return fmt.Errorf("Client.HeartbeatInterval %v: want heartbeats, without which nsqd accepts no subscription", o.Client.HeartbeatInterval)
	}
	return o.checkAddresses()
}

// checkAddresses checks NSQDs and Lookupds.
func (o *Options) checkAddresses() error {
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
