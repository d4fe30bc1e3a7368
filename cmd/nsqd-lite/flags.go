package main

import (
	"crypto/md5"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/internal/option"
	"github.com/nsqloop/nsqloop/server"
)

// settings are what the nsqd role is told by its flags, the environment and
// the config file.
type settings struct {
	common
	o        server.Options
	dataPath string
	sync     string
	nodeID   int
	lookupd  *lookupdSettings // nil: none beside it
	admin    *adminSettings   // the same

	reload  func() (*settings, error) // what SIGHUP reads again; nil: nothing
	listing string                    // what --check-config prints

	statsdMemory   bool
	channelMetrics bool
	experiments    words

	snappy  bool
	deflate bool
}

// memoryPath as the data path keeps everything in memory.
const memoryPath = ":memory:"

// newFlags makes the flags of the nsqd role. Names and defaults are nsqd's
// where nsqd has the flag.
func newFlags(s *settings) *flag.FlagSet {
	fs := s.common.flags("nsqd")
	fs.IntVar(&s.nodeID, "node-id", defaultNodeID(), "number of this node, 0 to 1023")

	o := &s.o
	fs.StringVar(&o.TCPAddress, "tcp-address", "0.0.0.0:4150", "`host:port`, or path of a unix socket, for clients")
	fs.StringVar(&o.HTTPAddress, "http-address", "0.0.0.0:4151", "the same for the HTTP API; empty for none")
	fs.IntVar(&o.HTTPMaxConns, "http-max-connections", 4096, "HTTP connections served at once")
	fs.BoolVar(&o.DebugRemote, "debug-remote", false, "show /debug/pprof to other machines too")
	fs.StringVar(&o.BroadcastAddress, "broadcast-address", "", "host name told to others (default this machine's)")
	fs.IntVar(&o.BroadcastTCPPort, "broadcast-tcp-port", 0, "TCP port told to others (default the one listened on)")
	fs.IntVar(&o.BroadcastHTTPPort, "broadcast-http-port", 0, "HTTP port told to others (default the one listened on)")
	fs.Var((*words)(&o.LookupdTCPAddresses), "lookupd-tcp-address", "`host:port` of an nsqlookupd to register with. May be given many times")
	fs.StringVar(&o.TopologyRegion, "topology-region", "", "region in which the server stands")
	fs.StringVar(&o.TopologyZone, "topology-zone", "", "zone in which the server stands")

	fs.StringVar(&s.dataPath, "data-path", "", "existing directory for messages, or "+memoryPath+" (default the current directory)")
	fs.StringVar(&s.sync, "sync", string(server.SyncInterval), "when messages are forced to the disk: never, interval (each --sync-timeout) or always (before the OK)")
	fs.DurationVar(&o.SyncTimeout, "sync-timeout", time.Second, "the interval of --sync=interval")
	fs.IntVar(&o.MemQueueSize, "mem-queue-size", 10000, "how much of a depth /stats shows as memory; bound of ephemeral channels")
	fs.Int64Var(&o.MaxBytesPerFile, "max-bytes-per-file", 100<<20, "size of a journal's files")
	fs.DurationVar(&o.RetainAge, "retain-age", 0, "how long finished files of messages are kept (default not at all)")
	fs.Int64Var(&o.RetainBytes, "retain-bytes", 0, "how many bytes of a topic's files are kept when they are finished (default none)")

	fs.DurationVar(&o.MsgTimeout, "msg-timeout", time.Minute, "time for answering a message, unless the client asks for another")
	fs.DurationVar(&o.MaxMsgTimeout, "max-msg-timeout", 15*time.Minute, "the most that a client may ask for")
	fs.IntVar(&o.MaxMsgSize, "max-msg-size", 1<<20, "bytes of one message")
	fs.IntVar(&o.MaxBodySize, "max-body-size", 5<<20, "bytes of one command's body")
	fs.DurationVar(&o.MaxReqTimeout, "max-req-timeout", time.Hour, "the longest delay of a message")
	fs.DurationVar(&o.MaxHeartbeatInterval, "max-heartbeat-interval", time.Minute, "the longest a client may ask for")
	fs.IntVar(&o.MaxRdyCount, "max-rdy-count", 2500, "the highest ready count")
	fs.IntVar(&o.MaxOutputBufferSize, "max-output-buffer-size", 64<<10, "the most that a client may ask for")
	fs.DurationVar(&o.MaxOutputBufferTimeout, "max-output-buffer-timeout", 30*time.Second, "the most that a client may ask for")
	fs.DurationVar(&o.MinOutputBufferTimeout, "min-output-buffer-timeout", 25*time.Millisecond, "the least that a client may ask for")
	fs.DurationVar(&o.OutputBufferTimeout, "output-buffer-timeout", 250*time.Millisecond, "what a client has that does not ask")
	fs.IntVar(&o.MaxChannelConsumers, "max-channel-consumers", 0, "subscribers of one channel, 0 for any number")
	fs.Int64Var(&o.MaxMemory, "max-memory", 512<<20, "bytes held for all clients together: unfinished input, unread output, HTTP bodies, messages not in files")
	fs.IntVar(&o.MaxTopicsPerClient, "max-topics-per-client", 10_000, "topics made by one address that are there at the same time")
	fs.IntVar(&o.MaxChannelsPerClient, "max-channels-per-client", 50_000, "the same for channels")
	fs.BoolVar(&o.RequeueOnDisconnect, "requeue-on-disconnect", false, "give the messages of a client that has gone to others at once")
	s.tlsFlags(fs)
	fs.BoolVar(&s.snappy, "snappy", true, "let clients compress with snappy")
	fs.BoolVar(&s.deflate, "deflate", true, "let clients compress with deflate")
	fs.IntVar(&o.MaxDeflateLevel, "max-deflate-level", 6, "the most that a client may ask for, 1 to 9")
	fs.Var(&s.experiments, "enable-experiment", topologyExperiment+": prefer consumers in this server's zone, then in its region")
	s.authFlags(fs)
	s.measureFlags(fs)
	s.idleFlags(fs)
	return fs
}

