package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sort"
	"time"

	"github.com/nsqloop/nsqloop/server/journal"
)

// Version is what clients are told: they parse it, and know what to expect of
// an nsqd of that version.
const Version = "1.3.0"

// Sync says when an acknowledged message is safe from a power loss. It is safe
// from a kill of the process in every mode.
type Sync string

// The sync modes.
const (
	SyncInterval Sync = "interval" // fsync each SyncTimeout in which something was written; the default
	SyncAlways   Sync = "always"   // publishers are answered after the fsync that covers their message
	SyncNever    Sync = "never"    // the operating system decides
)

// Options are the options of a Server. The zero value of each field is the
// default that its comment names, which is nsqd's unless it says otherwise.
type Options struct {
	// TCPAddress is where clients connect: "host:port", port 0 for a free
	// one, or the path of a unix socket. "" listens nowhere.
	TCPAddress string

	// HTTPAddress is where the HTTP API is served, in the same forms. ""
	// serves none.
	HTTPAddress string

	// HTTPSAddress is where the HTTP API is served inside TLS, in the same
	// forms. "" serves none, nor does a server without TLSCert.
	HTTPSAddress string

	// TLSCert and TLSKey are PEM files, with which TLS is offered to clients
	// that ask for it in IDENTIFY, and over HTTPSAddress. They are read again
	// when they have changed.
	TLSCert string
	TLSKey  string

	// TLSClientAuthPolicy says what clients must show: TLSRequireCert,
	// TLSRequireVerify or nothing.
	TLSClientAuthPolicy string

	// TLSRootCAFile is a PEM file of the authorities that vouch for clients.
	// Default: those that the system trusts.
	TLSRootCAFile string

	// TLSRequired refuses those who do not use TLS. Default: nobody, or
	// everybody when there is a TLSClientAuthPolicy.
	TLSRequired TLSRequired

	// TLSMinVersion is the least version spoken, as crypto/tls numbers them.
	// Default TLS 1.2 (nsqd: 1.0).
	TLSMinVersion uint16

	// NoSnappy and NoDeflate keep clients from compressing.
	NoSnappy  bool
	NoDeflate bool

	// DataPath is an existing directory that holds the journals; no two
	// servers share one. "" keeps everything in memory.
	DataPath string

	// Sync says when written messages are forced to the disk. Default
	// SyncInterval.
	Sync Sync

	// SyncTimeout is the interval of SyncInterval. Default 1 s (nsqd: 2 s).
	SyncTimeout time.Duration

	// MemQueueSize is how much of a depth /stats shows as being in memory,
	// and how many messages wait in an ephemeral channel before further ones
	// are dropped. It does not bound memory: waiting messages are in the
	// journal. Default 10000; negative: 0.
	MemQueueSize int

	// MaxBytesPerFile is the size at which a journal begins a new file.
	// Default 100 MiB.
	MaxBytesPerFile int64

	// RetainAge and RetainBytes keep what every channel has finished on the
	// disk, file by file of MaxBytesPerFile, so that channels can be set
	// back: until the last message of a file is that old, until all files of
	// the topic together are that large, or, when both are set, until either
	// comes true. The file being written always stays. Default 0 and 0: files
	// go when they are finished. Topics in memory keep nothing.
	RetainAge   time.Duration
	RetainBytes int64

	// MsgTimeout is how long a message may be in flight, unless the client
	// asks for something else. Default 60 s.
	MsgTimeout time.Duration

	// MaxMsgTimeout bounds what a client may ask for, and how long TOUCH can
	// keep a message in flight. Default 15 min.
	MaxMsgTimeout time.Duration

	// MaxMsgSize is the most bytes that a message's body may have. Default
	// 1 MiB.
	MaxMsgSize int

	// MaxBodySize is the most bytes that the body of IDENTIFY, AUTH and MPUB
	// may have. Default 5 MiB.
	MaxBodySize int

	// MaxReqTimeout is the longest delay of a message: a longer REQ is cut to
	// it, a longer DPUB refused. Default 1 h.
	MaxReqTimeout time.Duration

	// MaxHeartbeatInterval bounds what a client may ask for. Default 60 s.
	MaxHeartbeatInterval time.Duration

	// MaxRdyCount is the highest ready count that a client may set. Default
	// 2500.
	MaxRdyCount int

	// MaxOutputBufferSize bounds what a client may ask for. Default 64 KiB.
	// The size is accepted and echoed; output leaves at the end of every
	// turn of the loop whatever it is.
	MaxOutputBufferSize int

	// MinOutputBufferTimeout and MaxOutputBufferTimeout bound what a client
	// may ask for, and OutputBufferTimeout is what it has if it does not ask.
	// Defaults 25 ms, 30 s, 250 ms. Accepted and echoed, as the size is.
	MinOutputBufferTimeout time.Duration
	MaxOutputBufferTimeout time.Duration
	OutputBufferTimeout    time.Duration

	// MaxChannelConsumers is how many subscribers a channel takes. Default:
	// any number.
	MaxChannelConsumers int

	// MaxTopicsPerClient and MaxChannelsPerClient are how many topics and
	// channels the connections and HTTP requests of one address may have made
	// that are still there; the next one is refused. Of IPv6 the network, /64,
	// is one address, and so are all unix sockets. nsqd has no limits.
	// Defaults 10,000 and 50,000.
	MaxTopicsPerClient   int
	MaxChannelsPerClient int

	// MaxMemory is how many bytes are held for peers, all together:
	// unfinished commands, behind decompression, output that clients have not
	// read, bodies of HTTP requests, messages that are not in files, and what
	// connections, topics and channels cost by themselves. Beyond it a
	// publish is refused with E_PUB_FAILED or its kin, another command with
	// E_BAD_BODY, an HTTP request with 503, and clients that do not read are
	// closed; nothing that was acknowledged is lost. One address may have
	// half of it in unfinished commands, and all output together half of it.
	// At least 16 MiB. nsqd has no limit. Default 512 MiB. Garbage comes on
	// top: a program that wants to be held to it calls debug.SetMemoryLimit,
	// as nsqd-lite does.
	MaxMemory int64

	// MaxDeflateLevel bounds what a client may ask for, 1 to 9. Default 6.
	MaxDeflateLevel int

	// AuthHTTPAddresses are the auth servers, "host:port" or URLs. If there
	// is one, or AuthStatic, clients must send AUTH before they subscribe or
	// publish. HTTP is not protected by it, as in nsqd, unless Strict is set,
	// but for the routes that show messages, which nsqd does not have.
	AuthHTTPAddresses []string

	// AuthHTTPRequestMethod is how they are asked: "get" (the default), with
	// the secret in the address, or "post", the default with Strict.
	AuthHTTPRequestMethod string

	// AuthStatic is the path of a JSON file of secrets and what they are good
	// for: a list of what an auth server would reply, each with "secret"; a
	// "ttl" left out is 60 s. It is read when the server starts and, when it
	// has changed, at the next AUTH and as grants expire. What it does not
	// know the auth servers are asked, if there are any.
	AuthStatic string

	// Strict shuts the doors that stay open because tools of NSQ's go through
	// them:
	//
	//   - with AUTH on, HTTP needs a secret too, in the Authorization header,
	//     and what it is good for is looked at: "publish" and "subscribe" as
	//     in the protocol, and the permissions "admin" (to change and delete
	//     topics and channels), "stats", "config" and "debug", which nsqd does
	//     not know; only /ping answers everybody
	//   - patterns of topics and channels in grants match whole names
	//   - the grants of subscribers are asked for again before they expire:
	//     who has lost them is closed then
	//   - auth servers are asked by post, so that no secret is in an address
	//   - no option is changed over HTTP
	//   - HTTP requests must name this machine as their host, by an address,
	//     its name, localhost or BroadcastAddress
	//   - an IDENTIFY after an upgrade is refused
	//
	// Default: off, as in nsqd.
	Strict bool

	// HTTPClientConnectTimeout and HTTPClientRequestTimeout bound a request
	// to another server. Defaults 2 s, 5 s.
	HTTPClientConnectTimeout time.Duration
	HTTPClientRequestTimeout time.Duration

	// E2EProcessingLatencyPercentiles are the quantiles of the time from
	// publish to FIN that /stats shows, each above 0 and at most 1. Default:
	// none, and nothing is measured.
	E2EProcessingLatencyPercentiles []float64

	// E2EProcessingLatencyWindowTime is how far back they look: half of it at
	// least. Default 10 min.
	E2EProcessingLatencyWindowTime time.Duration

	// MetricsWithoutChannels leaves the series of single channels out of
	// GET /metrics, for a server with very many of them.
	MetricsWithoutChannels bool

	// MetricsCompat are the sets of other people's names that GET /metrics has
	// besides its own, so that their dashboards go on working: "exporter" for
	// nsq_exporter's and "mixin" for those of Grafana's NSQ mixin. Default none;
	// a scrape can ask for them with ?compat=exporter,mixin.
	MetricsCompat []string

	// RequeueOnDisconnect gives the messages of a client that has gone to
	// others at once. By default they wait for their timeout, as in nsqd.
	RequeueOnDisconnect bool

	// BroadcastAddress is the host name told to others. Default: the
	// machine's name; if that name does not resolve to this machine, the
	// address from which the route to a nsqlookupd begins, or to which
	// somebody has come who asks over HTTP.
	BroadcastAddress string

	// BroadcastTCPPort and BroadcastHTTPPort are the ports told to others.
	// Default: the ports listened on.
	BroadcastTCPPort  int
	BroadcastHTTPPort int

	// LookupdTCPAddresses are the nsqlookupds to register with, "host:port"
	// each, at most 64. They can be changed by
	// /config/nsqlookupd_tcp_addresses. Default: none.
	LookupdTCPAddresses []string

	// TopologyRegion and TopologyZone say where the server stands. They are
	// told to clients.
	TopologyRegion string
	TopologyZone   string

	// TopologyAwareConsumption gives a message to a subscriber in the server's
	// zone that is ready for it, else to one in its region, else to any. It is
	// nsqd's experiment of that name.
	TopologyAwareConsumption bool

	// StatsdAddress is the "host:port" of a statsd collector, which is sent
	// statistics over UDP. Default: none.
	StatsdAddress string

	// StatsdInterval is how often. Default 60 s.
	StatsdInterval time.Duration

	// StatsdPrefix is what keys begin with; %s in it stands for the server's
	// broadcast address and HTTP port. Default "nsq.%s".
	StatsdPrefix string

	// StatsdUDPPacketSize is the most bytes of a datagram. Default 508.
	StatsdUDPPacketSize int

	// StatsdNoMemStats leaves out the memory figures, and
	// StatsdExcludeEphemeral ephemeral topics and channels.
	StatsdNoMemStats       bool
	StatsdExcludeEphemeral bool

	// HTTPMaxConns is how many HTTP connections are served at once. Default
	// 4096.
	HTTPMaxConns int

	// DebugRemote serves the profiles under /debug/pprof to other machines
	// too. By default only this machine may see them.
	DebugRemote bool

	// LiteVersion is the version of this program, shown beside Version.
	LiteVersion string

	// ProgramConfig are options of the program around the server that
	// /config shows beside its own, by their keys. Its values are not changed.
	ProgramConfig map[string]any

	// ConfigSources say where an option's value came from, by its key; GET
	// /lite/config shows it. What is not in it says nothing.
	ConfigSources map[string]string

	// LogLevel, when set, is the level at which Logger's handler writes; it
	// is shown and changed by /config/log_level.
	LogLevel *slog.LevelVar

	// Logger receives what an operator wants to know. nil is silence.
	Logger *slog.Logger

	broadcastGiven bool // BroadcastAddress is not a default

	// fs makes the file system of a topic's directory; a test puts one in its
	// place that fails. nil means the operating system's.
	fs func(dir string) journal.FS

	// httpTransport, when not nil, makes the requests to auth servers in a
	// test.
	httpTransport http.RoundTripper

	// statsdDial, when not nil, reaches the collector in a test.
	statsdDial func(addr string) (io.WriteCloser, error)
}

