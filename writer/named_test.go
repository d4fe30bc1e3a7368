package writer_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/writer"
)

// Statements 87 and 172: writers know their options and those of connections by
// NSQ's names.
func TestOptions_SetByName(t *testing.T) {
	var o writer.Options
	if err := o.SetPair("deflate-level,3"); err != nil || o.Client.DeflateLevel != 3 {
		t.Errorf("deflate-level,3: %v, %+v", err, o.Client)
	}
	for _, pair := range []string{
		"nsqd_tcp_addresses,h:1", "nsqd-tcp-addresses,h:2,i:2", "lookupd_http_addresses,l:3,http://m:4",
		"lookupd_poll_interval,10s", "lookupd_poll_jitter,0", "lookupd_poll_timeout,3000",
	} {
		if err := o.SetPair(pair); err != nil {
			t.Errorf("%s: %v", pair, err)
		}
	}
	if !slices.Equal(o.NSQDs, []string{"h:2", "i:2"}) || !slices.Equal(o.Lookupds, []string{"l:3", "http://m:4"}) {
		t.Errorf("addresses %v, %v", o.NSQDs, o.Lookupds)
	}
	if o.LookupdPollInterval != 10*time.Second || o.LookupdPollJitter >= 0 || o.HTTPClient.Timeout != 3*time.Second {
		t.Errorf("options %+v", o)
	}
	for pair, want := range map[string]string{
		"max-in-flight,9":            "option max-in-flight: is an option of consumers",
		"low_rdy_timeout,1s":         "is an option of consumers",
		"skip_lookupd_authorization": "Options.LookupdSecret",
		"lookupd_poll_jitter,2":      "want a number from 0 to 1",
		"lookupd_poll_timeout,x":     "want a duration",
		"lookupd_poll_intervall,1s":  "did you mean lookupd_poll_interval?",
		"tls_v2":                     "did you mean tls_v1?",
		"snapy":                      "did you mean snappy?",
	} {
		if err := o.SetPair(pair); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", pair, err, want)
		}
	}
}
