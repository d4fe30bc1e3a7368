package reader

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
)

// valid are options that New accepts.
func valid() Options {
	return Options{
		Topic:   "topic",
		Channel: "channel",
		Handler: func(*Message) error { return nil },
		NSQDs:   []string{"127.0.0.1:4150"},
	}
}

func TestOptions_ErrorNamesTheFieldAndTheRule_1_4_203(t *testing.T) {
	for _, tt := range []struct {
		break_ func(o *Options)
		want   string
	}{
		{func(o *Options) { o.Topic = "" }, "Topic: "},
		{func(o *Options) { o.Topic = "with space" }, "Topic: "},
		{func(o *Options) { o.Channel = "" }, "Channel: "},
		{func(o *Options) { o.Channel = "$" }, "Channel: "},
		{func(o *Options) { o.Handler = nil }, "Handler: want a function"},
		{func(o *Options) { o.NSQDs = nil }, "NSQDs, Lookupds: want at least one"},
		{func(o *Options) { o.MaxInFlight = -1 }, "MaxInFlight -1: want at least 1"},
		{func(o *Options) { o.Batch.Handler = func([]*Message) error { return nil } }, "Handler, Batch.Handler: want one of them"},
		{func(o *Options) { o.Batch.Size = -1 }, "Batch.Size -1: want"},
		{func(o *Options) { o.Batch.MaxWait = -1 }, "Batch.MaxWait -1ns: want"},
		{func(o *Options) { o.Workers = -1 }, "Workers -1: want"},
		{func(o *Options) { o.MaxRate = -1 }, "MaxRate -1: want messages per second"},
		{func(o *Options) {
			o.SerialBy = firstLetter
			o.Handler, o.Batch.Handler = nil, func([]*Message) error { return nil }
		}, "SerialBy, Batch.Handler: want one of them"},
		{func(o *Options) { o.MaxRequeueDelay = -1 }, "MaxRequeueDelay -1ns: want"},
		{func(o *Options) { o.RequeueDelay = 16 * time.Minute }, "RequeueDelay 16m0s: want at most MaxRequeueDelay, 15m0s"},
		{func(o *Options) { o.RequeueDelay, o.MaxRequeueDelay = 2, 1 }, "RequeueDelay 2ns: want at most MaxRequeueDelay, 1ns"},
		{func(o *Options) {
			o.Handler, o.Batch.Handler = nil, func([]*Message) error { return nil }
			o.Batch.MaxWait, o.Client.MsgTimeout = time.Minute, time.Minute
		}, "Batch.MaxWait 1m0s: want less than Client.MsgTimeout, 1m0s"},
		{func(o *Options) { o.Backoff = "quadratic" }, `Backoff "quadratic": want one of ["linear" `},
		{func(o *Options) { o.LookupdPollInterval = -1 }, "LookupdPollInterval -1ns: want"},
		{func(o *Options) { o.LookupdPollJitter = 1.1 }, "LookupdPollJitter 1.1: want 0 to 1"},
		{func(o *Options) { o.RedistributeInterval = -1 }, "RedistributeInterval -1ns: want"},
		{func(o *Options) { o.LowReadyIdleTimeout = -1 }, "LowReadyIdleTimeout -1ns: want"},
		{func(o *Options) { o.LowReadyTimeout = -1 }, "LowReadyTimeout -1ns: want"},
		{func(o *Options) { o.ReconnectDelay = -1 }, "ReconnectDelay -1ns: want"},
		{func(o *Options) { o.MaxReconnectDelay = 1 }, "MaxReconnectDelay 1ns: want at least ReconnectDelay"},
		{func(o *Options) { o.Client.HeartbeatInterval = -1 }, "Client.HeartbeatInterval -1ns: want heartbeats"},
		{func(o *Options) { o.Client.SampleRate = 100 }, "Client.SampleRate 100: want"},
		{func(o *Options) { o.NSQDs = []string{"127.0.0.1"} }, "NSQDs: "},
		{func(o *Options) { o.NSQDs = []string{"a:1", "a:1"} }, "NSQDs: a:1: the address is there already"},
		{func(o *Options) { o.Lookupds = []string{"ftp://a:1"} }, "Lookupds: "},
	} {
		o := valid()
		tt.break_(&o)
		_, err := o.withDefaults()
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("got error %v, want one that begins with %q", err, tt.want)
		}
	}
}

