package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/admin"
)

// adminSettings are what the nsqadmin role is told by its flags, the environment
// and the config file.
type adminSettings struct {
	common
	o admin.Options

	tlsCert, tlsKey, tlsRoot string
	tlsBlind                 bool
}

// newAdminFlags makes the flags of the nsqadmin role. Names and defaults are
// nsqadmin's where it has the flag.
func newAdminFlags(s *adminSettings) *flag.FlagSet {
	fs := s.common.flags("nsqadmin")
	o := &s.o
	fs.StringVar(&o.HTTPAddress, "http-address", "0.0.0.0:4171", "`host:port`, or path of a unix socket, where the page is served")
	fs.StringVar(&o.BasePath, "base-path", "/", "`path` under which it is served, for a proxy in front")
	fs.Var((*words)(&o.Hosts), "proxy-host", "host `name` under which a proxy in front serves it, if it passes that on. May be given many times")
	fs.Var((*words)(&o.LookupdHTTPAddresses), "lookupd-http-address", "`host:port` of an nsqlookupd to ask. May be given many times")
	fs.Var((*words)(&o.NSQDHTTPAddresses), "nsqd-http-address", "`host:port` of an nsqd to ask, where there is no nsqlookupd. May be given many times")
	fs.BoolVar(&o.ReadOnly, "read-only", false, "show everything, change nothing")
	fs.Var((*words)(&o.AdminUsers), "admin-user", "`name` of somebody who may change something; without any, everybody may. May be given many times")
	fs.StringVar(&o.ACLHTTPHeader, "acl-http-header", "X-Forwarded-User", "`header` in which a proxy in front says who it is")
	fs.StringVar(&o.NotificationEndpoint, "notification-http-endpoint", "", "`URL` that is sent a POST for each change")
	fs.StringVar(&o.AllowConfigFromCIDR, "allow-config-from-cidr", "127.0.0.1/8", "`network` from which /config is answered")
	fs.DurationVar(&o.ConnectTimeout, "http-client-connect-timeout", 2*time.Second, "for reaching a server")
	fs.DurationVar(&o.RequestTimeout, "http-client-request-timeout", 5*time.Second, "for its whole answer")
	fs.StringVar(&o.Secret, "auth-secret", "", "what AUTH of nsqd-lite asks for over HTTP, sent to all servers")
	fs.StringVar(&s.tlsCert, "http-client-tls-cert", "", "`path` of a certificate to show to servers, PEM")
	fs.StringVar(&s.tlsKey, "http-client-tls-key", "", "`path` of its key")
	fs.StringVar(&s.tlsRoot, "http-client-tls-root-ca-file", "", "`path` of the authorities that vouch for servers, PEM")
	fs.BoolVar(&s.tlsBlind, "http-client-tls-insecure-skip-verify", false, "take any certificate of a server")
	fs.StringVar(&o.GraphiteURL, "graphite-url", "", "`URL` of a Graphite server, for /api/graphite and /render")
	fs.BoolVar(&o.ProxyGraphite, "proxy-graphite", false, "pass /render on to it")
	fs.StringVar(&o.StatsdPrefix, "statsd-prefix", "nsq.%s", "what nsqd's --statsd-prefix is")
	fs.StringVar(&o.StatsdCounterFormat, "statsd-counter-format", "stats.counters.%s.count", "how statsd names counters")
	fs.StringVar(&o.StatsdGaugeFormat, "statsd-gauge-format", "stats.gauges.%s", "how statsd names gauges")
	fs.DurationVar(&o.StatsdInterval, "statsd-interval", time.Minute, "what nsqd's --statsd-interval is")
	fs.String("dev-static-dir", "", "accepted, no effect")
	return fs
}

// check looks at what nsqadmin looks at, and reads what has to be read.
func (s *adminSettings) check(fs *flag.FlagSet) error {
	err := positive(fs, "http-client-connect-timeout", "http-client-request-timeout", "statsd-interval", "drain-timeout")
	if err != nil {
		return err
	}
	s.o.TLS, err = s.tls()
	return err
}

// checkServers looks at whom the role is to ask.
func (s *adminSettings) checkServers() error {
	switch lookupds, nsqds := len(s.o.LookupdHTTPAddresses), len(s.o.NSQDHTTPAddresses); {
	case lookupds == 0 && nsqds == 0:
		return errors.New("--nsqd-http-address or --lookupd-http-address required")
	case lookupds > 0 && nsqds > 0:
		return errors.New("use --nsqd-http-address or --lookupd-http-address not both")
	}
	return nil
}