// idleFlags are flags of nsqd that mean nothing here. Scripts and test suites pass them.
func (s *settings) idleFlags(fs *flag.FlagSet) {
	fs.Bool("worker-id", false, "accepted, no effect")
	fs.Int("sync-every", 2500, "accepted, no effect: --sync says when")
	fs.Int("queue-scan-worker-pool-max", 4, "accepted, no effect: timeouts are exact")
	fs.Int("queue-scan-selection-count", 20, "accepted, no effect: timeouts are exact")
}

// logLevel is the value of --log-level.
type logLevel slog.Level

// Set is flag.Value's.
func (l *logLevel) Set(v string) error {
	level, ok := server.ParseLogLevel(v)
	if !ok {
		return errors.New("must be debug, info, warn, error or fatal")
	}
	*l = logLevel(level)
	return nil
}

// String is flag.Value's.
func (l *logLevel) String() string { return strings.ToLower(levelName(slog.Level(*l))) }

// Get is flag.Getter's.
func (l *logLevel) Get() any { return l.String() }

// floats is a list of numbers, separated by commas or given one by one.
type floats []float64

// Set is flag.Value's.
func (f *floats) Set(v string) error {
	for _, part := range strings.Split(v, ",") {
		n, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil {
			return errors.New("must be numbers")
		}
		*f = append(*f, n)
	}
	return nil
}

// String is flag.Value's.
func (f *floats) String() string {
	all := make([]string, len(*f))
	for i, v := range *f {
		all[i] = strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strings.Join(all, ",")
}

// Get is flag.Getter's.
func (f *floats) Get() any { return []float64(*f) }

// parseFlags reads the flags of the nsqd role, and checks them. warnings are
// for the log. The returned code is the exit code that goes with err.
func parseFlags(p process, args []string) (s *settings, warnings []string, code int, err error) {
	s = new(settings)
	fs := newFlags(s)
	from, warnings, code, err := parse(p, fs, args, &s.common)
	if err != nil || s.version {
		return s, nil, code, err
	}
	if s.o.Strict {
		err := strictly(fs, from, map[string]string{
			"tcp-address": "127.0.0.1:4150", "http-address": "127.0.0.1:4151", "https-address": "127.0.0.1:4152",
			"auth-http-request-method": "post",
		})
		if err != nil {
			return s, warnings, exitUsage, err
		}
	}
	s.o.ConfigSources = from.byKey(fs)
	if s.checkConfig {
		s.listing = listing(fs, from) // check may put the server's words for them
	} else if err := s.inherit(p, from); err != nil {
		return s, warnings, exitUsage, err
	}
	err = s.check(fs)
	if err == nil && s.checkConfig {
		err = s.o.Check()
	}
	return s, warnings, code, err
}

// parse reads the command line, then the environment, then the config file:
// what is set by an earlier one is not touched by a later one. from says which
// of them set what. c is where the flags that all roles have keep their values.
// code is the exit code that goes with err, or with an error that is found later.
func parse(p process, fs *flag.FlagSet, args []string, c *common) (from sources, warnings []string, code int, err error) {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(p.stderr)
			fmt.Fprintf(p.stderr, "Usage of %s:\n", fs.Name())
			fs.PrintDefaults()
			return nil, nil, exitOK, err
		}
		return nil, nil, exitUsage, fmt.Errorf("%w%s", err, nearestGoFlag(fs, err))
	}
	if fs.NArg() > 0 {
		return nil, nil, exitUsage, fmt.Errorf("unexpected argument %q; a flag's value follows =, as in --verbose=true", fs.Arg(0))
	}
	if c.version {
		return nil, nil, exitOK, nil
	}
	from = sources{}
	fs.Visit(func(f *flag.Flag) { from[f.Name] = fromLine })
	if err := fromEnvironment(fs, from, p.getenv); err != nil {
		return nil, nil, exitUsage, err
	}
	code = exitFailed
	if c.checkConfig {
		code = exitUsage
	}
	if c.config != "" {
		if warnings, err = fromFile(fs, from, c.config); err != nil {
			return nil, nil, code, err
		}
	}
	return from, warnings, code, nil
}

