package main

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/admin"
)

// fake is a process whose output a test reads.
type fake struct {
	process
	out, err bytes.Buffer
}

func newFake(env map[string]string, args ...string) *fake {
	f := new(fake)
	f.process = process{
		args:   args,
		getenv: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		stdout: &f.out,
		stderr: &f.err,
		exit:   func(int) {},
	}
	return f
}

// TestRun_Usage: everything that ends before a server is started.
func TestRun_Usage(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.toml")
	unitless := filepath.Join(dir, "unitless.toml")
	for path, text := range map[string]string{broken: "tcp_address =", unitless: `msg_timeout = "5"`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name     string
		args     []string
		code     int
		out, err string // what is in stdout and stderr
	}{
		{"version", []string{"nsqd", "--version"}, 0, "nsqd v1.3.0 (built w/go", ""},
		{"version of the role", []string{"nsqd-lite", "nsqd", "-version"}, 0, "nsqd v1.3.0 (built w/go", ""},
		{"version of the program", []string{"nsqd-lite", "--version"}, 0, "nsqd-lite " + liteVersion, ""},
		{"versions as JSON", []string{"nsqd-lite", "version", "--json"}, 0, `"nsq_version":"1.3.0","go_version":"go1.`, ""},
		{"version of the program, command", []string{"nsqd-lite", "version"}, 0, "compatible with nsq 1.3.0", ""},
		{"help", []string{"nsqd-lite", "help"}, 0, "tail        show messages as they are published", ""},
		{"help of a command", []string{"nsqd-lite", "pub", "-help"}, 0, "--nsqd-http-address host:port", ""},
		{"help of a role, as a command", []string{"nsqd-lite", "help", "nsqlookupd"}, 0, "--tombstone-lifetime", ""},
		{"help of the role", []string{"nsqd", "-h"}, 0, "", "-max-rdy-count"},
		{"unknown command", []string{"nsqd-lite", "nsqx"}, 2, "", `no command "nsqx"`},
		{"a command almost right", []string{"nsqd-lite", "tial", "t"}, 2, "", "did you mean tail?"},
		{"a flag almost right", []string{"nsqd-lite", "pub", "--bacth=1", "t"}, 2, "", "did you mean --batch?"},
		{"a flag of a role almost right", []string{"nsqd", "--tcp-adress=:1"}, 2, "", "did you mean --tcp-address?"},
		{"version of nsqlookupd", []string{"/usr/bin/nsqlookupd", "-version"}, 0, "nsqlookupd v1.3.0 (built w/go", ""},
		{"version of nsqlookupd, as a role", []string{"nsqd-lite", "nsqlookupd", "--version"}, 0, "nsqlookupd v1.3.0 (built w/go", ""},
		{"help of nsqlookupd", []string{"nsqlookupd", "-h"}, 0, "", "-tombstone-lifetime"},
		{"unknown flag of nsqlookupd", []string{"nsqlookupd", "--nope"}, 2, "", "nsqlookupd: flag provided but not defined: -nope"},
		{"zero for nsqlookupd", []string{"nsqlookupd", "--tombstone-lifetime=0"}, 1, "", "--tombstone-lifetime must be more than 0"},
		{"221 unknown flag", []string{"nsqd", "--nope"}, 2, "", "flag provided but not defined: -nope"},
		{"bad value", []string{"nsqd", "--max-rdy-count=x"}, 2, "", "invalid value"},
		{"duration without unit", []string{"nsqd", "--msg-timeout=1000"}, 2, "", "invalid value"},
		{"worker-id is a bool", []string{"nsqd", "--worker-id=5"}, 2, "", "invalid boolean value"},
		{"bad level", []string{"nsqd", "--log-level=loud"}, 2, "", "must be debug, info"},
		{"rest", []string{"nsqd", "--verbose", "true"}, 2, "", `unexpected argument "true"`},
		{"217 node-id high", []string{"nsqd", "--node-id=1024"}, 1, "", "[0,1024)"},
		{"217 node-id low", []string{"nsqd", "--node-id=-1"}, 1, "", "[0,1024)"},
		{"218 max-deflate-level 0", []string{"nsqd", "--max-deflate-level=0"}, 1, "", "[1,9]"},
		{"218 max-deflate-level 10", []string{"nsqd", "--max-deflate-level=10"}, 1, "", "[1,9]"},
		{"219 percentile 2", []string{"nsqd", "--e2e-processing-latency-percentile=2"}, 1, "", "invalid E2E"},
		{"percentile 0", []string{"nsqd", "--e2e-processing-latency-percentile=0.99,0"}, 1, "", "invalid E2E"},
		{"statsd packets", []string{"nsqd", "--statsd-udp-packet-size=0"}, 1, "", "--statsd-udp-packet-size must be more than 0"},
		{"statsd prefix", []string{"nsqd", "--statsd-prefix="}, 1, "", "--statsd-prefix must not be empty"},
		{"auth method", []string{"nsqd", "--auth-http-request-method=GET"}, 1, "", "get or post"},
		{"sync", []string{"nsqd", "--sync=sometimes"}, 1, "", "never, interval or always"},
		{"zero", []string{"nsqd", "--max-req-timeout=0"}, 1, "", "--max-req-timeout must be more than 0"},
		{"negative", []string{"nsqd", "--max-msg-size=-1"}, 1, "", "--max-msg-size must be more than 0"},
		{"lookupd", []string{"nsqd", "--data-path=:memory:", "--tcp-address=127.0.0.1:0", "--http-address=", "--lookupd-tcp-address=localhost"}, 1, "", "want host:port"},
		{"TLS, half of it", []string{"nsqd", "--tls-cert=a.pem"}, 1, "", "go together"},
		{"84 TLS required without a certificate", []string{"nsqd", "--tls-required"}, 1, "", "without TLS key and cert"},
		{"84 a policy without a certificate", []string{"nsqd", "--tls-client-auth-policy=require"}, 1, "", "without TLS key and cert"},
		{"TLS policy", []string{"nsqd", "--tls-client-auth-policy=requier"}, 1, "", "require or require-verify"},
		{"TLS version", []string{"nsqd", "--tls-min-version=ssl3.0"}, 2, "", "tls1.0"},
		{"TLS required of whom", []string{"nsqd", "--tls-required=tcp"}, 2, "", "true, false or tcp-https"},
		{"file of secrets", []string{"nsqd", "--data-path=:memory:", "--tcp-address=127.0.0.1:0", "--http-address=", "--auth-static=" + filepath.Join(dir, "none.json")}, 1, "", "none.json"},
		{"no config", []string{"nsqd", "--config=" + filepath.Join(dir, "none.toml")}, 1, "", "none.toml"},
		{"a duration of the config without a unit", []string{"nsqd", "--config=" + unitless}, 1, "", `unitless.toml: msg_timeout: must be a string with a unit, as "1m30s"`},
		{"broken config", []string{"nsqd", "--config=" + broken}, 1, "", "broken.toml"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFake(nil, row.args...)
			if code := run(f.process); code != row.code {
				t.Errorf("exit %d, want %d", code, row.code)
			}
			if !strings.Contains(f.out.String(), row.out) || (row.out == "") != (f.out.Len() == 0) {
				t.Errorf("stdout %q, want %q", f.out.String(), row.out)
			}
			if !strings.Contains(f.err.String(), row.err) || (row.err == "") != (f.err.Len() == 0) {
				t.Errorf("stderr %q, want %q", f.err.String(), row.err)
			}
		})
	}
}

