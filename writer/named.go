package writer

import (
	"fmt"
	"slices"

	"github.com/nsqloop/nsqloop/internal/option"
)

// ofReaders are options by the names that NSQ's other clients give them, which
// have one set for both.
var ofReaders = []string{
	"max_in_flight", "max_attempts", "default_requeue_delay", "max_requeue_delay", "max_backoff_duration", "backoff_strategy",
	"backoff_multiplier", "lookupd_poll_interval", "lookupd_poll_jitter", "lookupd_poll_timeout", "low_rdy_idle_timeout",
	"low_rdy_timeout", "rdy_redistribute_interval", "skip_lookupd_authorization",
}

// Set sets an option by the name that NSQ's other clients give it, as
// client.Options.Set does: all that writers have such names for are those of
// connections. It is for flags and configuration files; a program sets the
// fields.
func (o *Options) Set(name, value string) error {
	if slices.Contains(ofReaders, option.Key(name)) {
		return fmt.Errorf("option %s: is an option of consumers", name)
	}
	return o.Client.Set(name, value)
}

// SetPair is Set for "name,value", or "name" for a value that is true or false,
// as flags of NSQ's programs have it. It suits flag.Func.
func (o *Options) SetPair(text string) error { return o.Set(option.Pair(text)) }
