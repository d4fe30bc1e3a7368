package client_test

import (
	"os"
	"path/filepath"
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

// TestFromEnv_Secrets: a secret of its own, in the environment or in a file, and
// an URL with one in a file.
func TestFromEnv_Secrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret, url := write("secret", "s3cret\n"), write("url", "nsq://:s3cret@a\n")
	missing := filepath.Join(dir, "missing")
	for _, row := range []struct{ nsqds, nsqdsFile, secret, secretFile, want, err string }{
		{"a:4150", "", "", "", "", ""},
		{"a:4150", "", "s3cret", "", "s3cret", ""},
		{"a:4150", "", "", secret, "s3cret", ""},
		{"", url, "", "", "s3cret", ""},
		{"a:4150", url, "", "", "", "NSQD_TCP_ADDRESSES and NSQD_TCP_ADDRESSES_FILE are both set"},
		{"a:4150", "", "s3cret", secret, "", "NSQ_AUTH_SECRET and NSQ_AUTH_SECRET_FILE are both set"},
		{"a:4150", "", "", missing, "", "NSQ_AUTH_SECRET_FILE: stat " + missing},
		{"", missing, "", "", "", "NSQD_TCP_ADDRESSES_FILE: stat " + missing},
		{"", url, "", secret, "", "NSQ_AUTH_SECRET_FILE and the URL of NSQD_TCP_ADDRESSES_FILE both have a secret"},
		{"", secret, "", "", "", "NSQD_TCP_ADDRESSES_FILE: address"},
	} {
		t.Setenv(client.EnvLookupds, "")
		t.Setenv(client.EnvNSQDs, row.nsqds)
		t.Setenv(client.EnvNSQDs+"_FILE", row.nsqdsFile)
		t.Setenv(client.EnvAuthSecret, row.secret)
		t.Setenv(client.EnvAuthSecret+"_FILE", row.secretFile)
		c, err := client.FromEnv()
		if row.err != "" {
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%+v: %v", row, err)
			}
			continue
		}
		got := ""
		if err == nil && c.Client.AuthSecret != nil {
			got = c.Client.AuthSecret()
		}
		if err != nil || !slices.Equal(c.NSQDs, []string{"a:4150"}) || got != row.want {
			t.Errorf("%+v: %v %q, %v", row, c.NSQDs, got, err)
		}
	}
}
