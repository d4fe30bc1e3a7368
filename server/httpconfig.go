package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
)

const configPath = "/config/"

// configRoutes are the routes that show the options in force, by their keys in
// nsqd's config file, and change those that may change.
func (h *httpServer) configRoutes() []*route {
	return []*route{
		{method: "GET", path: configPath + "{opt}", help: "the value of an option, as in /config/max_msg_size", needs: accessConfig, run: h.configGet},
		{method: "PUT", path: configPath + "{opt}", help: "change log_level or nsqlookupd_tcp_addresses", needs: accessConfig, run: h.configPut},
	}
}

// configGet answers with an option's value: strings as they are, all else as
// JSON, durations in nanoseconds.
func (h *httpServer) configGet(w http.ResponseWriter, r *http.Request) error {
	value, ok := h.config(r.PathValue("opt"))
	if !ok {
		return refuse(http.StatusBadRequest, "INVALID_OPTION",
			"There is no such option; the names are those of the flags with _ for -, as in max_msg_size.")
	}
	if text, ok := value.(string); ok {
		replyText(w, text)
		return nil
	}
	return replyJSON(w, value)
}

// configPut changes the log level or the nsqlookupds. nsqd looks at the body before it looks at
// the name.
func (h *httpServer) configPut(w http.ResponseWriter, r *http.Request) error {
	if h.s.o.Strict {
		return refuse(http.StatusForbidden, "FORBIDDEN", "Options do not change while the server runs with --strict.")
	}
	noValue := refuse(http.StatusRequestEntityTooLarge, "INVALID_VALUE",
		"The new value is the request's body, and it was empty or too long; try curl -X PUT -d debug 'http://<host>/config/log_level'.")
	return h.withBody(r, h.s.o.MaxMsgSize, noValue, func(body []byte) error {
		if len(body) == 0 {
			return noValue
		}
		var err error
		switch opt := r.PathValue("opt"); {
		case opt == "log_level" && h.s.o.LogLevel != nil:
			err = h.setLogLevel(string(body))
		case opt == "nsqlookupd_tcp_addresses":
			err = h.setLookupds(body)
		default:
			err = refuse(http.StatusBadRequest, "INVALID_OPTION", "Only log_level and nsqlookupd_tcp_addresses can be changed while the server runs.")
		}
		if err != nil {
			return err
		}
		return h.configGet(w, r)
	})
}

func (h *httpServer) setLogLevel(name string) error {
	level, ok := ParseLogLevel(name)
	if !ok {
		return refuse(http.StatusBadRequest, "INVALID_VALUE", "The levels are debug, info, warn, error and fatal.")
	}
	h.s.o.LogLevel.Set(level)
	return nil
}

// setLookupds makes a JSON list the nsqlookupds to register with; null is an
// empty one.
func (h *httpServer) setLookupds(body []byte) error {
	var addrs []string
	err := json.Unmarshal(body, &addrs)
	if err == nil {
		err = h.s.SetLookupds(addrs)
	}
	switch {
	case errors.Is(err, ErrClosed):
		return errExiting
	case err != nil:
		return refuse(http.StatusBadRequest, "INVALID_VALUE",
			fmt.Sprintf(`The value is a JSON list of addresses, as in ["127.0.0.1:4160"]: %v.`, err))
	}
	return nil
}

// config returns the value of one option.
func (h *httpServer) config(name string) (value any, ok bool) {
	o := &h.s.o
	switch name {
	case "tcp_address":
		return o.TCPAddress, true
	case "http_address":
		return o.HTTPAddress, true
	case "broadcast_address":
		return o.BroadcastAddress, true
	case "broadcast_tcp_port":
		return o.BroadcastTCPPort, true
	case "broadcast_http_port":
		return o.BroadcastHTTPPort, true
	case "topology_region":
		return o.TopologyRegion, true
	case "topology_zone":
		return o.TopologyZone, true
	case "data_path":
		return o.DataPath, true
	case "sync":
		return string(o.Sync), true
	case "sync_timeout":
		return o.SyncTimeout, true
	case "mem_queue_size":
		return o.MemQueueSize, true
	case "max_bytes_per_file":
		return o.MaxBytesPerFile, true
	case "retain_age":
		return o.RetainAge, true
	case "retain_bytes":
		return o.RetainBytes, true
	case "msg_timeout":
		return o.MsgTimeout, true
	case "max_msg_timeout":
		return o.MaxMsgTimeout, true
	case "max_msg_size":
		return o.MaxMsgSize, true
	case "max_body_size":
		return o.MaxBodySize, true
	case "max_req_timeout":
		return o.MaxReqTimeout, true
	case "max_heartbeat_interval":
		return o.MaxHeartbeatInterval, true
	case "max_rdy_count":
		return o.MaxRdyCount, true
	case "max_output_buffer_size":
		return o.MaxOutputBufferSize, true
	case "min_output_buffer_timeout":
		return o.MinOutputBufferTimeout, true
	case "max_output_buffer_timeout":
		return o.MaxOutputBufferTimeout, true
	case "output_buffer_timeout":
		return o.OutputBufferTimeout, true
	case "max_channel_consumers":
		return o.MaxChannelConsumers, true
	case "max_deflate_level":
		return o.MaxDeflateLevel, true
	case "nsqlookupd_tcp_addresses":
		return h.s.lookupds()
	case "log_level":
		if o.LogLevel != nil {
			return LogLevelNumber(o.LogLevel.Level()), true
		}
	default:
		return h.upgradeConfig(name)
	}
	return nil, false
}