// variable is the environment variable of a role's flag, as in
// NSQD_TCP_ADDRESS.
func variable(role, flagName string) string {
	return strings.ToUpper(role + "_" + strings.ReplaceAll(flagName, "-", "_"))
}

// secrets are the flags, of any role, whose values nobody shows. Their variables
// may also name a file: NSQADMIN_AUTH_SECRET_FILE.
var secrets = map[string]bool{
	"auth-secret":                true,
	"notification-http-endpoint": true, // such addresses are often all that lets one in
}

// fromEnvironment sets the flags that have no source yet from the variables of
// their role.
func fromEnvironment(fs *flag.FlagSet, from sources, getenv func(string) (string, bool)) error {
	var err error
	fs.VisitAll(func(f *flag.Flag) {
		if from[f.Name] != "" || f.Name == "version" || f.Name == "check-config" || err != nil {
			return
		}
		name := variable(fs.Name(), f.Name)
		value, ok := getenv(name)
		if secrets[f.Name] {
			value, name, ok, err = option.Secret(getenv, name)
		}
		if !ok {
			return
		}
		from[f.Name] = name
		if bad := fs.Set(f.Name, value); bad != nil {
			err = fmt.Errorf("invalid value %q for %s: %w", value, name, bad)
		}
	})
	return err
}

// positive names the first of the flags that is not more than 0. To a server,
// zero means the default; somebody who types it means less.
func positive(fs *flag.FlagSet, names ...string) error {
	for _, name := range names {
		if v := fs.Lookup(name).Value.String(); v == "0" || v == "0s" || strings.HasPrefix(v, "-") {
			return fmt.Errorf("--%s must be more than 0", name)
		}
	}
	return nil
}

// check looks at what nsqd looks at, and at what would not mean what it says.
func (s *settings) check(fs *flag.FlagSet) error {
	if s.nodeID < 0 || s.nodeID >= 1024 {
		return errors.New("--node-id must be [0,1024)")
	}
	if s.o.MaxDeflateLevel < 1 || s.o.MaxDeflateLevel > 9 {
		return errors.New("--max-deflate-level must be [1,9]")
	}
	if err := s.checkOthers(); err != nil {
		return err
	}
	err := positive(fs,
		"sync-timeout", "max-bytes-per-file", "msg-timeout", "max-msg-timeout", "max-msg-size", "max-body-size",
		"max-req-timeout", "max-memory", "max-topics-per-client", "max-channels-per-client", "max-heartbeat-interval", "max-rdy-count", "max-output-buffer-size", "http-max-connections",
		"max-output-buffer-timeout", "min-output-buffer-timeout", "output-buffer-timeout", "drain-timeout",
		"http-client-connect-timeout", "http-client-request-timeout", "statsd-interval", "statsd-udp-packet-size", "e2e-processing-latency-window-time",
	)
	if err != nil {
		return err
	}
	if s.o.MemQueueSize == 0 {
		s.o.MemQueueSize = -1 // the server's word for none
	}
	if err := s.checkTLS(); err != nil {
		return err
	}
	s.o.ProgramConfig = map[string]any{}
	for _, name := range []string{
		"node-id", "log-prefix", "sync-every", "queue-scan-worker-pool-max", "queue-scan-selection-count",
		"http-max-connections", "debug-remote", "drain-timeout",
	} {
		f := fs.Lookup(name)
		s.o.ProgramConfig[configKey(f)] = f.Value.(flag.Getter).Get()
	}
	s.o.NoSnappy, s.o.NoDeflate = !s.snappy, !s.deflate
	s.o.Sync = server.Sync(s.sync)
	switch s.o.Sync {
	case server.SyncNever, server.SyncInterval, server.SyncAlways:
	default:
		return errors.New("--sync must be never, interval or always")
	}
	return nil
}

// defaultNodeID is nsqd's: the CRC of the MD5 of the machine's name.
func defaultNodeID() int {
	name, _ := os.Hostname() // without a name every machine has the same number; it is only shown
	sum := md5.Sum([]byte(name))
	return int(crc32.ChecksumIEEE(sum[:]) % 1024)
}
