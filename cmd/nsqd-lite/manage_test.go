package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// try runs a command to its end.
func try(t *testing.T, args ...string) (code int, out, bad string) {
	t.Helper()
	f := newFake(nil, append([]string{"nsqd-lite"}, args...)...)
	code = run(f.process)
	return code, f.out.String(), f.err.String()
}

// ok runs a command that has to succeed.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	code, out, bad := try(t, args...)
	if code != exitOK {
		t.Errorf("%q: exit %d %s", args, code, bad)
	}
	return out
}

// TestManage_Cluster: what is changed is changed on every nsqd, and at the
// nsqlookupd, and nothing is lost without being asked for.
func TestManage_Cluster(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	one, two := nsqtest.Start(t, nsqtest.Registered(d)), nsqtest.Start(t, nsqtest.Registered(d))
	at := []string{"--nsqd-http-address=" + one.HTTPAddr(), "--nsqd-http-address=" + two.HTTPAddr(), "--lookupd-http-address=" + d.HTTPAddr()}
	do := func(args ...string) string { return ok(t, append(args, at...)...) }
	do("topic", "create", "t")
	do("channel", "create", "t", "c")
	eventually(t, "http://"+d.HTTPAddr()+"/channels?topic=t", `["c"]`)
	do("topic", "pause", "t")
	do("channel", "pause", "t", "c")
	for _, s := range []*nsqtest.Server{one, two} {
		if !s.Topic("t").Paused || !s.Channel("t", "c").Paused {
			t.Errorf("not paused: %+v", s.Topic("t"))
		}
	}
	do("topic", "unpause", "t")
	do("channel", "unpause", "t", "c")
	two.Publish("t", "a", "b")
	if out := do("channel", "peek", "t", "c", "-n=1"); !strings.Contains(out, `"body":"a"`) || strings.Contains(out, `"body":"b"`) {
		t.Errorf("peek %s", out)
	}
	for _, args := range [][]string{{"channel", "empty", "t", "c"}, {"channel", "delete", "t", "c"}, {"topic", "delete", "t"}} {
		if code, _, bad := try(t, append(args, at...)...); code != exitFailed || !strings.Contains(bad, "2 messages would be lost on 2 nsqd; --force does it") {
			t.Errorf("%q: exit %d %s", args, code, bad)
		}
	}
	do("channel", "empty", "t", "c", "--force")
	do("channel", "delete", "t", "c")
	do("topic", "delete", "t")
	for _, s := range []*nsqtest.Server{one, two} {
		if got := s.Stats().Topics; len(got) != 0 {
			t.Errorf("topics %+v", got)
		}
	}
	if code, _, bad := try(t, append([]string{"topic", "pause", "none"}, at...)...); code != exitFailed || !strings.Contains(bad, "TOPIC_NOT_FOUND") {
		t.Errorf("exit %d %s", code, bad)
	}
}

func TestManage_Nodes(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	s := nsqtest.Start(t, nsqtest.Registered(d), func(o *server.Options) { o.BroadcastAddress = "me.example" })
	s.Publish("t", "a")
	eventually(t, "http://"+d.HTTPAddr()+"/nodes", `"topics":["t"]`)
	at := "--lookupd-http-address=" + d.HTTPAddr()
	if out := ok(t, "node", "list", at); !regexp.MustCompile(`^me.example\ttcp \d+\thttp \d+\tversion 1.3.0\t1 topics\n$`).MatchString(out) {
		t.Errorf("list %q", out)
	}
	if out := ok(t, "node", "list", "--json", at); !strings.HasPrefix(out, `{"producers":[{"remote_address":"`) {
		t.Errorf("JSON %q", out)
	}
	_, port, err := net.SplitHostPort(s.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	ok(t, "node", "tombstone", "t", "me.example:"+port, at)
	if got := get(t, "http://"+d.HTTPAddr()+"/lookup?topic=t"); !strings.Contains(got, `"producers":[]`) {
		t.Errorf("lookup %s", got)
	}
}

func TestManage_Rewind(t *testing.T) {
	s := nsqtest.Start(t, func(o *server.Options) { o.DataPath, o.RetainBytes = t.TempDir(), 1<<20 })
	s.Publish("t", "a")
	at := "--nsqd-http-address=" + s.HTTPAddr()
	tcp := "--nsqd-tcp-address=" + s.TCPAddr()
	for range 2 {
		if got := launch(t, "", "nsqd-lite", "sub", "t", "c", "-n=1", tcp).wait(); got != "a\n" {
			t.Errorf("consumed %q", got)
		}
		ok(t, "channel", "rewind", "t", "c", at)
	}
	if code, _, bad := try(t, "channel", "rewind", "t", "c", "--to=soon", at); code != exitFailed || bad == "" {
		t.Errorf("exit %d %s", code, bad)
	}
}

// TestGenCert_Works: a server with these files, and a client with theirs.
func TestGenCert_Works(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	out := ok(t, "gen-cert", "--dir="+dir, "--host=nsq.example")
	if !strings.Contains(out, "--tls-cert="+filepath.Join(dir, "server.pem")) {
		t.Errorf("printed %s", out)
	}
	for _, name := range []string{"ca", "ca-key", "server", "server-key", "client", "client-key"} {
		if info, err := os.Stat(filepath.Join(dir, name+".pem")); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if code, _, bad := try(t, "gen-cert", "--dir="+dir); code != exitFailed || !strings.Contains(bad, "exists") {
		t.Errorf("again: exit %d %s", code, bad)
	}
	s := nsqtest.Start(t, func(o *server.Options) {
		o.TLSCert, o.TLSKey, o.TLSRootCAFile = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"), filepath.Join(dir, "ca.pem")
		o.TLSClientAuthPolicy, o.TLSRequired = "require-verify", server.TLSRequiredTCP
	})
	s.Publish("t", "secret")
	got := launch(t, "", "nsqd-lite", "sub", "t", "c", "-n=1", "--nsqd-tcp-address="+s.TCPAddr(), "--consumer-opt=tls_v1",
		"--consumer-opt=tls_root_ca_file,"+filepath.Join(dir, "ca.pem"), "--consumer-opt=tls_cert,"+filepath.Join(dir, "client.pem"),
		"--consumer-opt=tls_key,"+filepath.Join(dir, "client-key.pem")).wait()
	if got != "secret\n" {
		t.Errorf("over TLS: %q", got)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || cert.VerifyHostname("nsq.example") != nil || cert.VerifyHostname("127.0.0.1") != nil {
		t.Errorf("names %v %v, %v", cert.DNSNames, cert.IPAddresses, err)
	}
}

func TestConfigDump_Sources(t *testing.T) {
	f := newFake(map[string]string{"NSQD_MAX_RDY_COUNT": "7"}, "nsqd-lite", "config", "dump", "--", "--msg-timeout=5s")
	if code := run(f.process); code != exitOK {
		t.Fatalf("exit %d %s", code, f.err.String())
	}
	for _, want := range []string{"max_rdy_count = 7 # NSQD_MAX_RDY_COUNT\n", "msg_timeout = \"5s\" # command line\n", "mem_queue_size = 10000 # default\n"} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("no %q in\n%s", want, f.out.String())
		}
	}
	if code, _, bad := try(t, "config", "dmup"); code != exitUsage || !strings.Contains(bad, "did you mean dump?") {
		t.Errorf("exit %d %s", code, bad)
	}
}
