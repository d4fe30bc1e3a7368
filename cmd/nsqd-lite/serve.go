package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/admin"
)

// liteDataPath is where a server without flags keeps its messages.
const liteDataPath = "./nsqd-data"

// runNSQD plays nsqd: its flags, its log, its exit codes.
func runNSQD(p process, args []string) int {
	s, warnings, code, err := parseFlags(p, args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return p.misused("nsqd", err, code)
	}
	if s.version {
		fmt.Fprintln(p.stdout, roleBanner("nsqd"))
		return exitOK
	}
	if s.checkConfig {
		return p.checked("nsqd", s.listing, warnings)
	}
	if s.config != "" {
		s.reload = func() (*settings, error) {
			again, _, _, err := parseFlags(p, args)
			return again, err
		}
	}
	s.o.DataPath = s.dataPath
	switch s.dataPath {
	case memoryPath:
		s.o.DataPath = ""
	case "":
		if s.o.DataPath, err = os.Getwd(); err != nil {
			fmt.Fprintf(p.stderr, "nsqd: --data-path: %v\n", err)
			return exitFailed
		}
	}
	return serve(p, s, "nsqd", warnings)
}

// runLite plays the server without flags, and an nsqlookupd and an admin page
// beside it: on loopback, with its own data path.
// Environment variables count all the same, as everywhere; NSQD_CONFIG names a
// file with the tables [nsqd], [nsqlookupd] and [nsqadmin].
func runLite(p process) int {
	s := new(settings)
	flags := newFlags(s)
	s.o.TCPAddress, s.o.HTTPAddress, s.o.HTTPSAddress = "127.0.0.1:4150", "127.0.0.1:4151", "127.0.0.1:4152"
	s.o.BroadcastAddress = "127.0.0.1"
	s.dataPath, s.logPrefix = liteDataPath, "[nsqd-lite] "
	s.lookupd = new(lookupdSettings)
	lookupdFlags := newLookupdFlags(s.lookupd)
	s.lookupd.o.TCPAddress, s.lookupd.o.HTTPAddress = "127.0.0.1:4160", "127.0.0.1:4161"
	s.lookupd.o.BroadcastAddress = "127.0.0.1"
	s.admin = new(adminSettings)
	adminFlags := newAdminFlags(s.admin)
	s.admin.o.HTTPAddress = "127.0.0.1:4171"
	if err := s.liteSources(p, flags, lookupdFlags, adminFlags); err != nil {
		fmt.Fprintf(p.stderr, "nsqd-lite: %v\n", err)
		return exitUsage
	}
	if s.dataPath != memoryPath {
		s.o.DataPath = s.dataPath
		switch err := os.Mkdir(s.dataPath, 0o700); {
		case err == nil:
			s.dataPath += " (created)"
		case !errors.Is(err, fs.ErrExist):
			fmt.Fprintf(p.stderr, "nsqd-lite: data path: %v; NSQD_DATA_PATH names another directory, or %s\n", err, memoryPath)
			return exitOccupied
		}
	}
	return serve(p, s, "nsqd-lite", nil)
}

// liteSources reads what a server without flags is told: by the environment, and
// by the config file that it names, which has a table for each role.
func (s *settings) liteSources(p process, flags, lookupdFlags, adminFlags *flag.FlagSet) error {
	from := map[*flag.FlagSet]sources{flags: {}, lookupdFlags: {}, adminFlags: {}}
	for fs, set := range from {
		if err := fromEnvironment(fs, set, p.getenv); err != nil {
			return err
		}
	}
	if s.config != "" {
		if err := fromTables(s.config, from); err != nil {
			return err
		}
	}
	s.o.ConfigSources = from[flags].byKey(flags)
	if err := s.check(flags); err != nil {
		return err
	}
	if err := s.lookupd.check(lookupdFlags); err != nil {
		return err
	}
	return s.admin.check(adminFlags)
}

// part is something that runs until it is stopped.
type part interface {
	Shutdown(ctx context.Context) error
	Close() error
}

