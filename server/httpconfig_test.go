package server

import (
	"log/slog"
	"strings"
	"testing"
)

// TestHTTP_Config has the rows about /config of the conformance list.
func TestHTTP_Config(t *testing.T) {
	level := new(slog.LevelVar)
	s := startHTTP(t, Options{LogLevel: level, TCPAddress: "127.0.0.1:0", BroadcastAddress: "b.example", MaxMsgSize: 1000,
		AuthHTTPAddresses: []string{"http://user:hidden@auth/x", "auth:4"}, E2EProcessingLatencyPercentiles: []float64{0.5, 1},
		TopologyAwareConsumption: true, StatsdNoMemStats: true, ProgramConfig: map[string]any{"id": 617}})
	runRows(t, s, []httpRow{
		{"256 list", "GET", "/config/nsqlookupd_tcp_addresses", "", 200, "[]"},
		{"string as it is", "GET", "/config/broadcast_address", "", 200, "b.example"},
		{"string as it is, address", "GET", "/config/tcp_address", "", 200, "127.0.0.1:0"},
		{"duration in ns", "GET", "/config/msg_timeout", "", 200, "60000000000"},
		{"duration in ns, max", "GET", "/config/max_req_timeout", "", 200, "3600000000000"},
		{"number", "GET", "/config/max_rdy_count", "", 200, "2500"},
		{"mem_queue_size", "GET", "/config/mem_queue_size", "", 200, "10000"},
		{"list, without passwords", "GET", "/config/auth_http_addresses", "", 200, `["http://user:xxxxx@auth/x","auth:4"]`},
		{"numbers", "GET", "/config/e2e_processing_latency_percentiles", "", 200, "[1,0.5]"},
		{"experiments", "GET", "/config/enable_experiment", "", 200, `["topology-aware-consumption"]`},
		{"bool", "GET", "/config/statsd_mem_stats", "", 200, "false"},
		{"of the program", "GET", "/config/id", "", 200, "617"},
		{"level as a number", "GET", "/config/log_level", "", 200, "2"},
		{"259 unknown", "GET", "/config/nope", "", 400, "INVALID_OPTION"},
		{"not an option", "GET", "/config/node_id", "", 400, "INVALID_OPTION"},
		{"not an option", "GET", "/config/verbose", "", 400, "INVALID_OPTION"},
		{"not an option", "GET", "/config/config", "", 400, "INVALID_OPTION"},
		{"258 fatal", "PUT", "/config/log_level", "fatal", 200, "5"},
		{"258 bad", "PUT", "/config/log_level", "bad", 400, "INVALID_VALUE"},
		{"258 empty", "PUT", "/config/log_level", "", 413, "INVALID_VALUE"},
		{"too long", "PUT", "/config/log_level", strings.Repeat("x", 1001), 413, "INVALID_VALUE"},
		{"empty comes before the option", "PUT", "/config/nope", "", 413, "INVALID_VALUE"},
		{"259 unknown", "PUT", "/config/nope", "x", 400, "INVALID_OPTION"},
		{"fixed", "PUT", "/config/max_rdy_count", "1", 400, "INVALID_OPTION"},
		{"any case", "PUT", "/config/log_level", "WARN", 200, "3"},
		{"it stays", "GET", "/config/log_level", "", 200, "3"},
	})
	if level.Level() != slog.LevelWarn {
		t.Errorf("level %v, want %v", level.Level(), slog.LevelWarn)
	}
	if a := ask(t, s, "GET", "/config/broadcast_address", ""); a.header.Get("Content-Type") != typeText {
		t.Errorf("a string is %q", a.header.Get("Content-Type"))
	}
	if a := ask(t, s, "GET", "/config/max_rdy_count", ""); a.header.Get("Content-Type") != typeJSON {
		t.Errorf("a number is %q", a.header.Get("Content-Type"))
	}
}

// TestHTTP_ConfigEveryOption: each name has a value, and a level that nobody
// can change is not shown as if he could.
func TestHTTP_ConfigEveryOption(t *testing.T) {
	s := startHTTP(t, Options{})
	for _, name := range []string{
		"tcp_address", "http_address", "broadcast_address", "broadcast_tcp_port", "broadcast_http_port", "topology_region",
		"topology_zone", "data_path", "sync", "sync_timeout", "mem_queue_size", "max_bytes_per_file", "msg_timeout",
		"max_msg_timeout", "max_msg_size", "max_body_size", "max_req_timeout", "max_heartbeat_interval", "max_rdy_count",
		"max_output_buffer_size", "min_output_buffer_timeout", "max_output_buffer_timeout", "output_buffer_timeout",
		"max_channel_consumers", "max_deflate_level", "nsqlookupd_tcp_addresses",
		"snappy", "deflate", "https_address", "tls_cert", "tls_key", "tls_client_auth_policy", "tls_root_ca_file", "auth_http_addresses", "auth_http_request_method",
		"auth_static", "http_client_connect_timeout", "http_client_request_timeout", "statsd_address", "statsd_interval",
		"statsd_mem_stats", "statsd_prefix", "statsd_udp_packet_size", "statsd_exclude_ephemeral", "requeue_on_disconnect",
		"e2e_processing_latency_percentiles", "e2e_processing_latency_window_time", "enable_experiment",
		"https_address", "tls_cert", "tls_key", "tls_required", "tls_min_version", "snappy", "deflate",
	} {
		if a := ask(t, s, "GET", configPath+name, ""); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for name, want := range map[string]string{"tls_required": "0", "tls_min_version": "771"} { // nsqd's numbers
		if a := ask(t, s, "GET", configPath+name, ""); a.status != 200 || a.body != want {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, want)
		}
	}
	if a := ask(t, s, "GET", "/config/log_level", ""); a.status != 400 {
		t.Errorf("log_level without a level: %d", a.status)
	}
	if a := ask(t, s, "PUT", "/config/log_level", "debug"); a.status != 400 {
		t.Errorf("log_level without a level: %d", a.status)
	}
}
