package reader

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/option"
)

// named are the options of readers by the names that NSQ's other clients give
// them, where 0 often means off.
var named = option.Table[Options]{
	"nsqd_tcp_addresses":        option.List(func(o *Options) *[]string { return &o.NSQDs }),
	"lookupd_http_addresses":    option.List(func(o *Options) *[]string { return &o.Lookupds }),
	"max_in_flight":             setMaxInFlight,
	"max_attempts":              setAttempts,
	"default_requeue_delay":     option.Off(func(o *Options) *time.Duration { return &o.RequeueDelay }),
	"max_requeue_delay":         setMaxRequeueDelay,
	"max_backoff_duration":      option.Off(func(o *Options) *time.Duration { return &o.MaxBackoff }),
	"backoff_strategy":          setStrategy,
	"lookupd_poll_interval":     option.Duration(func(o *Options) *time.Duration { return &o.LookupdPollInterval }),
	"lookupd_poll_jitter":       option.OffPart(func(o *Options) *float64 { return &o.LookupdPollJitter }),
	"lookupd_poll_timeout":      setPollTimeout,
	"low_rdy_idle_timeout":      option.Duration(func(o *Options) *time.Duration { return &o.LowReadyIdleTimeout }),
	"low_rdy_timeout":           option.Duration(func(o *Options) *time.Duration { return &o.LowReadyTimeout }),
	"rdy_redistribute_interval": option.Duration(func(o *Options) *time.Duration { return &o.RedistributeInterval }),

	"backoff_multiplier":         option.Refuse[Options]("the first pause is 3.584 s, or 2 s when they are exponential; Options.BackoffFunc makes others"),
	"skip_lookupd_authorization": option.Refuse[Options]("what nsqlookupds are sent is Options.LookupdSecret, and nothing unless it is set"),
}

// Set sets an option by the name that NSQ's other clients give it, as in
// "max_in_flight" or "max-attempts"; those of connections too, as
// client.Options.Set does, which says what a value may be. Addresses are a list
// with commas that replaces what was there. It is for flags and configuration
// files; a program sets the fields.
func (o *Options) Set(name, value string) error {
	if known, err := named.Set(o, name, value); known {
		return err
	}
	if of := client.OptionNames(); !slices.Contains(of, option.Key(name)) {
		return option.Unknown(name, append(named.Names(), of...))
	}
	return o.Client.Set(name, value)
}

// SetPair is Set for "name,value", or "name" for a value that is true or false,
// as flags of NSQ's programs have it. It suits flag.Func.
func (o *Options) SetPair(text string) error { return o.Set(option.Pair(text)) }

// setMaxInFlight: 0 is nothing at all to NSQ, and the default to us.
func setMaxInFlight(o *Options, v string) error {
	n, err := strconv.Atoi(v)
	switch {
	case err != nil:
		return fmt.Errorf("want a number, not %q", v)
	case n < 1:
		return fmt.Errorf("want at least 1, not %d: a reader that is to receive nothing is one after Pause", n)
	}
	o.MaxInFlight = n
	return nil
}

// setAttempts: 0 is any number to NSQ.
func setAttempts(o *Options, v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return fmt.Errorf("want a number from 0 to 65535, not %q", v)
	}
	if o.MaxAttempts = int(n); n == 0 {
		o.MaxAttempts = -1
	}
	return nil
}

// setMaxRequeueDelay: a limit of 0 is a delay of 0.
func setMaxRequeueDelay(o *Options, v string) error {
	d, err := option.ParseDuration(v)
	switch {
	case err != nil:
		return err
	case d == 0:
		o.RequeueDelay = -1
	default:
		o.MaxRequeueDelay = d
	}
	return nil
}

func setStrategy(o *Options, v string) error {
	strategies := map[string]Backoff{
		"linear": Linear, "exponential": Exponential, "full_jitter": FullJitter, "equal_jitter": EqualJitter, "off": NoBackoff,
	}
	b, known := strategies[v]
	if !known {
		return fmt.Errorf("want exponential, full_jitter, equal_jitter, linear or off, not %q", v)
	}
	o.Backoff = b
	return nil
}

func setPollTimeout(o *Options, v string) error {
	d, err := option.ParseDuration(v)
	if err == nil {
		o.HTTPClient = &http.Client{Timeout: d}
	}
	return err
}
