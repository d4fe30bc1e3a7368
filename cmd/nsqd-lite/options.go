package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// A setter gives an option of NSQ's the value that --consumer-opt or
// --producer-opt names. Of c and p one is nil where the option is not for it.
type setter func(c *reader.Options, cl *client.Options, value string) error

// clientSetters are the options by NSQ's names, with _ for -.
var clientSetters = map[string]setter{
	"max_in_flight":         number(func(c *reader.Options) *int { return &c.MaxInFlight }),
	"max_attempts":          attempts,
	"default_requeue_delay": span(func(c *reader.Options, _ *client.Options) *time.Duration { return &c.RequeueDelay }),
	"max_requeue_delay":     span(func(c *reader.Options, _ *client.Options) *time.Duration { return &c.MaxRequeueDelay }),
	"max_backoff_duration":  span(func(c *reader.Options, _ *client.Options) *time.Duration { return &c.MaxBackoff }),
	"lookupd_poll_interval": span(func(c *reader.Options, _ *client.Options) *time.Duration { return &c.LookupdPollInterval }),
	"low_rdy_idle_timeout":  span(func(c *reader.Options, _ *client.Options) *time.Duration { return &c.LowReadyIdleTimeout }),
	"low_rdy_timeout":       span(func(c *reader.Options, _ *client.Options) *time.Duration { return &c.LowReadyTimeout }),
	"dial_timeout":          span(func(_ *reader.Options, cl *client.Options) *time.Duration { return &cl.DialTimeout }),
	"heartbeat_interval":    span(func(_ *reader.Options, cl *client.Options) *time.Duration { return &cl.HeartbeatInterval }),
	"msg_timeout":           span(func(_ *reader.Options, cl *client.Options) *time.Duration { return &cl.MsgTimeout }),
	"output_buffer_timeout": span(func(_ *reader.Options, cl *client.Options) *time.Duration { return &cl.OutputBufferTimeout }),
	"output_buffer_size":    clientNumber(func(cl *client.Options) *int { return &cl.OutputBufferSize }),
	"sample_rate":           clientNumber(func(cl *client.Options) *int { return &cl.SampleRate }),
	"deflate_level":         clientNumber(func(cl *client.Options) *int { return &cl.DeflateLevel }),
	"deflate":               flagOption(func(cl *client.Options) *bool { return &cl.Deflate }),
	"snappy":                flagOption(func(cl *client.Options) *bool { return &cl.Snappy }),
	"client_id":             text(func(cl *client.Options) *string { return &cl.ClientID }),
	"hostname":              text(func(cl *client.Options) *string { return &cl.Hostname }),
	"user_agent":            text(func(cl *client.Options) *string { return &cl.UserAgent }),
	"topology_zone":         text(func(cl *client.Options) *string { return &cl.TopologyZone }),
	"topology_region":       text(func(cl *client.Options) *string { return &cl.TopologyRegion }),
	"auth_secret": func(_ *reader.Options, cl *client.Options, v string) error {
		cl.AuthSecret = func() string { return v }
		return nil
	},
	"tls_v1":                   tlsOption,
	"tls_insecure_skip_verify": tlsOption,
	"tls_root_ca_file":         tlsOption,
	"tls_cert":                 tlsOption,
	"tls_key":                  tlsOption,
}

// errNotForWriters is about options that only consumers have.
var errNotForWriters = errors.New("is an option of consumers")

func number(field func(*reader.Options) *int) setter {
	return func(c *reader.Options, _ *client.Options, v string) (err error) {
		if c == nil {
			return errNotForWriters
		}
		*field(c), err = strconv.Atoi(v)
		return err
	}
}

// attempts: 0 is any number to NSQ.
func attempts(c *reader.Options, _ *client.Options, v string) error {
	if c == nil {
		return errNotForWriters
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if c.MaxAttempts = int(n); n == 0 {
		c.MaxAttempts = -1
	}
	return err
}

func clientNumber(field func(*client.Options) *int) setter {
	return func(_ *reader.Options, cl *client.Options, v string) (err error) {
		*field(cl), err = strconv.Atoi(v)
		return err
	}
}

// span is a duration: with a unit, or a number of milliseconds, as in NSQ.
func span(field func(*reader.Options, *client.Options) *time.Duration) setter {
	return func(c *reader.Options, cl *client.Options, v string) error {
		d, err := time.ParseDuration(v)
		if ms, bad := strconv.ParseInt(v, 10, 32); bad == nil {
			d, err = time.Duration(ms)*time.Millisecond, nil
		}
		if err != nil {
			return err
		}
		if c == nil {
			at := field(new(reader.Options), cl)
			if !slices.Contains([]*time.Duration{&cl.DialTimeout, &cl.HeartbeatInterval, &cl.MsgTimeout, &cl.OutputBufferTimeout}, at) {
				return errNotForWriters
			}
			*at = d
			return nil
		}
		*field(c, cl) = d
		return nil
	}
}

func flagOption(field func(*client.Options) *bool) setter {
	return func(_ *reader.Options, cl *client.Options, v string) (err error) {
		if *field(cl) = true; v != "" {
			*field(cl), err = strconv.ParseBool(v)
		}
		return err
	}
}

func text(field func(*client.Options) *string) setter {
	return func(_ *reader.Options, cl *client.Options, v string) error {
		*field(cl) = v
		return nil
	}
}

// setConsumer applies the values of --consumer-opt to o.
func setConsumer(o *reader.Options, values []string) error {
	return set("--consumer-opt", o, &o.Client, values)
}

// setProducer applies the values of --producer-opt to o.
func setProducer(o *writer.Options, values []string) error {
	return set("--producer-opt", nil, &o.Client, values)
}

// set applies options as "name,value", or "name" for those that are true or
// false.
func set(flag string, c *reader.Options, cl *client.Options, values []string) error {
	var tls tlsFiles
	for _, given := range values {
		name, value, _ := strings.Cut(given, ",")
		key := strings.ReplaceAll(name, "-", "_")
		s, known := clientSetters[key]
		if !known {
			var names []string
			for k := range clientSetters {
				names = append(names, k)
			}
			slices.Sort(names)
			return usagef("%s: there is no option %q%s", flag, name, meant(key, names))
		}
		err := s(c, cl, value)
		if errors.Is(err, errTLSOption) {
			err = tls.set(key, value)
		}
		if err != nil {
			return usageError{fmt.Errorf("%s %s: %w", flag, given, err)}
		}
	}
	return tls.apply(cl)
}