// serve runs one server until a signal stops it.
func serve(p process, s *settings, role string, warnings []string) int {
	level := new(slog.LevelVar)
	level.Set(slog.Level(s.level))
	log := slog.New(newLogHandler(p.stderr, s.logPrefix, level))
	s.o.Logger, s.o.LogLevel, s.o.LiteVersion = log, level, liteVersion
	s.o.TCPAddress, s.o.HTTPAddress = address(s.o.TCPAddress), address(s.o.HTTPAddress)
	s.o.HTTPSAddress = address(s.o.HTTPSAddress)

	// Before anything that takes time: a signal during the start is a stop, too.
	stopping, release := signal.NotifyContext(context.Background(), stopSignals...)
	defer release()

	log.Info(roleBanner("nsqd"), "lite_version", liteVersion)
	log.Info(fmt.Sprintf("ID: %d", s.nodeID))
	for _, w := range warnings {
		log.Warn(w)
	}
	var others beside
	if s.lookupd != nil {
		d, err := s.lookupd.start(log)
		if err != nil {
			text, code := explainLookupd(err, &s.lookupd.o, role)
			log.Log(context.Background(), server.LevelFatal, text)
			return code
		}
		others.lookupd = d
		if addr := d.TCPAddr(); addr != nil {
			s.o.LookupdTCPAddresses = append([]string{addr.String()}, s.o.LookupdTCPAddresses...)
		}
	}
	svc := starting(p, log)
	held := s.o.MaxMemory
	if s.lookupd != nil {
		held += s.lookupd.o.MaxMemory
	}
	p.collectBeyond(held, nsqdRoom)
	srv, err := server.Start(s.o)
	if err != nil {
		svc.cancel()
		text, code := explain(err, &s.o, role)
		log.Log(context.Background(), server.LevelFatal, text)
		others.close()
		return code
	}
	if s.admin != nil {
		if others.page, err = s.admin.startBeside(srv, others.lookupd, log, level); err != nil {
			svc.cancel()
			text, code := explainAdmin(err, &s.admin.o, role)
			log.Log(context.Background(), server.LevelFatal, text)
			_ = srv.Close() // the process ends anyway
			others.close()
			return code
		}
	}
	defer onHangup(func() { svc.reload(s, srv, level) })()
	defer onDump(func() { dump(p, log) })()
	announce(p, s, srv, others, role, log)
	svc.ready(srv)

	<-stopping.Done()
	svc.stopping()
	return stop(p, others.parts(srv), s.drain, log, release)
}

// beside is what runs in a process besides its server. nil is none.
type beside struct {
	lookupd *server.Lookupd
	page    *admin.Admin
}

// parts are all that there is, in the order in which it is stopped: who asks
// goes before who answers.
func (b beside) parts(srv *server.Server) []part {
	var all []part
	if b.page != nil {
		all = append(all, b.page)
	}
	all = append(all, srv)
	if b.lookupd != nil {
		all = append(all, b.lookupd)
	}
	return all
}

// close ends it in a process that ends anyway.
func (b beside) close() {
	if b.lookupd != nil {
		_ = b.lookupd.Close()
	}
}

// address is what to listen on for a flag's value. To nsqd all that is not
// host:port is the path of a unix socket; to the server a path has a slash.
func address(v string) string {
	if _, _, err := net.SplitHostPort(v); v == "" || err == nil || strings.ContainsAny(v, "/@") {
		return v
	}
	return "./" + v
}

// stop ends the parts in order. A second signal ends the process at once; what
// has been acknowledged is in the journal by then. release gives the first
// signal's handler back.
func stop(p process, parts []part, drain time.Duration, log *slog.Logger, release func()) int {
	again, done := signal.NotifyContext(context.Background(), stopSignals...)
	defer done()
	release() // only now, so that no moment is without a handler
	cancel := context.AfterFunc(again, func() { p.exit(exitInterrupt) })
	defer cancel()

	log.Info("NSQ: stopping; a second signal does not wait")
	ctx, cut := context.WithTimeout(context.Background(), drain)
	defer cut()
	code := exitOK
	for _, x := range parts {
		switch err := x.Shutdown(ctx); {
		case ctx.Err() != nil:
			log.Error("NSQ: stop cut off", "drain_timeout", drain)
			if err := x.Close(); err != nil {
				log.Error("close", "err", err)
			}
			code = exitCutOff
		case err != nil:
			log.Error("NSQ: bye, but", "err", err)
			code = max(code, exitFailed)
		}
	}
	if code != exitOK {
		return code
	}
	log.Info("NSQ: bye")
	return exitOK
}

