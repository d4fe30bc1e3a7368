package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beTheProgram in the environment makes the test binary play the program, so
// that tests can start it, signal it and see it exit.
const beTheProgram = "BE_THE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(beTheProgram) != "" {
		main()
		return
	}
	if os.Getenv(beTheAttacker) != "" {
		throwBomb(os.Args)
		return
	}
	os.Exit(m.Run())
}

// program is a running nsqd-lite.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  []string // the lines read so far
	next func() (string, bool)
}

// start runs the program as args[0] in dir, with env on top of nothing.
func start(t *testing.T, dir string, env []string, args ...string) *program {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// One that does not end is a failure, not a test that hangs.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p := &program{t: t, cmd: exec.CommandContext(ctx, exe)}
	p.cmd.Args, p.cmd.Dir, p.cmd.Env = args, dir, append(env[:len(env):len(env)], beTheProgram+"=1")
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // most have exited
		_ = p.cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	p.next = func() (string, bool) {
		ok := lines.Scan()
		return lines.Text(), ok
	}
	return p
}

// waitFor reads the log up to the line that contains want.
func (p *program) waitFor(want string) string {
	p.t.Helper()
	for {
		line, ok := p.next()
		if !ok {
			p.t.Fatalf("the program ended without %q:\n%s", want, strings.Join(p.log, "\n"))
		}
		p.log = append(p.log, line)
		if strings.Contains(line, want) {
			return line
		}
	}
}

// ready waits until the program serves, and returns its addresses.
func (p *program) ready() (tcp, http string) {
	p.t.Helper()
	line := p.waitFor(" ready ")
	return field(line, "tcp"), field(line, "http")
}

// field is the value of key=value in a log line.
func field(line, key string) string {
	_, rest, _ := strings.Cut(line, " "+key+"=")
	value, _, _ := strings.Cut(rest, " ")
	return strings.Trim(value, `"`)
}

// exit waits for the end and returns the exit code. All the log is in p.log.
func (p *program) exit() int {
	p.t.Helper()
	for {
		line, ok := p.next()
		if !ok {
			break
		}
		p.log = append(p.log, line)
	}
	err := p.cmd.Wait()
	var code *exec.ExitError
	if err != nil && !errors.As(err, &code) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// eventually asks until the answer contains want.
func eventually(t *testing.T, url, want string) {
	t.Helper()
	deadline, again := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for {
		got := get(t, url)
		if strings.Contains(got, want) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %s has no %s", url, got, want)
		case <-again.C:
		}
	}
}

func post(t *testing.T, url, body string) {
	t.Helper()
	res, err := http.Post(url, "", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("%s: %s", url, res.Status)
	}
}

func needSignals(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
}

var freePorts = []string{"--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"}

func nsqd(more ...string) []string {
	return append(append([]string{"nsqd"}, freePorts...), more...)
}

// TestProgram_StartAndStop is 205, 213 to 215: under each name and with each
// signal, what was acknowledged is there again after a stop.
func TestProgram_StartAndStop(t *testing.T) {
	needSignals(t)
	dir := t.TempDir()
	for i, row := range []struct {
		args []string
		sig  os.Signal
	}{
		{append([]string{"nsqd"}, freePorts...), syscall.SIGTERM},
		{append([]string{"nsqd-lite", "nsqd"}, freePorts...), syscall.SIGINT},
		{append([]string{"nsqd-lite"}, freePorts...), syscall.SIGTERM},
	} {
		p := start(t, dir, nil, row.args...)
		tcp, http := p.ready()
		if got := get(t, "http://"+http+"/ping"); got != "OK" {
			t.Fatalf("ping: %q", got)
		}
		want := fmt.Sprintf(`"topic_name":"t","channels":[],"depth":%d,`, i)
		if body := get(t, "http://"+http+"/stats?format=json"); i > 0 && !strings.Contains(body, want) {
			t.Errorf("start %d: %s has no %s", i, body, want)
		}
		post(t, "http://"+http+"/pub?topic=t", "x")
		// 215: a connection that says nothing does not hold up the stop.
		silent, err := net.Dial("tcp", tcp)
		if err != nil {
			t.Fatal(err)
		}
		p.signal(row.sig)
		if code := p.exit(); code != exitOK {
			t.Errorf("%v after %v: exit %d\n%s", row.args, row.sig, code, strings.Join(p.log, "\n"))
		}
		silent.Close()
		if last := p.log[len(p.log)-1]; !strings.HasSuffix(last, "INFO: NSQ: bye") {
			t.Errorf("last line %q", last)
		}
	}
}