func TestOptions_Defaults(t *testing.T) {
	got, err := valid().withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"MaxInFlight", got.MaxInFlight, 1},
		{"MaxAttempts", got.MaxAttempts, 5},
		{"RequeueDelay", got.RequeueDelay, 90 * time.Second},
		{"MaxRequeueDelay", got.MaxRequeueDelay, 15 * time.Minute},
		{"Backoff", got.Backoff, Linear},
		{"MaxBackoff", got.MaxBackoff, 128 * time.Second},
		{"LookupdPollInterval", got.LookupdPollInterval, time.Minute},
		{"LookupdPollJitter", got.LookupdPollJitter, 0.3},
		{"RedistributeInterval", got.RedistributeInterval, 5 * time.Second},
		{"LowReadyIdleTimeout", got.LowReadyIdleTimeout, 10 * time.Second},
		{"LowReadyTimeout", got.LowReadyTimeout, 30 * time.Second},
		{"ReconnectDelay", got.ReconnectDelay, 50 * time.Millisecond},
		{"MaxReconnectDelay", got.MaxReconnectDelay, 30 * time.Second},
		{"Client.HeartbeatInterval", got.Client.HeartbeatInterval, 30 * time.Second},
	} {
		if f.got != f.want {
			t.Errorf("%s is %v, want %v", f.name, f.got, f.want)
		}
	}
}

// What is not given follows what is: as many messages as workers, and no delay
// beyond the longest.
func TestOptions_DefaultsFollowOtherOptions(t *testing.T) {
	for _, tt := range []struct {
		workers, maxInFlight, want int
	}{
		{1, 0, 1},
		{8, 0, 8},
		{8, 1, 1}, // SetMaxInFlight may raise it
		{8, 20, 20},
	} {
		o := valid()
		o.Workers, o.MaxInFlight = tt.workers, tt.maxInFlight
		if got, err := o.withDefaults(); err != nil || got.MaxInFlight != tt.want {
			t.Errorf("%d workers, MaxInFlight %d: got %d, %v, want %d", tt.workers, tt.maxInFlight, got.MaxInFlight, err, tt.want)
		}
	}
	o := valid()
	o.MaxRequeueDelay = time.Second
	if got, err := o.withDefaults(); err != nil || got.RequeueDelay != time.Second {
		t.Errorf("the delay is %v, %v; want its limit, 1s", got.RequeueDelay, err)
	}
	o = valid()
	o.Batch.MaxWait, o.Client.MsgTimeout = time.Minute, time.Second // nothing is gathered
	if _, err := o.withDefaults(); err != nil {
		t.Error(err)
	}
}

func TestOptions_NegativeMeansOff(t *testing.T) {
	o := valid()
	o.RequeueDelay, o.LookupdPollJitter, o.MaxBackoff, o.MaxAttempts = -1, -1, -1, -1
	got, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if got.RequeueDelay != 0 || got.LookupdPollJitter != 0 || got.MaxBackoff >= 0 || got.MaxAttempts >= 0 {
		t.Errorf("got %v, %v, %v, %d", got.RequeueDelay, got.LookupdPollJitter, got.MaxBackoff, got.MaxAttempts)
	}
}

func TestOptions_AreCopied(t *testing.T) {
	o := valid()
	got, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	o.NSQDs[0] = "changed"
	if got.NSQDs[0] == "changed" {
		t.Error("a later change of the program's slice got in")
	}
}

