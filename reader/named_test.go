package reader_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/reader"
)

// Statement 172 for readers: NSQ's names and units, and its 0 for off.
func TestOptions_SetByName_172(t *testing.T) {
	var o reader.Options
	for _, pair := range []string{
		"nsqd-tcp-addresses,h:1,i:2", "lookupd_http_addresses,l:3,m:4", "max-in-flight,9", "max_attempts,0", "default_requeue_delay,0", "max_requeue_delay,5m", "max_backoff_duration,0",
		"backoff_strategy,full_jitter", "lookupd_poll_interval,10s", "lookupd_poll_jitter,0", "lookupd_poll_timeout,3s",
		"low_rdy_idle_timeout,1s", "low_rdy_timeout,2s", "rdy_redistribute_interval,3000", "snappy", "dial_timeout,4s",
	} {
		if err := o.SetPair(pair); err != nil {
			t.Errorf("%s: %v", pair, err)
		}
	}
	if !slices.Equal(o.NSQDs, []string{"h:1", "i:2"}) || !slices.Equal(o.Lookupds, []string{"l:3", "m:4"}) {
		t.Errorf("addresses %v, %v", o.NSQDs, o.Lookupds)
	}
	if o.MaxInFlight != 9 || o.MaxAttempts != -1 || o.Backoff != reader.FullJitter || o.LookupdPollJitter >= 0 || !o.Client.Snappy {
		t.Errorf("options %+v", o)
	}
	if o.RequeueDelay >= 0 || o.MaxRequeueDelay != 5*time.Minute || o.MaxBackoff >= 0 || o.LookupdPollInterval != 10*time.Second || o.HTTPClient.Timeout != 3*time.Second {
		t.Errorf("options %+v", o)
	}
	if o.LowReadyIdleTimeout != time.Second || o.LowReadyTimeout != 2*time.Second || o.RedistributeInterval != 3*time.Second || o.Client.DialTimeout != 4*time.Second {
		t.Errorf("options %+v", o)
	}
	if err := o.Set("max_requeue_delay", "0"); err != nil || o.RequeueDelay >= 0 || o.MaxRequeueDelay != 5*time.Minute {
		t.Errorf("a limit of 0: %v, %+v", err, o)
	}
	if err := o.Set("max_attempts", "7"); err != nil || o.MaxAttempts != 7 {
		t.Errorf("7 attempts: %v, %d", err, o.MaxAttempts)
	}
}

// Statements 2 and 172: what is unknown or does not fit is named.
func TestOptions_SetRefuses_2_172(t *testing.T) {
	for pair, want := range map[string]string{
		"max_in_fligt,1":               `there is no option "max_in_fligt"; did you mean max_in_flight?`,
		"snapy":                        `did you mean snappy?`,
		"max_in_flight,many":           `want a number`,
		"max_in_flight,0":              `want at least 1, not 0: a reader that is to receive nothing is one after Pause`,
		"max_in_flight,-2":             `want at least 1, not -2`,
		"max_attempts,-1":              `want a number from 0 to 65535`,
		"max_requeue_delay,x":          `want a duration`,
		"backoff_strategy,none":        `want exponential, full_jitter, equal_jitter, linear or off`,
		"lookupd_poll_jitter,x":        `want a number from 0 to 1`,
		"lookupd_poll_timeout,x":       `want a duration`,
		"backoff_multiplier,2s":        `the first pause is 3.584 s, or 2 s when they are exponential; Options.BackoffFunc`,
		"skip_lookupd_authorization,1": `Options.LookupdSecret`,
		"snappy,x":                     `want true or false`,
	} {
		var o reader.Options
		if err := o.SetPair(pair); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", pair, err, want)
		}
	}
}