// TestProgram_LogFormat: each line is one of nsqd's.
func TestProgram_LogFormat(t *testing.T) {
	needSignals(t)
	p := start(t, t.TempDir(), nil, nsqd("--log-prefix=[x] ", "--node-id=7")...)
	tcp, http := p.ready()
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Fatalf("exit %d", code)
	}
	for _, want := range []string{"INFO: TCP: listening on " + tcp, "INFO: HTTP: listening on " + http} {
		if !slices.ContainsFunc(p.log, func(line string) bool { return strings.HasSuffix(line, want) }) {
			t.Errorf("no line %q", want)
		}
	}
	form := regexp.MustCompile(`^\[x\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} (DEBUG|INFO|WARNING|ERROR|FATAL): \S`)
	for _, line := range p.log {
		if !form.MatchString(line) {
			t.Errorf("line %q", line)
		}
	}
	if !strings.Contains(p.log[0], "INFO: nsqd v1.3.0 (built w/go") || !strings.HasSuffix(p.log[1], "INFO: ID: 7") {
		t.Errorf("first lines %q", p.log[:2])
	}
}

// TestProgram_Kill is 216: after SIGKILL the path is free and nothing is lost.
func TestProgram_Kill(t *testing.T) {
	needSignals(t)
	dir := t.TempDir()
	p := start(t, dir, nil, nsqd()...)
	_, http := p.ready()
	post(t, "http://"+http+"/mpub?topic=t", "a\nb\nc")
	p.signal(syscall.SIGKILL)
	p.exit()
	p = start(t, dir, nil, nsqd()...)
	_, http = p.ready()
	if body := get(t, "http://"+http+"/stats?format=json"); !strings.Contains(body, `"topic_name":"t","channels":[],"depth":3,`) {
		t.Errorf("after the kill: %s", body)
	}
}

// TestProgram_SecondSignal: a stop that waits for a request does not wait any
// more when it is asked again.
func TestProgram_SecondSignal(t *testing.T) {
	needSignals(t)
	p := start(t, t.TempDir(), nil, nsqd()...)
	_, http := p.ready()
	defer hang(t, http).Close()
	p.signal(syscall.SIGTERM)
	p.waitFor("NSQ: stopping")
	p.signal(syscall.SIGINT)
	if code := p.exit(); code != exitInterrupt {
		t.Errorf("exit %d, want %d\n%s", code, exitInterrupt, strings.Join(p.log, "\n"))
	}
}

// TestProgram_DrainTimeout: a stop that waits too long is cut off, and says so.
func TestProgram_DrainTimeout(t *testing.T) {
	needSignals(t)
	p := start(t, t.TempDir(), nil, nsqd("--drain-timeout=50ms")...)
	_, http := p.ready()
	defer hang(t, http).Close()
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitCutOff {
		t.Errorf("exit %d, want %d\n%s", code, exitCutOff, strings.Join(p.log, "\n"))
	}
}

// hang begins a publish and does not finish it. When it returns, the request
// is running.
func hang(t *testing.T, http string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", http)
	if err != nil {
		t.Fatal(err)
	}
	// 100-continue is sent when the handler begins to read the body.
	if _, err := io.WriteString(c, "POST /pub?topic=t HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q %v", line, err)
	}
	return c
}

