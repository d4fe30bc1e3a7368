package writer

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/option"
)

// named are the options of writers by the names that NSQ's other clients give
// them, which know those about nsqlookupds from readers alone.
var named = option.Table[Options]{
	"nsqd_tcp_addresses":     option.List(func(o *Options) *[]string { return &o.NSQDs }),
	"lookupd_http_addresses": option.List(func(o *Options) *[]string { return &o.Lookupds }),
	"lookupd_poll_interval":  option.Duration(func(o *Options) *time.Duration { return &o.LookupdPollInterval }),
	"lookupd_poll_jitter":    option.OffPart(func(o *Options) *float64 { return &o.LookupdPollJitter }),
	"lookupd_poll_timeout":   setPollTimeout,

	"skip_lookupd_authorization": option.Refuse[Options]("what nsqlookupds are sent is Options.LookupdSecret, and nothing unless it is set"),
}

// ofReaders are options by the names that NSQ's other clients give them, which
// have one set for both.
var ofReaders = []string{
	"max_in_flight", "max_attempts", "default_requeue_delay", "max_requeue_delay", "max_backoff_duration", "backoff_strategy",
	"backoff_multiplier", "low_rdy_idle_timeout", "low_rdy_timeout", "rdy_redistribute_interval",
}

// Set sets an option by the name that NSQ's other clients give it: addresses, as
// in "lookupd_http_addresses", a list with commas that replaces what was there;
// "lookupd_poll_interval", "lookupd_poll_jitter" and "lookupd_poll_timeout"; and
// those of connections, as client.Options.Set does, which says what a value may
// be. It is for flags and configuration files; a program sets the fields.
func (o *Options) Set(name, value string) error {
	if known, err := named.Set(o, name, value); known {
		return err
	}
	key, of := option.Key(name), client.OptionNames()
	switch {
	case slices.Contains(ofReaders, key):
		return fmt.Errorf("option %s: is an option of consumers", name)
	case !slices.Contains(of, key):
		return option.Unknown(name, append(named.Names(), of...))
	}
	return o.Client.Set(name, value)
}

// SetPair is Set for "name,value", or "name" for a value that is true or false,
// as flags of NSQ's programs have it. It suits flag.Func.
func (o *Options) SetPair(text string) error { return o.Set(option.Pair(text)) }

func setPollTimeout(o *Options, v string) error {
	d, err := option.ParseDuration(v)
	if err == nil {
		o.HTTPClient = &http.Client{Timeout: d}
	}
	return err
}