// TestFlags_Accepted: what test suites and scripts for nsqd pass is taken, with
// one dash or two (224).
func TestFlags_Accepted(t *testing.T) {
	f := newFake(nil, "nsqd")
	s, _, _, err := parseFlags(f.process, []string{
		"--verbose", "-verbose=true", "--worker-id", "-mem-queue-size", "0", "--sync-every=1", "--queue-scan-worker-pool-max=4",
		"--queue-scan-selection-count=20", "--https-address=", "--deflate=false", "--snappy=true", "--tls-required=false",
		"--tls-cert=", "--tls-min-version=TLS1.1", "--statsd-interval=1s", "--statsd-mem-stats=false", "--statsd-prefix=x",
		"--statsd-udp-packet-size=1", "--statsd-exclude-ephemeral", "--http-client-connect-timeout=1s", "--http-client-request-timeout=1s",
		"--e2e-processing-latency-window-time=1s", "--auth-http-request-method=post",
		"-tcp-address", "1.2.3.4:5", "--http-address=", "--data-path", ":memory:", "-sync=always", "--log-level", "WARN",
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.o.TCPAddress != "1.2.3.4:5" || s.o.HTTPAddress != "" || s.dataPath != memoryPath || s.o.Sync != server.SyncAlways {
		t.Errorf("options %+v", s.o)
	}
	if !s.o.NoDeflate || s.o.NoSnappy || s.o.HTTPSAddress != "" || s.o.TLSMinVersion != tls.VersionTLS11 || s.o.TLSRequired != server.TLSNotRequired {
		t.Errorf("options of TLS and compression %+v", s.o)
	}
	if s.o.StatsdPrefix != "x" || !s.o.StatsdNoMemStats || s.o.AuthHTTPRequestMethod != "post" {
		t.Errorf("options of statsd and AUTH %+v", s.o)
	}
	if s.o.MemQueueSize != -1 {
		t.Errorf("MemQueueSize %d, want none", s.o.MemQueueSize)
	}
	if slog.Level(s.level) != slog.LevelWarn {
		t.Errorf("level %v", slog.Level(s.level))
	}
}

// TestFlags_Defaults: nsqd's, and ours where it has none.
func TestFlags_Defaults(t *testing.T) {
	s := new(settings)
	fs := newFlags(s)
	for _, row := range []struct{ name, want string }{
		{"log-level", "info"}, {"log-prefix", "[nsqd] "}, {"tcp-address", "0.0.0.0:4150"}, {"http-address", "0.0.0.0:4151"},
		{"https-address", "0.0.0.0:4152"}, {"broadcast-tcp-port", "0"}, {"broadcast-http-port", "0"}, {"data-path", ""},
		{"mem-queue-size", "10000"}, {"max-bytes-per-file", "104857600"}, {"retain-age", "0s"}, {"retain-bytes", "0"}, {"sync-every", "2500"}, {"sync", "interval"},
		{"queue-scan-worker-pool-max", "4"}, {"queue-scan-selection-count", "20"}, {"msg-timeout", "1m0s"},
		{"max-msg-timeout", "15m0s"}, {"max-msg-size", "1048576"}, {"max-body-size", "5242880"}, {"max-req-timeout", "1h0m0s"},
		{"max-heartbeat-interval", "1m0s"}, {"max-rdy-count", "2500"}, {"max-output-buffer-size", "65536"},
		{"max-output-buffer-timeout", "30s"}, {"min-output-buffer-timeout", "25ms"}, {"output-buffer-timeout", "250ms"},
		{"max-channel-consumers", "0"}, {"statsd-interval", "1m0s"}, {"statsd-mem-stats", "true"}, {"statsd-prefix", "nsq.%s"},
		{"statsd-udp-packet-size", "508"}, {"e2e-processing-latency-window-time", "10m0s"}, {"deflate", "true"}, {"snappy", "true"},
		{"max-deflate-level", "6"}, {"http-client-connect-timeout", "2s"}, {"http-client-request-timeout", "5s"},
		{"auth-http-request-method", "get"}, {"version", "false"}, {"verbose", "false"}, {"config", ""},
	} {
		f := fs.Lookup(row.name)
		if f == nil {
			t.Errorf("no flag %s", row.name)
			continue
		}
		if f.DefValue != row.want {
			t.Errorf("%s is %q, want %q", row.name, f.DefValue, row.want)
		}
	}
	if s.nodeID < 0 || s.nodeID >= 1024 {
		t.Errorf("node id %d", s.nodeID)
	}
}

// TestFlags_Precedence is 222: command line, environment, file, default.
func TestFlags_Precedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nsqd.toml")
	file := `
tcp_address = "file:1"
http_address = "file:2"
broadcast_address = "file"
max_rdy_count = 3
id = 9
unknown_key = 1
[table]
tcp_address = "ignored:1"
`
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFake(map[string]string{"NSQD_TCP_ADDRESS": "env:1", "NSQD_HTTP_ADDRESS": "env:2", "NSQD_CONFIG": path, "NSQD_VERSION": "true"}, "nsqd")
	s, warnings, _, err := parseFlags(f.process, []string{"--tcp-address=line:1"})
	if err != nil {
		t.Fatal(err)
	}
	if s.o.TCPAddress != "line:1" || s.o.HTTPAddress != "env:2" || s.o.BroadcastAddress != "file" || s.o.MaxRdyCount != 3 || s.o.MaxMsgSize != 1<<20 || s.nodeID != 9 {
		t.Errorf("options %+v, node id %d", s.o, s.nodeID)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "unknown key table") || !strings.Contains(warnings[1], "unknown key unknown_key") {
		t.Errorf("warnings %q", warnings)
	}
	f = newFake(map[string]string{"NSQD_MAX_RDY_COUNT": "x"}, "nsqd")
	if _, _, code, err := parseFlags(f.process, nil); err == nil || code != exitUsage || !strings.Contains(err.Error(), "NSQD_MAX_RDY_COUNT") {
		t.Errorf("bad variable: %d %v", code, err)
	}
}

// TestConfig_Values is 223 and the types of the file's values.
func TestConfig_Values(t *testing.T) {
	for _, row := range []struct {
		line string
		ok   bool
		test func(*settings) bool
	}{
		{`msg_timeout = 1500`, true, func(s *settings) bool { return s.o.MsgTimeout.Milliseconds() == 1500 }},
		{`msg_timeout = "2s"`, true, func(s *settings) bool { return s.o.MsgTimeout.Seconds() == 2 }},
		{`msg_timeout = "2"`, false, nil},
		{`msg_timeout = 1.5`, false, nil},
		{`max_bytes_per_file = 10`, true, func(s *settings) bool { return s.o.MaxBytesPerFile == 10 }},
		{`retain_age = "24h"`, true, func(s *settings) bool { return s.o.RetainAge.Hours() == 24 }},
		{`retain_bytes = 1000`, true, func(s *settings) bool { return s.o.RetainBytes == 1000 }},
		{`max_rdy_count = "10"`, false, nil},
		{`tcp_address = 4150`, false, nil},
		{`requeue_on_disconnect = true`, true, func(s *settings) bool { return s.o.RequeueOnDisconnect }},
		{`requeue_on_disconnect = 1`, false, nil},
		{`log_level = "debug"`, true, func(s *settings) bool { return slog.Level(s.level) == slog.LevelDebug }},
		{`log_level = "loud"`, false, nil},
		{`data_path = "/x"`, true, func(s *settings) bool { return s.dataPath == "/x" }},
		{`tls_required = false`, true, func(s *settings) bool { return s.o.TLSRequired == server.TLSNotRequired }},
		{`tls_required = true`, false, nil}, // without a certificate
		{`tls_required = 1`, false, nil},
		{"tls_cert = \"c\"\ntls_key = \"k\"\ntls_required = true", true, func(s *settings) bool { return s.o.TLSRequired == server.TLSRequiredAll }},
		{"tls_cert = \"c\"\ntls_key = \"k\"\ntls_required = \"tcp-https\"", true, func(s *settings) bool { return s.o.TLSRequired == server.TLSRequiredTCP }},
		{`tls_min_version = ""`, true, func(s *settings) bool { return s.o.TLSMinVersion == 0 }},
		{`tls_min_version = "tls1.3"`, true, func(s *settings) bool { return s.o.TLSMinVersion == tls.VersionTLS13 }},
		{`snappy = false`, true, func(s *settings) bool { return s.o.NoSnappy && !s.o.NoDeflate }},
		{`nsqlookupd_tcp_addresses = []`, true, func(*settings) bool { return true }},
		{`nsqlookupd_tcp_addresses = ["a:1", "b:2"]`, true, func(s *settings) bool { return slices.Equal(s.o.LookupdTCPAddresses, []string{"a:1", "b:2"}) }},
		{`nsqlookupd_tcp_addresses = "a:1,b:2"`, true, func(s *settings) bool { return slices.Equal(s.o.LookupdTCPAddresses, []string{"a:1", "b:2"}) }},
		{`nsqlookupd_tcp_addresses = 1`, false, nil},
		{`e2e_processing_latency_percentiles = [1]`, false, nil},
		{`e2e_processing_latency_percentiles = [1.0, 0.5]`, true, func(s *settings) bool {
			return slices.Equal(s.o.E2EProcessingLatencyPercentiles, []float64{1, 0.5})
		}},
		{`e2e_processing_latency_percentiles = "0.9,0.5"`, true, func(s *settings) bool {
			return slices.Equal(s.o.E2EProcessingLatencyPercentiles, []float64{0.9, 0.5})
		}},
		{`auth_http_addresses = ["a:1", "b:2"]`, true, func(s *settings) bool { return slices.Equal(s.o.AuthHTTPAddresses, []string{"a:1", "b:2"}) }},
		{`auth_http_addresses = "a:1,b:2"`, true, func(s *settings) bool { return slices.Equal(s.o.AuthHTTPAddresses, []string{"a:1", "b:2"}) }},
		{`auth_http_addresses = [1]`, false, nil},
		{`auth_static = "secrets.json"`, true, func(s *settings) bool { return s.o.AuthStatic == "secrets.json" }},
		{`auth_http_request_method = "put"`, false, nil},
		{`http_client_connect_timeout = 100`, true, func(s *settings) bool { return s.o.HTTPClientConnectTimeout.Milliseconds() == 100 }},
		{`statsd_mem_stats = false`, true, func(s *settings) bool { return s.o.StatsdNoMemStats }},
		{`statsd_address = "s:1"`, true, func(s *settings) bool { return s.o.StatsdAddress == "s:1" && !s.o.StatsdNoMemStats }},
		{`enable_experiment = ["topology-aware-consumption"]`, true, func(s *settings) bool { return s.o.TopologyAwareConsumption }},
		{`enable_experiment = ["cold-fusion"]`, true, func(s *settings) bool { return !s.o.TopologyAwareConsumption }},
		{`e2e_processing_latency_percentiles = [2.0]`, false, nil},
	} {
		path := filepath.Join(t.TempDir(), "nsqd.toml")
		if err := os.WriteFile(path, []byte(row.line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, code, err := parseFlags(newFake(nil, "nsqd").process, []string{"--config", path})
		if (err == nil) != row.ok || err != nil && code != exitFailed {
			t.Errorf("%s: %v (exit %d), want ok %v", row.line, err, code, row.ok)
			continue
		}
		if row.ok && !row.test(s) {
			t.Errorf("%s: %+v", row.line, s.o)
		}
	}
}

// TestCheckConfig: what is printed says where everything came from, and is a
// config file that means the same.
func TestCheckConfig(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nsqd.toml")
	file := `
max_rdy_count = 3
e2e_processing_latency_percentiles = [1.0, 0.5]
auth_http_addresses = ["a:1"]
msg_timeout = 1500
what = "ever"
`
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"NSQD_TCP_ADDRESS": "env:1", "NSQD_CHECK_CONFIG": "true"}
	f := newFake(env, "nsqd", "--check-config", "--config="+path, "--mem-queue-size=0", "--enable-experiment=x")
	if code := run(f.process); code != exitOK {
		t.Fatalf("exit %d: %s", code, f.err.String())
	}
	printed := f.out.String()
	for _, line := range []string{
		"max_rdy_count = 3 # " + path, "e2e_processing_latency_percentiles = [1.0, 0.5] # " + path, `auth_http_addresses = ["a:1"] # ` + path,
		`msg_timeout = "1.5s" # ` + path, `tcp_address = "env:1" # NSQD_TCP_ADDRESS`, "mem_queue_size = 0 # command line",
		`enable_experiment = ["x"] # command line`, `max_msg_timeout = "15m0s" # default`, `# broadcast_address = "" # default`, "snappy = true # default",
	} {
		if !strings.Contains("\n"+printed, "\n"+line+"\n") {
			t.Errorf("%s is not in\n%s", line, printed)
		}
	}
	if !strings.Contains(f.err.String(), "unknown key what") {
		t.Errorf("warned of %q", f.err.String())
	}

	again := filepath.Join(dir, "again.toml")
	if err := os.WriteFile(again, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	f = newFake(nil, "nsqd", "--check-config", "--config", again)
	if code := run(f.process); code != exitOK || f.err.Len() > 0 {
		t.Fatalf("what is printed is no config file: exit %d: %s", code, f.err.String())
	}
	sourceless := regexp.MustCompile(` # [^#\n]*(?m)$`)
	if got, want := sourceless.ReplaceAllString(f.out.String(), ""), sourceless.ReplaceAllString(printed, ""); got != want {
		t.Errorf("what is printed means\n%s\nwant\n%s", got, want)
	}

	for _, args := range [][]string{{"--check-config", "--node-id=5000"}, {"--check-config", "--config=" + path + "x"}, {"--check-config", "--nope"}} {
		f := newFake(nil, append([]string{"nsqd"}, args...)...)
		if code := run(f.process); code != exitUsage || f.err.Len() == 0 || f.out.Len() > 0 {
			t.Errorf("%v: exit %d, %q", args, code, f.out.String())
		}
	}
	// A config file cannot make a server that only prints.
	if err := os.WriteFile(again, []byte("check_config = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, _, _, err := parseFlags(newFake(nil, "nsqd").process, []string{"--config", again}); err != nil || s.checkConfig {
		t.Errorf("check_config in a file counts: %v", err)
	}
}

// TestCheckConfig_OtherRoles: nsqlookupd and nsqadmin check all that they can
// without listening, and print no secret.
func TestCheckConfig_OtherRoles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Both ports are somebody's: a role that listened would fail.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	addr := taken.Addr().String()
	lookupd := write("lookupd.toml", "tcp_address = \""+addr+"\"\ntombstone_lifetime = \"30s\"\nwhat = \"ever\"\n")
	page := write("admin.toml", "http_address = \""+addr+"\"\nnsqd_http_addresses = [\"a:1\"]\nnotification_http_endpoint = \"http://h/of-mine\"\n")
	env := map[string]string{"NSQADMIN_AUTH_SECRET_FILE": write("secret", "of-mine\n"), "NSQLOOKUPD_MAX_NAMES": "7"}
	for _, row := range []struct {
		args     []string
		out, err string
	}{
		{[]string{"nsqd-lite", "nsqlookupd", "--check-config", "--config=" + lookupd}, "\ntcp_address = \"" + addr + "\" # " + lookupd + "\n", "nsqlookupd: config " + lookupd + ": unknown key what is ignored\n"},
		{[]string{"nsqlookupd", "-check-config"}, "\nmax_names = 7 # NSQLOOKUPD_MAX_NAMES\n", ""},
		{[]string{"nsqlookupd", "--check-config", "--strict"}, "\nhttp_address = \"127.0.0.1:4161\" # default\n", ""},
		{[]string{"nsqadmin", "--check-config", "--config=" + page}, "\nnsqd_http_addresses = [\"a:1\"] # " + page + "\n", ""},
		{[]string{"nsqadmin", "--check-config", "--config=" + page}, "\n# auth_secret = ... # NSQADMIN_AUTH_SECRET_FILE\n", ""},
		{[]string{"nsqadmin", "--check-config", "--config=" + page}, "\n# notification_http_endpoint = ... # " + page + "\n", ""},
	} {
		f := newFake(env, row.args...)
		if code := run(f.process); code != exitOK || !strings.Contains("\n"+f.out.String(), row.out) || f.err.String() != row.err || strings.Contains(f.out.String(), "of-mine") {
			t.Errorf("%v: exit %d, %q, want %q in\n%s", row.args, code, f.err.String(), row.out, f.out.String())
		}
	}
	for _, row := range []struct{ args, want string }{
		{"nsqlookupd --check-config --max-memory=5", "nsqlookupd options: MaxMemory is 5"},
		{"nsqlookupd --check-config --drain-timeout=0", "--drain-timeout must be more than 0"},
		{"nsqlookupd --check-config --config=" + dir + "/none", "config " + dir + "/none: "},
		{"nsqadmin --check-config", "--nsqd-http-address or --lookupd-http-address required"},
		{"nsqadmin --check-config --nsqd-http-address=ftp://x", `"ftp://x" is not host:port nor an HTTP URL`},
		{"nsqadmin --check-config --nsqd-http-address=x:1 --base-path=/<", "BasePath"},
		{"nsqadmin --check-config --nsqd-http-address=x:1 --http-client-tls-root-ca-file=" + page, page + " has no certificate"},
		{"nsqd --check-config --max-memory=5", "server options: MaxMemory is 5"},
	} {
		f := newFake(nil, strings.Fields(row.args)...)
		if code := run(f.process); code != exitUsage || !strings.Contains(f.err.String(), row.want) || f.out.Len() > 0 {
			t.Errorf("%s: exit %d, %q, want %q", row.args, code, f.err.String(), row.want)
		}
	}
}

// TestStrict_Defaults: who says --strict is not heard from elsewhere until he
// says where he listens, and secrets are not in addresses.
func TestStrict_Defaults(t *testing.T) {
	parse := func(args ...string) (*settings, error) {
		s, _, _, err := parseFlags(newFake(nil, "nsqd").process, args)
		return s, err
	}
	s, err := parse("--strict")
	if err != nil {
		t.Fatal(err)
	}
	if o := &s.o; !o.Strict || o.TCPAddress != "127.0.0.1:4150" || o.HTTPAddress != "127.0.0.1:4151" || o.HTTPSAddress != "127.0.0.1:4152" || o.AuthHTTPRequestMethod != "post" {
		t.Errorf("--strict means %v %s %s %s %s", o.Strict, o.TCPAddress, o.HTTPAddress, o.HTTPSAddress, o.AuthHTTPRequestMethod)
	}
	if s, err = parse("--strict", "--tcp-address=0.0.0.0:4150", "--http-address="); err != nil || s.o.TCPAddress != "0.0.0.0:4150" || s.o.HTTPAddress != "" {
		t.Errorf("addresses that were given: %q %q %v", s.o.TCPAddress, s.o.HTTPAddress, err)
	}
	if s, err = parse(); err != nil || s.o.TCPAddress != "0.0.0.0:4150" || s.o.AuthHTTPRequestMethod != "get" {
		t.Errorf("without --strict: %q %q %v", s.o.TCPAddress, s.o.AuthHTTPRequestMethod, err)
	}
	if _, err = parse("--strict", "--auth-http-request-method=get"); err == nil {
		t.Error("--strict takes secrets in addresses")
	}
	f := newFake(nil, "nsqd", "--strict", "--check-config")
	if code := run(f.process); code != exitOK || !strings.Contains(f.out.String(), "\ntcp_address = \"127.0.0.1:4150\" # default\n") {
		t.Errorf("--check-config: exit %d\n%s", code, f.out.String())
	}
}

// TestAnnounce_Banner: a person sees where things are and what to type next.
func TestAnnounce_Banner(t *testing.T) {
	srv, err := server.Start(server.Options{TCPAddress: "127.0.0.1:0", HTTPAddress: "0.0.0.0:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := server.StartLookupd(server.LookupdOptions{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	page, err := admin.Start(admin.Options{HTTPAddress: "127.0.0.1:0", NSQDHTTPAddresses: []string{srv.HTTPAddr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := page.Close(); err != nil {
			t.Error(err)
		}
	})
	others := beside{d, page}
	f := newFake(nil, "nsqd-lite")
	f.terminal = true
	s := &settings{dataPath: "./nsqd-data (created)"}
	announce(f.process, s, srv, others, "nsqd-lite", slog.New(slog.DiscardHandler))
	http := srv.HTTPAddr().String()
	port := http[strings.LastIndex(http, ":"):]
	want := "  nsqd-lite " + liteVersion + "  data: ./nsqd-data (created)\n" +
		"    publish, consume   tcp   " + srv.TCPAddr().String() + "\n" +
		"    HTTP API           http  http://" + http + "\n" +
		"    lookup             http  http://" + d.HTTPAddr().String() + "   (tcp " + d.TCPAddr().String() + ")\n" +
		"    admin page         http  http://" + page.Addr().String() + "\n" +
		"  try:  curl -d 'hello world 1' 'http://127.0.0.1" + port + "/pub?topic=test'\n" +
		"        nsqd-lite tail test --nsqd-http-address=127.0.0.1" + port + "\n"
	if got := f.err.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestConfig_Tables: a server without flags has a table for each role.
func TestConfig_Tables(t *testing.T) {
	for _, row := range []struct{ file, want string }{
		{"[nsqd]\ntcp_address = \"1.2.3.4:5\"\nhttp_address = \"1.2.3.4:6\"\n[nsqlookupd]\nmax_names = 7\n[nsqadmin]\nread_only = true\nadmin_users = [\"me\"]\n", ""},
		{"[nsqd]\ntcp_adress = \"x\"\n", "[nsqd] has no key tcp_adress; did you mean tcp_address?"},
		{"tcp_address = \"x\"\n", "tcp_address stands outside of [nsqd], [nsqlookupd] and [nsqadmin]"},
		{"nsqd = 1\n", "nsqd is no table"},
		{"[nsqlookupd]\nmax_names = \"x\"\n", "max_names: must be an integer"},
	} {
		path := filepath.Join(t.TempDir(), "lite.toml")
		if err := os.WriteFile(path, []byte(row.file), 0o600); err != nil {
			t.Fatal(err)
		}
		f := newFake(map[string]string{"NSQD_CONFIG": path, "NSQD_HTTP_ADDRESS": "env:1"}, "nsqd-lite")
		s := &settings{lookupd: new(lookupdSettings), admin: new(adminSettings)}
		err := s.liteSources(f.process, newFlags(s), newLookupdFlags(s.lookupd), newAdminFlags(s.admin))
		if row.want != "" {
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%q: %v", row.file, err)
			}
			continue
		}
		if err != nil || s.o.TCPAddress != "1.2.3.4:5" || s.o.HTTPAddress != "env:1" || s.lookupd.o.MaxNames != 7 || !s.admin.o.ReadOnly || len(s.admin.o.AdminUsers) != 1 {
			t.Errorf("%v: %s %s %d", err, s.o.TCPAddress, s.o.HTTPAddress, s.lookupd.o.MaxNames)
		}
	}
}