// explain turns the error of a start into a sentence with a way out, and into
// the exit code of the role.
func explain(err error, o *server.Options, role string) (text string, code int) {
	const nsqd = "failed to instantiate nsqd - " // what scripts look for in nsqd's log
	code = exitFailed
	if role != "nsqd" {
		code = exitOccupied
	}
	switch {
	case errors.Is(err, server.ErrLocked):
		return fmt.Sprintf("%sfailed to lock data-path: cannot flock directory %s - resource temporarily unavailable (possibly in use by another instance of nsqd)",
			nsqd, o.DataPath), code
	case errors.Is(err, fs.ErrNotExist) && o.DataPath != "" && missing(o.DataPath):
		return fmt.Sprintf("%sfailed to lock data-path: open %s: no such file or directory; make it, or name another with --data-path",
			nsqd, o.DataPath), code
	case errors.Is(err, server.ErrForeignData):
		return nsqd + err.Error() + "; or name an empty directory with --data-path", code
	}
	for _, l := range []struct{ flag, addr string }{
		{"tcp-address", o.TCPAddress},
		{"http-address", o.HTTPAddress},
		{"https-address", o.HTTPSAddress},
	} {
		if l.flag == "https-address" && o.TLSCert == "" {
			continue // it was not listened on
		}
		if cause := unbindable(l.addr); cause != nil {
			return fmt.Sprintf("%slisten (%s) failed - %v; %s", nsqd, l.addr, cause, wayOut(role, "nsqd", l.flag, l.addr)), code
		}
	}
	return nsqd + err.Error(), exitFailed
}

// wayOut says how to listen elsewhere. part is whose flag it is.
func wayOut(role, part, flagName, addr string) string {
	free := "127.0.0.1:0"
	if host, _, err := net.SplitHostPort(addr); err == nil {
		free = net.JoinHostPort(host, "0")
	}
	if role == part {
		return fmt.Sprintf("%s's --%s=%s picks a free port", part, flagName, free)
	}
	return fmt.Sprintf("%s's %s=%s in the environment picks a free port (the flag is %s's --%s)", role, variable(part, flagName), free, part, flagName)
}

// unbindable says why addr cannot be listened on. The server's own error does
// not always tell which of its addresses it means.
func unbindable(addr string) error {
	if addr == "" {
		return nil
	}
	network := "tcp"
	if _, _, err := net.SplitHostPort(addr); err != nil {
		network = "unix"
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	return l.Close()
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// announce says that the server is ready: to a person what there is and what
// to type next, to a log one line.
func announce(p process, s *settings, srv *server.Server, others beside, role string, log *slog.Logger) {
	tcp, http, https := addrText(srv.TCPAddr()), addrText(srv.HTTPAddr()), addrText(srv.HTTPSAddr())
	data := cmp.Or(s.dataPath, s.o.DataPath)
	for _, l := range []struct{ name, addr string }{{"TCP", tcp}, {"HTTP", http}, {"HTTPS", https}} {
		if l.addr != "" {
			log.Info(l.name + ": listening on " + l.addr) // nsqd's words
		}
	}
	if !p.terminal {
		args := []any{"role", role, "tcp", tcp, "http", http, "data", data, "sync", string(s.o.Sync)}
		if d := others.lookupd; d != nil {
			args = append(args, "lookup_tcp", addrText(d.TCPAddr()), "lookup_http", addrText(d.HTTPAddr()))
		}
		if others.page != nil {
			args = append(args, "admin_http", addrText(others.page.Addr()))
		}
		log.Info("ready", args...)
		return
	}
	p.banner(s, tcp, http, others)
}

// banner tells a person at a terminal what there is, and what to type next.
func (p process) banner(s *settings, tcp, http string, others beside) {
	data := cmp.Or(s.dataPath, s.o.DataPath)
	var b strings.Builder
	fmt.Fprintf(&b, "  nsqd-lite %s  data: %s\n", liteVersion, data)
	if tcp != "" {
		fmt.Fprintf(&b, "    publish, consume   tcp   %s\n", tcp)
	}
	if http != "" {
		fmt.Fprintf(&b, "    HTTP API           http  http://%s\n", http)
	}
	if d := others.lookupd; d != nil {
		fmt.Fprintf(&b, "    lookup             http  http://%s   (tcp %s)\n", addrText(d.HTTPAddr()), addrText(d.TCPAddr()))
	}
	if others.page != nil {
		fmt.Fprintf(&b, "    admin page         http  http://%s\n", addrText(others.page.Addr()))
	}
	if http != "" {
		fmt.Fprintf(&b, "  try:  curl -d 'hello world 1' 'http://%s/pub?topic=test'\n", reachable(http))
		at := ""
		if addr := reachable(http); addr != "127.0.0.1:4151" {
			at = " --nsqd-http-address=" + addr
		}
		fmt.Fprintf(&b, "        nsqd-lite tail test%s\n", at)
	}
	// Without a terminal to show it on, the server serves all the same.
	_, _ = p.stderr.Write([]byte(b.String()))
}

// addrText is an address for people, "" for none.
func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// reachable is an address to type for one that is listened on: every
// interface includes this machine's own.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