// TestProgram_Lite: without flags, on loopback, the data beside, made if need be.
func TestProgram_Lite(t *testing.T) {
	needSignals(t)
	dir := t.TempDir()
	env := []string{"NSQD_TCP_ADDRESS=127.0.0.1:0", "NSQD_HTTP_ADDRESS=127.0.0.1:0", "NSQLOOKUPD_TCP_ADDRESS=127.0.0.1:0", "NSQLOOKUPD_HTTP_ADDRESS=127.0.0.1:0", "NSQADMIN_HTTP_ADDRESS=127.0.0.1:0"}
	for _, data := range []string{`"./nsqd-data (created)"`, "./nsqd-data"} {
		p := start(t, dir, env, "nsqd-lite")
		line := p.waitFor(" ready ")
		if !strings.Contains(line, " role=nsqd-lite ") || !strings.Contains(line, " data="+data+" ") {
			t.Errorf("line %q, want data=%s", line, data)
		}
		if body := get(t, "http://"+field(line, "http")+"/info"); !strings.Contains(body, `"broadcast_address":"127.0.0.1"`) || !strings.Contains(body, `"lite_version":"`+liteVersion+`"`) {
			t.Errorf("info %s", body)
		}
		post(t, "http://"+field(line, "http")+"/topic/create?topic=t", "")
		_, port, _ := net.SplitHostPort(field(line, "tcp"))
		eventually(t, "http://"+field(line, "lookup_http")+"/lookup?topic=t", `"broadcast_address":"127.0.0.1","tcp_port":`+port+`,`)
		eventually(t, "http://"+field(line, "admin_http")+"/api/topics/t", `"hostname":"","topic_name":"t"`)
		p.signal(syscall.SIGINT)
		if code := p.exit(); code != exitOK {
			t.Errorf("exit %d\n%s", code, strings.Join(p.log, "\n"))
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "nsqd-data")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data path: %v %v", info, err)
	}
}

// TestProgram_Occupied is 212, 213 and 220: what belongs to somebody else is
// named, with the way out, and nothing hangs.
func TestProgram_Occupied(t *testing.T) {
	needSignals(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	dir := t.TempDir()
	holder := start(t, dir, nil, nsqd()...)
	holderTCP, _ := holder.ready()
	lite := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(lite, "nsqd-data")); err != nil {
		t.Fatal(err)
	}
	liteEnv := []string{"NSQADMIN_HTTP_ADDRESS=127.0.0.1:0", "NSQLOOKUPD_TCP_ADDRESS=127.0.0.1:0", "NSQLOOKUPD_HTTP_ADDRESS=127.0.0.1:0", "NSQD_TCP_ADDRESS=127.0.0.1:0", "NSQD_HTTP_ADDRESS=127.0.0.1:0"}
	for _, row := range []struct {
		name string
		dir  string
		env  []string
		args []string
		code int
		want []string
	}{
		{"TCP port", t.TempDir(), nil, []string{"nsqd", "--tcp-address=" + taken, freePorts[1]}, 1,
			[]string{"FATAL: failed to instantiate nsqd - listen (" + taken + ") failed - ", "address already in use", "nsqd's --tcp-address=127.0.0.1:0 picks a free port"}},
		{"TCP port of another server", t.TempDir(), nil, []string{"nsqd", "--tcp-address=" + holderTCP, freePorts[1]}, 1,
			[]string{"listen (" + holderTCP + ") failed"}},
		{"HTTP port", t.TempDir(), nil, []string{"nsqd", "--http-address=" + taken, freePorts[0]}, 1,
			[]string{"listen (" + taken + ") failed", "--http-address=127.0.0.1:0 picks"}},
		{"port of the server without flags", t.TempDir(), append(liteEnv[:4:4], "NSQD_HTTP_ADDRESS="+taken), []string{"nsqd-lite"}, 3,
			[]string{"listen (" + taken + ") failed", "nsqd-lite's NSQD_HTTP_ADDRESS=127.0.0.1:0"}},
		{"port of nsqlookupd", t.TempDir(), nil, []string{"nsqlookupd", "--tcp-address=127.0.0.1:0", "--http-address=" + taken}, 1,
			[]string{"failed to instantiate nsqlookupd - listen (" + taken + ") failed", "nsqlookupd's --http-address=127.0.0.1:0 picks"}},
		{"port of the nsqlookupd beside it", t.TempDir(), append(liteEnv[2:5:5], "NSQADMIN_HTTP_ADDRESS=127.0.0.1:0", "NSQLOOKUPD_TCP_ADDRESS="+taken), []string{"nsqd-lite"}, 3,
			[]string{"failed to instantiate nsqlookupd - listen (" + taken + ") failed", "nsqd-lite's NSQLOOKUPD_TCP_ADDRESS=127.0.0.1:0"}},
		{"port of the admin page beside it", t.TempDir(), append(liteEnv[1:5:5], "NSQADMIN_HTTP_ADDRESS="+taken), []string{"nsqd-lite"}, 3,
			[]string{"failed to instantiate nsqadmin - listen (" + taken + ") failed", "nsqd-lite's NSQADMIN_HTTP_ADDRESS=127.0.0.1:0"}},
		{"port of nsqadmin", t.TempDir(), nil, []string{"nsqadmin", "--nsqd-http-address=127.0.0.1:1", "--http-address=" + taken}, 1,
			[]string{"failed to instantiate nsqadmin - listen (" + taken + ") failed", "nsqadmin's --http-address=127.0.0.1:0 picks"}},
		{"data path", dir, nil, nsqd(), 1,
			[]string{"FATAL: failed to instantiate nsqd - failed to lock data-path: cannot flock directory " + dir + " - resource temporarily unavailable (possibly in use by another instance of nsqd)"}},
		{"data path of the server without flags", lite, liteEnv, []string{"nsqd-lite"}, 3,
			[]string{"failed to lock data-path: cannot flock directory ./nsqd-data"}},
		{"missing data path", t.TempDir(), nil, nsqd("--data-path=/nonexistent/nsqd"), 1,
			[]string{"failed to instantiate nsqd - failed to lock data-path: open /nonexistent/nsqd: no such file or directory"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := start(t, row.dir, row.env, row.args...)
			code := p.exit()
			log := strings.Join(p.log, "\n")
			if code != row.code {
				t.Errorf("exit %d, want %d\n%s", code, row.code, log)
			}
			for _, want := range row.want {
				if !strings.Contains(log, want) {
					t.Errorf("no %q in\n%s", want, log)
				}
			}
			for _, line := range p.log {
				if !strings.HasPrefix(line, "[nsq") {
					t.Errorf("line %q is not of the log", line)
				}
			}
		})
	}
}