// minMemory is the least MaxMemory: two commands of the default size, and room
// for output.
const minMemory = 16 << 20

// Check says what New would find wrong with the options. It opens no file and no
// port, so what is wrong with those shows when a server is made.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// withDefaults fills in the defaults and checks what can be checked without
// touching anything.
func (o Options) withDefaults() (Options, error) {
	fill(&o.Sync, SyncInterval)
	fill(&o.SyncTimeout, time.Second)
	fill(&o.MemQueueSize, 10000)
	o.MemQueueSize = max(o.MemQueueSize, 0)
	fill(&o.MaxBytesPerFile, 100<<20)
	fill(&o.MsgTimeout, time.Minute)
	fill(&o.MaxMsgTimeout, 15*time.Minute)
	fill(&o.MaxMsgSize, 1<<20)
	fill(&o.MaxBodySize, 5<<20)
	fill(&o.MaxReqTimeout, time.Hour)
	fill(&o.MaxHeartbeatInterval, time.Minute)
	fill(&o.MaxRdyCount, 2500)
	fill(&o.MaxOutputBufferSize, 64<<10)
	fill(&o.MinOutputBufferTimeout, 25*time.Millisecond)
	fill(&o.MaxOutputBufferTimeout, 30*time.Second)
	fill(&o.OutputBufferTimeout, 250*time.Millisecond)
	fill(&o.MaxDeflateLevel, 6)
	fill(&o.MaxTopicsPerClient, 10_000)
	fill(&o.MaxChannelsPerClient, 50_000)
	fill(&o.MaxMemory, 512<<20)
	fill(&o.StatsdInterval, time.Minute)
	fill(&o.StatsdPrefix, "nsq.%s")
	fill(&o.StatsdUDPPacketSize, 508)
	fill(&o.E2EProcessingLatencyWindowTime, 10*time.Minute)
	o.MetricsCompat = slices.Clone(o.MetricsCompat)
	o.E2EProcessingLatencyPercentiles = slices.Clone(o.E2EProcessingLatencyPercentiles)
	sort.Sort(sort.Reverse(sort.Float64Slice(o.E2EProcessingLatencyPercentiles)))
	if o.Strict {
		fill(&o.AuthHTTPRequestMethod, "post")
	}
	fill(&o.AuthHTTPRequestMethod, "get")
	fill(&o.HTTPClientConnectTimeout, 2*time.Second)
	fill(&o.HTTPClientRequestTimeout, 5*time.Second)
	fill(&o.Logger, slog.New(slog.DiscardHandler))
	o.broadcastGiven = o.BroadcastAddress != ""
	if !o.broadcastGiven {
		o.BroadcastAddress = hostname()
	}
	if o.statsdDial == nil {
		o.statsdDial = dialUDP
	}
	if o.fs == nil {
		o.fs = journal.OSDir
	}
	if err := o.tlsDefaults(); err != nil {
		return o, err
	}
	return o, o.validate()
}

