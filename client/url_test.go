package client_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/client"
)

func TestParseURL_Parts(t *testing.T) {
	for _, row := range []struct {
		url, nsqds, id, secret string
		snappy                 bool
	}{
		{"nsq://nsqd-1", "nsqd-1:4150", "", "", false},
		{"nsq://nsqd-1:5150/", "nsqd-1:5150", "", "", false},
		{"nsq://[::1]", "[::1]:4150", "", "", false},
		{"nsq://[::1]:5150,10.0.0.1", "[::1]:5150 10.0.0.1:4150", "", "", false},
		{"nsq://me:s3cret@a,b:1?snappy=1&topology_zone=z", "a:4150 b:1", "me", "s3cret", true},
		{"nsq://:p%40ss%3A%2F@a?snappy", "a:4150", "", "p@ss:/", true},
	} {
		c, err := client.ParseURL(row.url)
		if err != nil {
			t.Errorf("%s: %v", row.url, err)
			continue
		}
		secret := ""
		if c.Client.AuthSecret != nil {
			secret = c.Client.AuthSecret()
		}
		if got := strings.Join(c.NSQDs, " "); got != row.nsqds || c.Client.ClientID != row.id || secret != row.secret || c.Client.Snappy != row.snappy {
			t.Errorf("%s: %s, %+v, secret %q", row.url, got, c.Client, secret)
		}
	}
}

func TestParseURL_Refuses(t *testing.T) {
	for url, want := range map[string]string{
		"a:4150":                      "want nsq://host:port",
		"http://a:4151":               "want nsq://host:port",
		"nsq://":                      "want host:port",
		"nsq://:4150":                 "the host is missing",
		"nsq://a,,b":                  "want host:port",
		"nsq://a:nsq":                 "the port is not a number",
		"nsq://me:s3cret@a:x":         "the port is not a number",
		"nsq://me:s3c%zzret@a":        "the secret before the @ is not percent-encoded",
		"nsq://m%zz:s3cret@a":         "the name before the @ is not percent-encoded",
		"nsq://me:s3cret@a?snapy=1":   "did you mean snappy?",
		"nsq://me:s3cret@a?snappy=%z": "option snappy is not percent-encoded",
	} {
		_, err := client.ParseURL(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3c") {
			t.Errorf("%s: the error shows the secret: %v", url, err)
		}
	}
}

func TestFromEnv_AddressesOrURL(t *testing.T) {
	for _, row := range []struct {
		nsqds, lookupds string
		want, found     []string
		snappy          bool
		err             string
	}{
		{"a:4150, b:4150", "", []string{"a:4150", "b:4150"}, nil, false, ""},
		{"", "l:4161,https://m", nil, []string{"l:4161", "https://m"}, false, ""},
		{"nsq://a,b?snappy=1", "l:4161", []string{"a:4150", "b:4150"}, []string{"l:4161"}, true, ""},
		{"", " ", nil, nil, false, "set NSQD_TCP_ADDRESSES (host:port,...) or NSQ_LOOKUPD_HTTP_ADDRESSES"},
		{"a", "", nil, nil, false, "NSQD_TCP_ADDRESSES: address"},
		{"nsq://a?x=1", "", nil, nil, false, `NSQD_TCP_ADDRESSES: URL "nsq://a": there is no option "x"`},
	} {
		t.Setenv(client.EnvNSQDs, row.nsqds)
		t.Setenv(client.EnvLookupds, row.lookupds)
		c, err := client.FromEnv()
		if row.err != "" {
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%q, %q: error %v, want %q", row.nsqds, row.lookupds, err, row.err)
			}
			continue
		}
		if err != nil || !slices.Equal(c.NSQDs, row.want) || !slices.Equal(c.Lookupds, row.found) || c.Client.Snappy != row.snappy {
			t.Errorf("%q, %q: %+v, %v", row.nsqds, row.lookupds, c, err)
		}
	}
}
