package admin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"
)

// Options are the options of an Admin. The zero value of each field is the
// default that its comment names, which is nsqadmin's unless it says otherwise.
type Options struct {
	// HTTPAddress is where the page is served: "host:port", port 0 for a
	// free one, or the path of a unix socket. "" listens nowhere; Handler
	// serves the page elsewhere.
	HTTPAddress string

	// BasePath is the path under which everything is served, for a proxy
	// that shares one host name. Default "/".
	BasePath string

	// Hosts are host names under which a proxy in front serves the page, when
	// it passes them on. A page on loopback takes changes only under names of
	// this machine and these.
	Hosts []string

	// LookupdHTTPAddresses are nsqlookupds, "host:port" or URLs, which know
	// the nsqds. NSQDHTTPAddresses are nsqds. At least one of the two is
	// needed. nsqadmin takes one kind alone.
	LookupdHTTPAddresses []string
	NSQDHTTPAddresses    []string

	// ConnectTimeout and RequestTimeout bound a request to one of them.
	// Defaults 2 s, 5 s.
	ConnectTimeout time.Duration
	RequestTimeout time.Duration

	// Secret is what AUTH of nsqd-lite asks for over HTTP, sent to all
	// servers as a bearer's token. Whoever may see the page sees with its
	// rights. Default: none.
	Secret string

	// TLS is used where a server wants HTTPS. nil is Go's default.
	TLS *tls.Config

	// ReadOnly refuses whatever would change something.
	ReadOnly bool

	// AdminUsers, when there are any, are who may change something: those
	// whom a proxy in front names in the header ACLHTTPHeader. Default of the
	// header: X-Forwarded-User. Everybody may look.
	AdminUsers    []string
	ACLHTTPHeader string

	// NotificationEndpoint is a URL that is sent a POST for each change.
	// Default: none. At most 64 wait to be sent; further ones are dropped and
	// logged.
	NotificationEndpoint string

	// AllowConfigFromCIDR is the network from which /config is answered.
	// Default 127.0.0.1/8.
	AllowConfigFromCIDR string

	// GraphiteURL is a Graphite server, ProxyGraphite passes /render on to
	// it. The others say how statsd names what nsqds send. Defaults
	// "nsq.%s", "stats.counters.%s.count", "stats.gauges.%s", 60 s.
	GraphiteURL         string
	ProxyGraphite       bool
	StatsdPrefix        string
	StatsdCounterFormat string
	StatsdGaugeFormat   string
	StatsdInterval      time.Duration

	// LiteVersion is the version of this program.
	LiteVersion string

	// LogLevel, when set, is the level at which Logger's handler writes; it
	// is changed by /config/log_level.
	LogLevel *slog.LevelVar

	// Logger receives what an operator wants to know: each change, with who
	// made it. nil is silence.
	Logger *slog.Logger

	configFrom netip.Prefix
}

// Check says what New would find wrong with the options. It opens nothing.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// withDefaults fills in the defaults and checks what can be checked.
func (o Options) withDefaults() (Options, error) {
	fill(&o.ConnectTimeout, 2*time.Second)
	fill(&o.RequestTimeout, 5*time.Second)
	fill(&o.ACLHTTPHeader, "X-Forwarded-User")
	fill(&o.AllowConfigFromCIDR, "127.0.0.1/8")
	fill(&o.StatsdPrefix, "nsq.%s")
	fill(&o.StatsdCounterFormat, "stats.counters.%s.count")
	fill(&o.StatsdGaugeFormat, "stats.gauges.%s")
	fill(&o.StatsdInterval, time.Minute)
	fill(&o.Logger, slog.New(slog.DiscardHandler))
	if o.ConnectTimeout < 0 || o.RequestTimeout < 0 || o.StatsdInterval < 0 {
		return o, errors.New("admin options: a time is negative")
	}
	if len(o.LookupdHTTPAddresses) == 0 && len(o.NSQDHTTPAddresses) == 0 {
		return o, errors.New("admin options: there is neither an nsqlookupd nor an nsqd to ask; name one in LookupdHTTPAddresses or NSQDHTTPAddresses")
	}
	for _, addr := range append(append([]string{}, o.LookupdHTTPAddresses...), o.NSQDHTTPAddresses...) {
		if _, err := baseOf(addr); err != nil {
			return o, fmt.Errorf("admin options: %w", err)
		}
	}
	base, err := basePath(o.BasePath)
	if err != nil {
		return o, err
	}
	o.BasePath = base
	if o.configFrom, err = netip.ParsePrefix(o.AllowConfigFromCIDR); err != nil {
		return o, fmt.Errorf("admin options: AllowConfigFromCIDR: %w", err)
	}
	for name, text := range map[string]string{"NotificationEndpoint": o.NotificationEndpoint, "GraphiteURL": o.GraphiteURL} {
		if u, err := url.Parse(text); err != nil || text != "" && u.Host == "" {
			return o, fmt.Errorf("admin options: %s: %q is no URL", name, text)
		}
	}
	if o.ProxyGraphite && o.GraphiteURL == "" {
		return o, errors.New("admin options: ProxyGraphite needs GraphiteURL")
	}
	return o, nil
}

// basePath is a base path with a slash at both ends. It is written into the
// page, so nothing is let through that would need to be escaped there.
func basePath(p string) (string, error) {
	for _, c := range p {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._~-", c) {
			return "", fmt.Errorf("admin options: BasePath %q: only letters, digits and / . _ ~ - are possible", p)
		}
	}
	p = path.Clean("/" + p)
	if p != "/" {
		p += "/"
	}
	return p, nil
}

// fill sets a field that was left out.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
