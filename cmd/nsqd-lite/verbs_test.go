package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// verbOf prepares a run of the program as a client.
func verbOf(t *testing.T, stdin string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe)
	cmd.Args, cmd.Env = append([]string{"nsqd-lite"}, args...), []string{beTheProgram + "=1"}
	cmd.Stdin = strings.NewReader(stdin)
	return cmd
}

// output runs the program as a client to its end.
func output(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := verbOf(t, stdin, args...)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), bad.String(), cmd.ProcessState.ExitCode()
}

func TestVerbs_PublishAndTail(t *testing.T) {
	p := start(t, t.TempDir(), nil, nsqd("--data-path=:memory:")...)
	_, http := p.ready()
	at := "--nsqd-http-address=" + http
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("whole\nfile"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, run := range []struct {
		stdin string
		args  []string
	}{
		{"", []string{"pub", "t", "one", at}},
		{"two\n\nthree\r\nfour", []string{"pub", at, "t", "-"}},
		{"five\n\xff\n", []string{"pub", at, "t"}},
		{"six\x00se\nven\x00", []string{"pub", "-nsqd-http-address", http, "t", "-0", "-batch=1", "-rate=1e6"}},
		{"", []string{"pub", at, "t", "--file=" + file, "--whole"}},
	} {
		if out, bad, code := output(t, run.stdin, run.args...); code != 0 || out != "" || bad != "" {
			t.Fatalf("%q: %d %q %q", run.args, code, out, bad)
		}
	}
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"tail", "t", at, "--count=9"}, "one\ntwo\nthree\nfour\nfive\n\xff\nsix\nse\nven\nwhole\nfile\n"},
		{[]string{"tail", at, "-n", "2", "--count", "2", "t"}, "se\nven\nwhole\nfile\n"},
		{[]string{"tail", at, "--count=1", "t"}, "one\n"},
	} {
		if out, bad, code := output(t, "", row.args...); code != 0 || out != row.want || bad != "" {
			t.Errorf("%q: %d %q %q, want %q", row.args, code, out, bad, row.want)
		}
	}
	out, _, _ := output(t, "", "tail", at, "-n=4", "--count=1", "--json", "t")
	if !strings.HasPrefix(out, `{"id":"`) || !strings.Contains(out, `"encoding":"base64","body":"/w=="}`) || strings.Count(out, "\n") != 1 {
		t.Errorf("as JSON: %q", out)
	}
	if stats := get(t, "http://"+http+"/stats?format=json"); !strings.Contains(stats, `"depth":9`) {
		t.Errorf("somebody has consumed: %s", stats)
	}
}

// TestVerbs_TailFollows shows what was there and what comes, each once, until
// the server stops.
func TestVerbs_TailFollows(t *testing.T) {
	needSignals(t)
	p := start(t, t.TempDir(), nil, nsqd("--data-path=:memory:")...)
	_, http := p.ready()
	post(t, "http://"+http+"/pub?topic=t", "before")
	cmd := verbOf(t, "", "tail", "t", "--nsqd-http-address=http://"+http+"/")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has exited, mostly
	lines := bufio.NewScanner(stdout)
	next := func() string {
		if !lines.Scan() {
			t.Fatal("the tail has ended")
		}
		return lines.Text()
	}
	if got := next(); got != "before" {
		t.Errorf("history %q", got)
	}
	// The history is shown: so the stream has begun.
	post(t, "http://"+http+"/mpub?topic=t", "a\nb\n")
	if a, b := next(), next(); a != "a" || b != "b" {
		t.Errorf("followed %q %q", a, b)
	}
	p.signal(os.Interrupt)
	if code := p.exit(); code != 0 {
		t.Errorf("the server's exit code is %d with a tail on it", code)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the tail: %v", err)
	}
}

func TestVerbs_Deferred(t *testing.T) {
	p := start(t, t.TempDir(), nil, nsqd("--data-path=:memory:")...)
	_, http := p.ready()
	post(t, "http://"+http+"/topic/create?topic=t", "")
	post(t, "http://"+http+"/channel/create?topic=t&channel=c", "")
	if _, bad, code := output(t, "", "pub", "t", "later", "--defer=1m", "--nsqd-http-address="+http); code != 0 {
		t.Fatalf("%d %s", code, bad)
	}
	if stats := get(t, "http://"+http+"/stats?format=json"); !strings.Contains(stats, `"deferred_count":1`) {
		t.Errorf("stats %s", stats)
	}
}

func TestVerbs_Errors(t *testing.T) {
	p := start(t, t.TempDir(), nil, nsqd("--data-path=:memory:")...)
	_, http := p.ready()
	at := "--nsqd-http-address=" + http
	for _, row := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"tail", "t", at}, 1, "nsqd-lite tail: topic t: GET /topic/tap: TOPIC_NOT_FOUND: This server has no topic"},
		{[]string{"pub", "t t", "x", at}, 1, "INVALID_TOPIC"},
		{[]string{"pub", "t", "x", "--nsqd-http-address=127.0.0.1:1"}, 1, "--nsqd-http-address says where"},
		{[]string{"tail"}, 2, "name one topic\nusage: nsqd-lite tail TOPIC"},
		{[]string{"tail", "t", "u"}, 2, "name one topic"},
		{[]string{"tail", "t", "--nope"}, 2, "-nope"},
		{[]string{"pub", "t", "x", "--null"}, 2, "leaves nothing for --file, --null or --whole to say"},
		{[]string{"pub", "t", "--null", "--whole"}, 2, "--null and --whole do not go together"},
		{[]string{"pub", "t", "--batch=0"}, 2, "--batch must be more than 0"},
		{[]string{"pub", "t", "--file=/nonexistent/file"}, 1, "--file: open /nonexistent/file"},
	} {
		if out, bad, code := output(t, "", row.args...); code != row.code || !strings.Contains(bad, row.want) || out != "" {
			t.Errorf("%q: %d %q %q, want %d and %q", row.args, code, out, bad, row.code, row.want)
		}
	}
}