func TestConclusion_OfAHandlersResult(t *testing.T) {
	cause := errors.New("boom")
	for _, tt := range []struct {
		name  string
		err   error
		kind  kind
		delay time.Duration
		text  string
	}{
		{"an error", cause, requeue, AutoDelay, "boom"},
		{"a delay", RequeueAfter(time.Second, cause), requeue, time.Second, "requeue after 1s: boom"},
		{"a delay of 0 (27)", RequeueAfter(0, nil), requeue, 0, "requeue after 0s"},
		{"an automatic delay", RequeueAfter(AutoDelay, nil), requeue, AutoDelay, "requeue"},
		{"no backoff", WithoutBackoff(cause), requeueCalmly, AutoDelay, "requeue without backoff: boom"},
		{"no backoff, no cause", WithoutBackoff(nil), requeueCalmly, AutoDelay, "requeue without backoff"},
		{"both", WithoutBackoff(RequeueAfter(time.Second, cause)), requeueCalmly, time.Second, "requeue after 1s without backoff: boom"},
		{"both, the other way", RequeueAfter(time.Second, WithoutBackoff(cause)), requeueCalmly, time.Second, "requeue after 1s without backoff: boom"},
		{"discard", Discard(cause), finishCalmly, AutoDelay, "discard: boom"},
		{"wrapped", wrapped{RequeueAfter(time.Minute, cause)}, requeue, time.Minute, "wrapped"},
	} {
		a, ok := conclusion(&Message{}, tt.err)
		if !ok || a.kind != tt.kind || a.delay != tt.delay || a.err != tt.err {
			t.Errorf("%s: got kind %d, delay %v, %v", tt.name, a.kind, a.delay, ok)
		}
		if tt.err.Error() != tt.text {
			t.Errorf("%s: text %q, want %q", tt.name, tt.err, tt.text)
		}
	}
	if !errors.Is(WithoutBackoff(RequeueAfter(1, cause)), cause) {
		t.Error("the cause is lost")
	}
	if a, ok := conclusion(&Message{}, nil); !ok || a.kind != finish {
		t.Error("nil does not finish")
	}
	if _, ok := conclusion(&Message{}, wrapped{Pending}); ok {
		t.Error("Pending answers")
	}
}

type wrapped struct{ err error }

func (w wrapped) Error() string { return "wrapped" }
func (w wrapped) Unwrap() error { return w.err }

func TestReader_AutomaticRequeueDelay_28_29(t *testing.T) {
	for _, tt := range []struct {
		attempts uint16
		delay    time.Duration
		want     time.Duration
	}{
		{3, AutoDelay, 270 * time.Second},
		{1, -time.Hour, 90 * time.Second},
		{10, AutoDelay, 15 * time.Minute},
		{11, AutoDelay, 15 * time.Minute},
		{65535, AutoDelay, 15 * time.Minute},
		{0, AutoDelay, 0}, // after 65535 deliveries
		{3, 0, 0},
		{3, 2 * time.Hour, 2 * time.Hour},
	} {
		r := &Reader{o: Options{RequeueDelay: 90 * time.Second, MaxRequeueDelay: 15 * time.Minute}}
		if got := r.requeueDelay(&Message{Attempts: tt.attempts}, tt.delay); got != tt.want {
			t.Errorf("attempts %d, delay %v: got %v, want %v", tt.attempts, tt.delay, got, tt.want)
		}
	}
}

func TestPermanent(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{client.ErrBadChannel, true},
		{client.ErrUnauthorized, true},
		{client.ErrHTTPEndpoint, true},
		{client.ErrSubFailed, false},
		{client.ErrTimeout, false},
		{errors.New("connection refused"), false},
	} {
		if got := permanent(wrapped{tt.err}); got != tt.want {
			t.Errorf("%v: permanent is %v, want %v", tt.err, got, tt.want)
		}
	}
}
