package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

// topologyExperiment is the one experiment that there is.
const topologyExperiment = "topology-aware-consumption"

// authFlags are the flags about AUTH.
func (s *settings) authFlags(fs *flag.FlagSet) {
	o := &s.o
	fs.Var((*words)(&o.AuthHTTPAddresses), "auth-http-address", "`host:port` or URL of an auth server; clients must then send AUTH. May be given many times")
	fs.StringVar(&o.AuthHTTPRequestMethod, "auth-http-request-method", "get", "how auth servers are asked: get or post")
	fs.StringVar(&o.AuthStatic, "auth-static", "", "`path` of a JSON file of secrets and what they are good for, for AUTH without an auth server")
	fs.BoolVar(&o.Strict, "strict", false, "shut the doors that NSQ's tools go through: AUTH's grants count for HTTP, whole names and as long as they last; no options change; listen on loopback unless told where")
	fs.DurationVar(&o.HTTPClientConnectTimeout, "http-client-connect-timeout", 2*time.Second, "for reaching an auth server or nsqlookupd")
	fs.DurationVar(&o.HTTPClientRequestTimeout, "http-client-request-timeout", 5*time.Second, "for its whole answer")
}

// strictly gives flags of a role that was told to be strict, and that nobody
// has set, another default.
func strictly(fs *flag.FlagSet, from sources, defaults map[string]string) error {
	for name, value := range defaults {
		if from[name] != "" {
			continue
		}
		if err := fs.Set(name, value); err != nil {
			return fmt.Errorf("--%s=%s: %w", name, value, err)
		}
	}
	return nil
}

// measureFlags are the flags about statsd and latencies.
func (s *settings) measureFlags(fs *flag.FlagSet) {
	o := &s.o
	fs.StringVar(&o.StatsdAddress, "statsd-address", "", "`host:port` of a statsd collector (UDP)")
	fs.DurationVar(&o.StatsdInterval, "statsd-interval", time.Minute, "how often it is sent statistics")
	fs.BoolVar(&s.statsdMemory, "statsd-mem-stats", true, "send it memory figures too")
	fs.StringVar(&o.StatsdPrefix, "statsd-prefix", "nsq.%s", "what keys begin with; %s is this host")
	fs.IntVar(&o.StatsdUDPPacketSize, "statsd-udp-packet-size", 508, "the most bytes of a datagram")
	fs.BoolVar(&o.StatsdExcludeEphemeral, "statsd-exclude-ephemeral", false, "leave out ephemeral topics and channels")
	fs.Var((*floats)(&o.E2EProcessingLatencyPercentiles), "e2e-processing-latency-percentile", "quantiles of the time from publish to FIN to keep, as `numbers` in (0,1] with commas (default none)")
	fs.DurationVar(&o.E2EProcessingLatencyWindowTime, "e2e-processing-latency-window-time", 10*time.Minute, "how far back they look")
	fs.BoolVar(&s.channelMetrics, "metrics-per-channel", true, "have series of each channel in /metrics")
	fs.Var((*words)(&o.MetricsCompat), "metrics-compat", "names of `others` that /metrics has besides its own: exporter, mixin or both with a comma (default none)")
}

// checkOthers looks at the flags above.
func (s *settings) checkOthers() error {
	o := &s.o
	if m := o.AuthHTTPRequestMethod; m != "get" && m != "post" {
		return errors.New("--auth-http-request-method must be get or post")
	}
	if o.Strict && o.AuthHTTPRequestMethod == "get" {
		return errors.New("--auth-http-request-method=get puts secrets into addresses; --strict needs post")
	}
	for _, q := range o.E2EProcessingLatencyPercentiles {
		if !(q > 0 && q <= 1) {
			return fmt.Errorf("invalid E2E processing latency percentile: %v", q)
		}
	}
	if o.StatsdPrefix == "" {
		return errors.New("--statsd-prefix must not be empty")
	}
	for _, name := range o.MetricsCompat {
		if name != "exporter" && name != "mixin" {
			return fmt.Errorf("--metrics-compat has %q; there are exporter and mixin", name)
		}
	}
	o.StatsdNoMemStats = !s.statsdMemory
	o.MetricsWithoutChannels = !s.channelMetrics
	o.TopologyAwareConsumption = slices.Contains(s.experiments, topologyExperiment)
	return nil
}

// words is a list of texts, separated by commas or given one by one.
type words []string

// Set is flag.Value's.
func (w *words) Set(v string) error {
	for _, part := range strings.Split(v, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*w = append(*w, part)
		}
	}
	return nil
}

// String is flag.Value's.
func (w *words) String() string { return strings.Join(*w, ",") }

// Get is flag.Getter's.
func (w *words) Get() any { return []string(*w) }
