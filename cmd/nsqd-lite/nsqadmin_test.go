package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAdminFlags: nsqadmin's flags and defaults, with one dash or two, from a
// file with its keys, and what it refuses.
func TestAdminFlags(t *testing.T) {
	fs := newAdminFlags(new(adminSettings))
	for name, want := range map[string]string{
		"http-address": "0.0.0.0:4171", "base-path": "/", "log-level": "info", "log-prefix": "[nsqadmin] ", "acl-http-header": "X-Forwarded-User",
		"allow-config-from-cidr": "127.0.0.1/8", "http-client-connect-timeout": "2s", "http-client-request-timeout": "5s",
		"http-client-tls-cert": "", "http-client-tls-key": "", "http-client-tls-root-ca-file": "", "http-client-tls-insecure-skip-verify": "false",
		"graphite-url": "", "proxy-graphite": "false", "statsd-prefix": "nsq.%s", "statsd-counter-format": "stats.counters.%s.count",
		"statsd-gauge-format": "stats.gauges.%s", "statsd-interval": "1m0s", "notification-http-endpoint": "", "admin-user": "",
		"lookupd-http-address": "", "nsqd-http-address": "", "dev-static-dir": "", "verbose": "false", "version": "false", "config": "",
	} {
		if f := fs.Lookup(name); f == nil || f.DefValue != want {
			t.Errorf("%s: %+v, want %q", name, f, want)
		}
	}
	file := filepath.Join(t.TempDir(), "nsqadmin.toml")
	text := "nsqlookupd_http_addresses = [\"1.2.3.4:5\", \"1.2.3.4:6\"]\nadmin_users = [\"anna\"]\nbase_path = \"/nsq\"\nhttp_client_connect_timeout = 7000\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := new(adminSettings)
	fs = newAdminFlags(s)
	f := newFake(map[string]string{"NSQADMIN_READ_ONLY": "true"}, "nsqadmin")
	if _, _, _, err := parse(f.process, fs, []string{"-config", file, "--base-path=/other"}, &s.common); err != nil {
		t.Fatal(err)
	}
	if o := s.o; len(o.LookupdHTTPAddresses) != 2 || o.AdminUsers[0] != "anna" || o.BasePath != "/other" || o.ConnectTimeout != 7*time.Second || !o.ReadOnly {
		t.Errorf("%+v", o)
	}
	for _, row := range []struct{ args, want string }{
		{"nsqadmin", "nsqadmin: --nsqd-http-address or --lookupd-http-address required\n"},
		{"nsqd-lite nsqadmin --nsqd-http-address=x:1 --lookupd-http-address=x:1", "not both"},
		{"nsqadmin --nsqd-http-address=x:1 --statsd-interval=0", "--statsd-interval must be more than 0"},
		{"nsqadmin --nsqd-http-address=x:1 --http-client-tls-root-ca-file=/nonexistent", "--http-client-tls-root-ca-file: "},
		{"nsqadmin --nsqd-http-adress=x:1", "did you mean --nsqd-http-address"},
	} {
		f := newFake(nil, strings.Fields(row.args)...)
		if code := run(f.process); code == exitOK || !strings.Contains(f.err.String(), row.want) {
			t.Errorf("%s: %d %q, want %q", row.args, code, f.err.String(), row.want)
		}
	}
	f = newFake(nil, "nsqadmin", "--version")
	if code := run(f.process); code != exitOK || !strings.HasPrefix(f.out.String(), "nsqadmin v1.3.0 (built w/go") {
		t.Errorf("version: %d %q", code, f.out.String())
	}
}

// TestAdminFlags_SecretFile: the secret may stand in a file that the environment
// names, unless the environment also has it; a flag wins over both.
func TestAdminFlags_SecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("of-mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		env  map[string]string
		args []string
		want string
		err  string
	}{
		{"a file", map[string]string{"NSQADMIN_AUTH_SECRET_FILE": path}, nil, "of-mine", ""},
		{"a flag", map[string]string{"NSQADMIN_AUTH_SECRET_FILE": path}, []string{"--auth-secret=other"}, "other", ""},
		{"both", map[string]string{"NSQADMIN_AUTH_SECRET_FILE": path, "NSQADMIN_AUTH_SECRET": "of-mine"}, nil, "", "NSQADMIN_AUTH_SECRET and NSQADMIN_AUTH_SECRET_FILE are both set"},
		{"no file", map[string]string{"NSQADMIN_NOTIFICATION_HTTP_ENDPOINT_FILE": path + "x"}, nil, "", "NSQADMIN_NOTIFICATION_HTTP_ENDPOINT_FILE: stat " + path + "x: "},
		{"no secret", map[string]string{"NSQADMIN_BASE_PATH_FILE": path + "x"}, nil, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := new(adminSettings)
			_, _, code, err := parse(newFake(row.env).process, newAdminFlags(s), row.args, &s.common)
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) || strings.Contains(err.Error(), "of-mine") || code != exitUsage {
					t.Errorf("%d %v, want %q", code, err, row.err)
				}
			} else if err != nil || s.o.Secret != row.want || s.o.BasePath != "/" {
				t.Errorf("%q %q %v", s.o.Secret, s.o.BasePath, err)
			}
		})
	}
}

// TestProgram_Admin: as nsqadmin it finds the nsqds through an nsqlookupd, logs as
// nsqadmin does, and stops cleanly.
func TestProgram_Admin(t *testing.T) {
	needSignals(t)
	dir := t.TempDir()
	lookupd := start(t, dir, nil, "nsqlookupd", "-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0")
	lookupdTCP, lookupdHTTP := lookupd.ready()
	p := start(t, dir, nil, nsqd("--lookupd-tcp-address="+lookupdTCP, "--broadcast-address=127.0.0.1")...)
	_, http := p.ready()
	admin := start(t, dir, nil, "nsqadmin", "--lookupd-http-address="+lookupdHTTP, "-http-address=127.0.0.1:0")
	_, page := admin.ready()
	post(t, "http://"+http+"/put?topic=test", "hello world 1")
	eventually(t, "http://"+page+"/api/topics/test", `"topic_name":"test","depth":1,`)
	if body := get(t, "http://"+page+"/"); !strings.Contains(body, "<title>nsqd-lite</title>") {
		t.Errorf("page %s", body)
	}
	for _, x := range []*program{admin, p, lookupd} {
		x.signal(syscall.SIGTERM)
		if code := x.exit(); code != exitOK {
			t.Errorf("exit %d\n%s", code, strings.Join(x.log, "\n"))
		}
	}
	if first := admin.log[0]; !strings.HasPrefix(first, "[nsqadmin] ") || !strings.Contains(first, "INFO: nsqadmin v1.3.0 (built w/go") {
		t.Errorf("first line %q", first)
	}
}