// upgradeConfig returns the value of an option about TLS and compression.
func (h *httpServer) upgradeConfig(name string) (value any, ok bool) {
	o := &h.s.o
	switch name {
	case "snappy":
		return !o.NoSnappy, true
	case "deflate":
		return !o.NoDeflate, true
	case "https_address":
		return o.HTTPSAddress, true
	case "tls_cert":
		return o.TLSCert, true
	case "tls_key":
		return o.TLSKey, true
	case "tls_client_auth_policy":
		return o.TLSClientAuthPolicy, true
	case "tls_root_ca_file":
		return o.TLSRootCAFile, true
	case "tls_required": // nsqd's numbers
		return slices.Index([]TLSRequired{TLSNotRequired, TLSRequiredTCP, TLSRequiredAll}, o.TLSRequired), true
	case "tls_min_version":
		return o.TLSMinVersion, true
	}
	return h.otherConfig(name)
}

// otherConfig returns the value of an option about AUTH, statsd, latencies,
// experiments, or of the program around the server.
func (h *httpServer) otherConfig(name string) (value any, ok bool) {
	o := &h.s.o
	switch name {
	case "auth_http_addresses":
		shown := make([]string, len(o.AuthHTTPAddresses))
		for i, addr := range o.AuthHTTPAddresses {
			shown[i] = authShown(addr)
		}
		return shown, true
	case "auth_http_request_method":
		return o.AuthHTTPRequestMethod, true
	case "auth_static":
		return o.AuthStatic, true
	case "http_client_connect_timeout":
		return o.HTTPClientConnectTimeout, true
	case "http_client_request_timeout":
		return o.HTTPClientRequestTimeout, true
	case "statsd_address":
		return o.StatsdAddress, true
	case "statsd_interval":
		return o.StatsdInterval, true
	case "statsd_mem_stats":
		return !o.StatsdNoMemStats, true
	case "statsd_prefix":
		return o.StatsdPrefix, true
	case "statsd_udp_packet_size":
		return o.StatsdUDPPacketSize, true
	case "statsd_exclude_ephemeral":
		return o.StatsdExcludeEphemeral, true
	case "e2e_processing_latency_percentiles":
		return append([]float64{}, o.E2EProcessingLatencyPercentiles...), true
	case "e2e_processing_latency_window_time":
		return o.E2EProcessingLatencyWindowTime, true
	case "metrics_per_channel":
		return !o.MetricsWithoutChannels, true
	case "metrics_compat":
		return append([]string{}, o.MetricsCompat...), true
	case "enable_experiment":
		experiments := []string{}
		if o.TopologyAwareConsumption {
			experiments = append(experiments, "topology-aware-consumption")
		}
		return experiments, true
	case "max_memory":
		return o.MaxMemory, true
	case "max_topics_per_client":
		return o.MaxTopicsPerClient, true
	case "max_channels_per_client":
		return o.MaxChannelsPerClient, true
	case "strict":
		return o.Strict, true
	case "requeue_on_disconnect":
		return o.RequeueOnDisconnect, true
	}
	value, ok = o.ProgramConfig[name]
	return value, ok
}

// logLevels are nsqd's five levels in its order: their numbers begin at 1.
// Above errors, slog has no level of its own.
var logLevels = []struct {
	name  string
	level slog.Level
}{
	{"debug", slog.LevelDebug},
	{"info", slog.LevelInfo},
	{"warn", slog.LevelWarn},
	{"error", slog.LevelError},
	{"fatal", LevelFatal},
}

// LevelFatal is the level of a log line after which the program ends, and the
// log level at which little else is written.
const LevelFatal = slog.LevelError + 4

// ParseLogLevel returns the level with a name of NSQ's: debug, info, warn,
// error or fatal, in any case.
func ParseLogLevel(name string) (slog.Level, bool) {
	for _, l := range logLevels {
		if strings.EqualFold(name, l.name) {
			return l.level, true
		}
	}
	return 0, false
}

// LogLevelNumber returns nsqd's number, from 1 for debug to 5 for fatal, of the
// highest level that is not above level.
func LogLevelNumber(level slog.Level) int {
	n := 1
	for i, l := range logLevels {
		if level >= l.level {
			n = i + 1
		}
	}
	return n
}