// hostname is the machine's name, "" when it has none.
func hostname() string {
	name, _ := os.Hostname() // without a name there is no name
	return name
}

// fill gives *v the value d if it is zero.
func fill[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// validate names the first field whose value makes no sense.
func (o *Options) validate() error {
	switch o.Sync {
	case SyncInterval, SyncAlways, SyncNever:
	default:
		return fmt.Errorf("server options: Sync is %q; it must be %s, %s or %s", o.Sync, SyncInterval, SyncAlways, SyncNever)
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"SyncTimeout", o.SyncTimeout}, {"RetainAge", o.RetainAge}, {"MsgTimeout", o.MsgTimeout}, {"MaxMsgTimeout", o.MaxMsgTimeout},
		{"MaxReqTimeout", o.MaxReqTimeout}, {"MaxHeartbeatInterval", o.MaxHeartbeatInterval},
		{"MinOutputBufferTimeout", o.MinOutputBufferTimeout}, {"MaxOutputBufferTimeout", o.MaxOutputBufferTimeout},
		{"OutputBufferTimeout", o.OutputBufferTimeout},
		{"HTTPClientConnectTimeout", o.HTTPClientConnectTimeout}, {"HTTPClientRequestTimeout", o.HTTPClientRequestTimeout},
		{"E2EProcessingLatencyWindowTime", o.E2EProcessingLatencyWindowTime}, {"StatsdInterval", o.StatsdInterval},
	} {
		if d.v < 0 {
			return fmt.Errorf("server options: %s is %v; it must not be negative", d.name, d.v)
		}
	}
	for _, n := range []struct {
		name string
		v    int64
	}{
		{"MaxBytesPerFile", o.MaxBytesPerFile}, {"RetainBytes", o.RetainBytes}, {"MaxMsgSize", int64(o.MaxMsgSize)}, {"MaxBodySize", int64(o.MaxBodySize)},
		{"MaxRdyCount", int64(o.MaxRdyCount)}, {"MaxOutputBufferSize", int64(o.MaxOutputBufferSize)},
		{"MaxTopicsPerClient", int64(o.MaxTopicsPerClient)}, {"MaxChannelsPerClient", int64(o.MaxChannelsPerClient)},
		{"MaxChannelConsumers", int64(o.MaxChannelConsumers)}, {"StatsdUDPPacketSize", int64(o.StatsdUDPPacketSize)},
	} {
		if n.v < 0 {
			return fmt.Errorf("server options: %s is %d; it must not be negative", n.name, n.v)
		}
	}
	if o.MaxMemory < minMemory {
		return fmt.Errorf("server options: MaxMemory is %d; it must be %d at least", o.MaxMemory, minMemory)
	}
	for _, q := range o.E2EProcessingLatencyPercentiles {
		if !(q > 0 && q <= 1) { // NaN is neither
			return fmt.Errorf("server options: E2EProcessingLatencyPercentiles has %v; each must be above 0 and at most 1", q)
		}
	}
	for _, name := range o.MetricsCompat {
		if !new(compat).add(name) {
			return fmt.Errorf("server options: MetricsCompat has %q; there are exporter and mixin", name)
		}
	}
	if m := o.AuthHTTPRequestMethod; m != "get" && m != "post" {
		return fmt.Errorf("server options: AuthHTTPRequestMethod is %q; it must be get or post", m)
	}
	if o.Strict && o.AuthHTTPRequestMethod == "get" {
		return errors.New("server options: AuthHTTPRequestMethod is get, which puts secrets into addresses; Strict needs post")
	}
	if o.MaxDeflateLevel < 1 || o.MaxDeflateLevel > 9 {
		return fmt.Errorf("server options: MaxDeflateLevel is %d; it must be 1 to 9", o.MaxDeflateLevel)
	}
	if err := checkLookupds(o.LookupdTCPAddresses); err != nil {
		return fmt.Errorf("server options: LookupdTCPAddresses: %w", err)
	}
	return nil
}
