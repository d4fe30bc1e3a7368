package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nsqloop/nsqloop/internal/testwait"
)

// written are the lines of the files that match pattern.
func written(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)
	}
	return lines
}

// TestWalkthrough is the first text about NSQ that many people read, command by
// command: the daemons, nsqadmin among them, messages with curl to /put,
// nsq_to_file, cat. What was published before nsq_to_file is in the file, and is
// finished.
func TestWalkthrough(t *testing.T) {
	needSignals(t)
	dir := t.TempDir()
	lookupd := start(t, dir, nil, "nsqlookupd", "-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0")
	lookupdTCP, lookupdHTTP := lookupd.ready()
	nsqd := start(t, dir, nil, "nsqd", "--lookupd-tcp-address="+lookupdTCP, "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--broadcast-address=127.0.0.1")
	_, nsqdHTTP := nsqd.ready()
	admin := start(t, dir, nil, "nsqadmin", "--lookupd-http-address="+lookupdHTTP, "--http-address=127.0.0.1:0")
	_, page := admin.ready()
	for _, body := range []string{"hello world 1", "hello world 2", "hello world 3"} {
		post(t, "http://"+nsqdHTTP+"/put?topic=test", body)
	}
	out := t.TempDir()
	tool := start(t, dir, nil, "nsq_to_file", "--topic=test", "--output-dir="+out, "--lookupd-http-address="+lookupdHTTP)
	want := []string{"hello world 1", "hello world 2", "hello world 3"}
	testwait.Until(t, "three lines", func() bool { return slices.Equal(written(t, filepath.Join(out, "test.*.log")), want) })
	eventually(t, "http://"+page+"/api/topics/test/nsq_to_file", `"channel_name":"nsq_to_file","depth":0,`)
	// A second later all is finished: nobody waits for the interval of 30 s.
	eventually(t, "http://"+nsqdHTTP+"/stats?format=json", `"channel_name":"nsq_to_file","depth":0,"backend_depth":0,"in_flight_count":0,`)
	tool.signal(syscall.SIGHUP)
	post(t, "http://"+nsqdHTTP+"/put?topic=test", "hello world 4")
	want = append(want, "hello world 4")
	testwait.Until(t, "the line after SIGHUP", func() bool { return slices.Equal(written(t, filepath.Join(out, "test.*.log")), want) })
	for _, p := range []*program{tool, admin, nsqd, lookupd} {
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != exitOK {
			t.Errorf("exit %d\n%s", code, strings.Join(p.log, "\n"))
		}
	}
}