// tls is how servers are asked that want HTTPS, nil for Go's way.
func (s *adminSettings) tls() (*tls.Config, error) {
	if s.tlsCert == "" && s.tlsKey == "" && s.tlsRoot == "" && !s.tlsBlind {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.tlsBlind}
	if s.tlsCert != "" || s.tlsKey != "" {
		pair, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
		if err != nil {
			return nil, fmt.Errorf("--http-client-tls-cert and --http-client-tls-key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if s.tlsRoot != "" {
		text, err := os.ReadFile(s.tlsRoot)
		if err != nil {
			return nil, fmt.Errorf("--http-client-tls-root-ca-file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--http-client-tls-root-ca-file: %s has no certificate", s.tlsRoot)
		}
	}
	return c, nil
}

// start starts the admin page.
func (s *adminSettings) start(log *slog.Logger, level *slog.LevelVar) (*admin.Admin, error) {
	s.o.Logger, s.o.LogLevel, s.o.LiteVersion = log, level, liteVersion
	s.o.HTTPAddress = address(s.o.HTTPAddress)
	return admin.Start(s.o)
}

// runAdmin plays nsqadmin: its flags, its log, its exit codes.
func runAdmin(p process, args []string) int {
	const role = "nsqadmin"
	s := new(adminSettings)
	fs := newAdminFlags(s)
	from, warnings, code, err := parse(p, fs, args, &s.common)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err == nil && !s.version {
		if err = s.check(fs); err == nil {
			err = s.checkServers()
		}
	}
	if err == nil && s.checkConfig {
		err = s.o.Check()
	}
	if err != nil {
		return p.misused(role, err, code)
	}
	if s.version {
		fmt.Fprintln(p.stdout, roleBanner(role))
		return exitOK
	}
	if s.checkConfig {
		return p.checked(role, listing(fs, from), warnings)
	}
	level := new(slog.LevelVar)
	level.Set(slog.Level(s.level))
	log := slog.New(newLogHandler(p.stderr, s.logPrefix, level))
	stopping, release := signal.NotifyContext(context.Background(), stopSignals...)
	defer release()

	log.Info(roleBanner(role), "lite_version", liteVersion)
	for _, w := range warnings {
		log.Warn(w)
	}
	a, err := s.start(log, level)
	if err != nil {
		text, code := explainAdmin(err, &s.o, role)
		log.Log(context.Background(), server.LevelFatal, text)
		return code
	}
	http := addrText(a.Addr())
	log.Info("HTTP: listening on " + http) // nsqadmin's words
	log.Info("ready", "role", role, "http", http)

	<-stopping.Done()
	return stop(p, []part{a}, s.drain, log, release)
}

// explainAdmin turns the error of a start into a sentence with a way out, and
// into the exit code of the role.
func explainAdmin(err error, o *admin.Options, role string) (text string, code int) {
	const nsqadmin = "failed to instantiate nsqadmin - "
	code = exitFailed
	if role != "nsqadmin" {
		code = exitOccupied
	}
	if cause := unbindable(o.HTTPAddress); cause != nil {
		return fmt.Sprintf("%slisten (%s) failed - %v; %s", nsqadmin, o.HTTPAddress, cause, wayOut(role, "nsqadmin", "http-address", o.HTTPAddress)), code
	}
	return nsqadmin + err.Error(), exitFailed
}

// startBeside starts the admin page of a server without flags. It asks those in
// its own process, besides any that it is told. It is nil when its address is
// empty, or when nobody can be asked.
func (s *adminSettings) startBeside(srv *server.Server, beside *server.Lookupd, log *slog.Logger, level *slog.LevelVar) (*admin.Admin, error) {
	if s.o.HTTPAddress == "" {
		return nil, nil
	}
	if addr := beside.HTTPAddr(); addr != nil {
		s.o.LookupdHTTPAddresses = append([]string{reachable(addr.String())}, s.o.LookupdHTTPAddresses...)
	}
	if addr := srv.HTTPAddr(); addr != nil {
		s.o.NSQDHTTPAddresses = append([]string{reachable(addr.String())}, s.o.NSQDHTTPAddresses...)
	}
	if len(s.o.LookupdHTTPAddresses) == 0 && len(s.o.NSQDHTTPAddresses) == 0 {
		log.Info("admin page: off, because neither the server nor the nsqlookupd has an HTTP address")
		return nil, nil
	}
	return s.start(log, level)
}