// TestProgram_Memory: nothing is written with the data path :memory:.
func TestProgram_Memory(t *testing.T) {
	needSignals(t)
	dir := t.TempDir()
	p := start(t, dir, nil, nsqd("--data-path=:memory:")...)
	_, http := p.ready()
	post(t, "http://"+http+"/pub?topic=t", "x")
	if body := get(t, "http://"+http+"/info"); !strings.Contains(body, `"sync":"memory"`) {
		t.Errorf("info %s", body)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit %d", code)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("files %v %v, want none", files, err)
	}
}

// TestProgram_UnixSocket is 225.
func TestProgram_UnixSocket(t *testing.T) {
	needSignals(t)
	dir := t.TempDir()
	p := start(t, dir, nil, "nsqd", "-tcp-address", "nsqd.sock", freePorts[1])
	_, http := p.ready()
	if body := get(t, "http://"+http+"/info"); !strings.Contains(body, `"tcp_port":-1,`) {
		t.Errorf("info %s", body)
	}
	c, err := net.Dial("unix", filepath.Join(dir, "nsqd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestProgram_Discovery: an nsqd registers with two nsqlookupds, one of which
// comes later; each of them stops cleanly.
func TestProgram_Discovery(t *testing.T) {
	needSignals(t)
	lookupd := func(tcp string) *program {
		return start(t, t.TempDir(), []string{"NSQLOOKUPD_HTTP_ADDRESS=127.0.0.1:0"}, "nsqlookupd", "-tcp-address", tcp)
	}
	first := lookupd("127.0.0.1:0")
	tcp, http1 := first.ready()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	later := l.Addr().String()
	l.Close()
	p := start(t, t.TempDir(), nil, nsqd("--lookupd-tcp-address="+tcp, "--lookupd-tcp-address="+later, "--broadcast-address=me.example")...)
	_, http := p.ready()
	post(t, "http://"+http+"/pub?topic=t", "x")
	post(t, "http://"+http+"/channel/create?topic=t&channel=c", "")
	second := lookupd(later)
	_, http2 := second.ready()
	for _, h := range []string{http1, http2} {
		eventually(t, "http://"+h+"/channels?topic=t", `{"channels":["c"]}`)
		eventually(t, "http://"+h+"/nodes", `"broadcast_address":"me.example"`)
	}
	for _, x := range []*program{p, first, second} {
		x.signal(syscall.SIGTERM)
		if code := x.exit(); code != exitOK {
			t.Errorf("exit %d\n%s", code, strings.Join(x.log, "\n"))
		}
	}
	if first := first.log[0]; !strings.HasPrefix(first, "[nsqlookupd] ") || !strings.Contains(first, "INFO: nsqlookupd v1.3.0 (built w/go") {
		t.Errorf("first line %q", first)
	}
}
