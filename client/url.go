package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/nsqloop/nsqloop/internal/option"
)

// The environment variables that FromEnv reads.
const (
	EnvNSQDs      = "NSQD_TCP_ADDRESSES"
	EnvLookupds   = "NSQ_LOOKUPD_HTTP_ADDRESSES"
	EnvAuthSecret = "NSQ_AUTH_SECRET"
)

// Cluster says where NSQ is and how connections introduce themselves. Its fields
// go into those of reader.Options and writer.Options that have the same names.
type Cluster struct {
	NSQDs    []string // "host:port" of nsqds
	Lookupds []string // "host:port" or URLs of nsqlookupds
	Client   Options
}

// ParseURL reads a URL such as
//
//	nsq://orders:s3cret@nsqd-1:4150,nsqd-2:4150?snappy=1&tls_root_ca_file=ca.pem
//
// It names one nsqd or several; a port that is missing is 4150. Before the @
// stand Options.ClientID and, after the colon, what Options.AuthSecret returns,
// both optional and percent-encoded where that is needed. Behind the question
// mark are options as Options.Set takes them. Errors do not repeat the secret.
func ParseURL(text string) (Cluster, error) {
	var c Cluster
	err := c.parse(text)
	if err != nil {
		return Cluster{}, fmt.Errorf("URL %s: %w", withoutSecret(text), err)
	}
	return c, nil
}

func (c *Cluster) parse(text string) error {
	rest, ok := strings.CutPrefix(text, "nsq://")
	if !ok {
		return errors.New("want nsq://host:port, with options as in ?snappy=1")
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts := strings.TrimSuffix(rest, "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		hosts = strings.TrimSuffix(rest[i+1:], "/")
		if err := c.introduce(rest[:i]); err != nil {
			return err
		}
	}
	for _, addr := range strings.Split(hosts, ",") {
		if _, _, err := net.SplitHostPort(addr); err != nil && addr != "" {
			addr = net.JoinHostPort(strings.Trim(addr, "[]"), "4150")
		}
		if err := CheckAddr(addr); err != nil {
			return err
		}
		c.NSQDs = append(c.NSQDs, addr)
	}
	return c.choose(query)
}

// introduce takes what stands before the @.
func (c *Cluster) introduce(who string) error {
	name, secret, _ := strings.Cut(who, ":")
	var err error
	if c.Client.ClientID, err = url.PathUnescape(name); err != nil {
		return errors.New("the name before the @ is not percent-encoded")
	}
	if secret, err = url.PathUnescape(secret); err != nil {
		return errors.New("the secret before the @ is not percent-encoded")
	}
	if secret != "" {
		c.Client.AuthSecret = func() string { return secret }
	}
	return nil
}

// choose takes the options behind the question mark, in their order.
func (c *Cluster) choose(query string) error {
	for _, pair := range strings.Split(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(value)
		if err != nil {
			return fmt.Errorf("option %s is not percent-encoded", name)
		}
		if err := c.Client.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// withoutSecret is a URL that can be shown: without its options, and without
// what stands before the @.
func withoutSecret(text string) string {
	text, _, _ = strings.Cut(text, "?")
	i := strings.LastIndexByte(text, '@')
	if i < 0 {
		return fmt.Sprintf("%.80q", text)
	}
	scheme := ""
	if j := strings.Index(text, "://"); j >= 0 && j < i {
		scheme = text[:j+3]
	}
	return fmt.Sprintf("%.80q", scheme+"..."+text[i:])
}

// FromEnv reads where NSQ is from the environment, so that a program needs no
// flags for it: NSQD_TCP_ADDRESSES has addresses of nsqds with commas between
// them, or one URL as ParseURL takes it, and NSQ_LOOKUPD_HTTP_ADDRESSES has
// addresses of nsqlookupds with commas between them. One of the two must be
// set. NSQ_AUTH_SECRET is what Options.AuthSecret returns, where no URL has it.
//
// A variable that is empty is not set. For NSQD_TCP_ADDRESSES and
// NSQ_AUTH_SECRET there may instead be NSQD_TCP_ADDRESSES_FILE and
// NSQ_AUTH_SECRET_FILE: paths of files of up to 64 KiB, read once, in which the
// value stands with or without a newline at its end. Errors do not repeat
// secrets.
func FromEnv() (Cluster, error) {
	var c Cluster
	nsqds, source, _, err := option.Secret(filled, EnvNSQDs)
	if err != nil {
		return Cluster{}, err
	}
	nsqds = strings.TrimSpace(nsqds)
	if strings.Contains(nsqds, "://") {
		if c, err = ParseURL(nsqds); err != nil {
			return Cluster{}, fmt.Errorf("%s: %w", source, err)
		}
	} else {
		c.NSQDs = list(nsqds)
		for _, addr := range c.NSQDs {
			if err := CheckAddr(addr); err != nil {
				return Cluster{}, fmt.Errorf("%s: %w", source, err)
			}
		}
	}
	c.Lookupds = list(os.Getenv(EnvLookupds))
	if len(c.NSQDs) == 0 && len(c.Lookupds) == 0 {
		return Cluster{}, fmt.Errorf("the environment does not say where NSQ is: set %s (host:port,...) or %s", EnvNSQDs, EnvLookupds)
	}
	secret, said, ok, err := option.Secret(filled, EnvAuthSecret)
	switch {
	case err != nil:
		return Cluster{}, err
	case ok && c.Client.AuthSecret != nil:
		return Cluster{}, fmt.Errorf("%s and the URL of %s both have a secret; one of them says it", said, source)
	case ok:
		c.Client.AuthSecret = func() string { return secret }
	}
	return c, nil
}

// filled is a variable that is not empty.
func filled(name string) (string, bool) {
	value := os.Getenv(name)
	return value, value != ""
}

// list is what stands between the commas of text.
func list(text string) []string {
	var all []string
	for _, s := range strings.Split(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}
