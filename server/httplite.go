package server

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
)

// liteRoutes are routes that nsqd does not have, for an admin page.
func (h *httpServer) liteRoutes() []*route {
	return []*route{
		{method: "GET", path: "/lite/stats", polled: true, help: "what /stats leaves out: connections, files, the disk, finished messages", heavy: true, needs: accessStats, run: h.liteStats},
		{method: "GET", path: "/lite/config", help: "all options in force, with where each came from", needs: accessConfig, run: h.liteConfig},
		{method: "POST", path: "/lite/topic/drop", help: "drop the first messages that no channel has yet: ?topic=&through=<message id>", scope: ofTopic, run: h.topicDrop},
		{method: "POST", path: "/lite/client/close", help: "close a client's connection: ?client=<remote address>", run: h.liteClose},
	}
}

// liteStatsJSON is the body of /lite/stats.
type liteStatsJSON struct {
	LiteVersion string           `json:"lite_version"`
	StartTime   int64            `json:"start_time"` // unix seconds
	DataPath    string           `json:"data_path"`  // "" in memory
	Sync        string           `json:"sync"`
	Connections int              `json:"connections"`
	Goroutines  int              `json:"goroutines"`
	DiskFree    int64            `json:"disk_free"`  // bytes for whoever is not root; 0 when it is not known
	DiskTotal   int64            `json:"disk_total"` // bytes
	Topics      []liteTopicStats `json:"topics"`     // sorted by name
}

// liteTopicStats is a topic in it.
type liteTopicStats struct {
	Topic          string             `json:"topic"`
	JournalBytes   int64              `json:"journal_bytes"`
	CorruptRecords int64              `json:"corrupt_records"`
	Channels       []liteChannelStats `json:"channels"`
}

// liteChannelStats is a channel in it.
type liteChannelStats struct {
	Channel     string `json:"channel"`
	FinishCount uint64 `json:"finish_count"`     // since the start
	Oldest      int64  `json:"oldest,omitempty"` // unix nanoseconds: when the oldest waiting message was published
}

// liteStats says what nsqd's statistics have no place for.
func (h *httpServer) liteStats(w http.ResponseWriter, r *http.Request) error {
	st, err := h.s.takeStats(StatsOptions{ExcludeClients: true, ExcludeMemory: true, Oldest: true})
	if err != nil {
		return errExiting
	}
	o := &h.s.o
	out := liteStatsJSON{
		LiteVersion: o.LiteVersion, StartTime: st.StartTime, DataPath: o.DataPath, Sync: syncMode(o),
		Connections: st.Connections, Goroutines: runtime.NumGoroutine(), Topics: make([]liteTopicStats, len(st.Topics)),
	}
	if o.DataPath != "" {
		out.DiskFree, out.DiskTotal = diskSpace(o.DataPath)
	}
	for i := range st.Topics {
		t := &st.Topics[i]
		to := &out.Topics[i]
		*to = liteTopicStats{t.TopicName, t.JournalBytes, t.CorruptRecords, make([]liteChannelStats, len(t.Channels))}
		for j := range t.Channels {
			c := &t.Channels[j]
			to.Channels[j] = liteChannelStats{Channel: c.ChannelName, FinishCount: c.FinishCount}
			if !c.Oldest.IsZero() {
				to.Channels[j].Oldest = c.Oldest.UnixNano()
			}
		}
	}
	return replyJSON(w, out)
}

// liteOption is one option in the body of /lite/config.
type liteOption struct {
	Name   string          `json:"name"`
	Value  json.RawMessage `json:"value"` // durations in nanoseconds
	Source string          `json:"source,omitempty"`
}

// liteConfig lists the options, as /config shows them one by one.
func (h *httpServer) liteConfig(w http.ResponseWriter, r *http.Request) error {
	var out struct {
		Options []liteOption `json:"options"`
	}
	names := slices.Clone(configNames)
	for name := range h.s.o.ProgramConfig {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		value, ok := h.config(name)
		if !ok {
			continue // log_level, of a server whose program has no such thing
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		out.Options = append(out.Options, liteOption{name, text, h.s.o.ConfigSources[name]})
	}
	return replyJSON(w, out)
}

// configNames are the options that config knows, but for the program's.
var configNames = []string{
	"tcp_address", "http_address", "broadcast_address", "broadcast_tcp_port", "broadcast_http_port", "topology_region",
	"topology_zone", "data_path", "sync", "sync_timeout", "mem_queue_size", "max_bytes_per_file", "retain_age",
	"retain_bytes", "msg_timeout", "max_msg_timeout", "max_msg_size", "max_body_size", "max_req_timeout",
	"max_heartbeat_interval", "max_rdy_count", "max_output_buffer_size", "min_output_buffer_timeout",
	"max_output_buffer_timeout", "output_buffer_timeout", "max_channel_consumers", "max_deflate_level",
	"nsqlookupd_tcp_addresses", "log_level", "snappy", "deflate", "https_address", "tls_cert", "tls_key",
	"tls_client_auth_policy", "tls_root_ca_file", "tls_required", "tls_min_version", "auth_http_addresses",
	"auth_http_request_method", "auth_static", "http_client_connect_timeout", "http_client_request_timeout",
	"statsd_address", "statsd_interval", "statsd_mem_stats", "statsd_prefix", "statsd_udp_packet_size",
	"statsd_exclude_ephemeral", "e2e_processing_latency_percentiles", "e2e_processing_latency_window_time",
	"metrics_per_channel", "metrics_compat", "enable_experiment", "max_memory", "max_topics_per_client",
	"max_channels_per_client", "strict", "requeue_on_disconnect",
}

// liteClose closes the connections of a client. Its messages come back as they
// do when a client goes by itself.
func (h *httpServer) liteClose(w http.ResponseWriter, r *http.Request) error {
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	remote := query.Get("client")
	if remote == "" || remote == "@" {
		return refuse(http.StatusBadRequest, "MISSING_ARG_CLIENT", "Name the client by its remote address, as in ?client=10.0.0.7:52110; GET /stats shows it. Those on a unix socket have none.")
	}
	return h.act(w, func() error {
		found := false
		for _, c := range slices.Clone(h.s.conns) {
			if c.remote() == remote {
				c.tell(slog.LevelInfo, "closed over HTTP", "by", printable(r.RemoteAddr, 64))
				c.close()
				found = true
			}
		}
		if !found {
			return refuse(http.StatusNotFound, "CLIENT_NOT_FOUND", "No client is connected from there; GET /stats lists them.")
		}
		return nil
	})
}
