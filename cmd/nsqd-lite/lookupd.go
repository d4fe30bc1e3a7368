package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os/signal"
	"time"

	"github.com/nsqloop/nsqloop/server"
)

// lookupdSettings are what the nsqlookupd role is told by its flags, the
// environment and the config file.
type lookupdSettings struct {
	common
	o server.LookupdOptions
}

// newLookupdFlags makes the flags of the nsqlookupd role. Names and defaults
// are nsqlookupd's where it has the flag.
func newLookupdFlags(s *lookupdSettings) *flag.FlagSet {
	fs := s.common.flags("nsqlookupd")
	o := &s.o
	fs.StringVar(&o.TCPAddress, "tcp-address", "0.0.0.0:4160", "`host:port`, or path of a unix socket, for nsqds")
	fs.StringVar(&o.HTTPAddress, "http-address", "0.0.0.0:4161", "the same for the HTTP API")
	fs.StringVar(&o.BroadcastAddress, "broadcast-address", "", "host name told to nsqds (default this machine's, if it leads here)")
	fs.DurationVar(&o.InactiveProducerTimeout, "inactive-producer-timeout", 5*time.Minute, "how long an nsqd is shown from which nothing is heard")
	fs.DurationVar(&o.TombstoneLifetime, "tombstone-lifetime", 45*time.Second, "how long a tombstone hides an nsqd")
	fs.IntVar(&o.MaxConns, "max-connections", 4096, "nsqds served at once")
	fs.IntVar(&o.MaxNames, "max-names", 100_000, "topics and channels of one nsqd")
	fs.IntVar(&o.MaxRegistrations, "max-registrations", 150_000, "topics and channels of all")
	fs.IntVar(&o.HTTPMaxConns, "http-max-connections", 4096, "HTTP connections served at once")
	fs.Int64Var(&o.MaxMemory, "max-memory", 40<<20, "bytes held for all peers together: registrations, unfinished input, replies")
	fs.BoolVar(&o.DebugRemote, "debug-remote", false, "show /debug/pprof to other machines too")
	fs.BoolVar(&o.Strict, "strict", false, "what nsqds have registered is changed from their machines alone; listen on loopback unless told where")
	return fs
}

// check looks at what would not mean what it says.
func (s *lookupdSettings) check(fs *flag.FlagSet) error {
	return positive(fs, "inactive-producer-timeout", "tombstone-lifetime", "max-connections", "max-names",
		"max-registrations", "max-memory", "http-max-connections", "drain-timeout")
}

// start starts the nsqlookupd.
func (s *lookupdSettings) start(log *slog.Logger) (*server.Lookupd, error) {
	s.o.Logger, s.o.LiteVersion = log, liteVersion
	s.o.TCPAddress, s.o.HTTPAddress = address(s.o.TCPAddress), address(s.o.HTTPAddress)
	return server.StartLookupd(s.o)
}

// runLookupd plays nsqlookupd: its flags, its log, its exit codes.
func runLookupd(p process, args []string) int {
	const role = "nsqlookupd"
	s := new(lookupdSettings)
	fs := newLookupdFlags(s)
	from, warnings, code, err := parse(p, fs, args, &s.common)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err == nil && s.o.Strict {
		err = strictly(fs, from, map[string]string{"tcp-address": "127.0.0.1:4160", "http-address": "127.0.0.1:4161"})
	}
	if err == nil && !s.version {
		err = s.check(fs)
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
	log := slog.New(newLogHandler(p.stderr, s.logPrefix, slog.Level(s.level)))
	stopping, release := signal.NotifyContext(context.Background(), stopSignals...)
	defer release()

	log.Info(roleBanner(role), "lite_version", liteVersion)
	for _, w := range warnings {
		log.Warn(w)
	}
	p.collectBeyond(s.o.MaxMemory, nsqlookupdRoom)
	d, err := s.start(log)
	if err != nil {
		text, code := explainLookupd(err, &s.o, role)
		log.Log(context.Background(), server.LevelFatal, text)
		return code
	}
	tcp, http := addrText(d.TCPAddr()), addrText(d.HTTPAddr())
	log.Info("TCP: listening on " + tcp) // nsqlookupd's words
	log.Info("HTTP: listening on " + http)
	log.Info("ready", "role", role, "tcp", tcp, "http", http)

	<-stopping.Done()
	return stop(p, []part{d}, s.drain, log, release)
}

// explainLookupd turns the error of a start into a sentence with a way out, and
// into the exit code of the role.
func explainLookupd(err error, o *server.LookupdOptions, role string) (text string, code int) {
	const nsqlookupd = "failed to instantiate nsqlookupd - "
	code = exitFailed
	if role != "nsqlookupd" {
		code = exitOccupied
	}
	for _, l := range []struct{ flag, addr string }{
		{"tcp-address", o.TCPAddress},
		{"http-address", o.HTTPAddress},
	} {
		if cause := unbindable(l.addr); cause != nil {
			return fmt.Sprintf("%slisten (%s) failed - %v; %s", nsqlookupd, l.addr, cause, wayOut(role, "nsqlookupd", l.flag, l.addr)), code
		}
	}
	return nsqlookupd + err.Error(), exitFailed
}
