//go:build !windows

package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// manager is a service manager's end of the notify socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	// Short: the path of a socket has a limit.
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{t: t, path: filepath.Join(dir, "s")}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close() })
	return m
}

// hears waits for a message that contains want.
func (m *manager) hears(want string) string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	for {
		p := make([]byte, 4096)
		n, err := m.conn.Read(p)
		if err != nil {
			m.t.Fatalf("the manager never hears %s: %v", want, err)
		}
		if strings.Contains(string(p[:n]), want) {
			return string(p[:n])
		}
	}
}

// TestService_Notify: the manager hears of the start, of being alive, of a
// reload and of the stop.
func TestService_Notify(t *testing.T) {
	needSignals(t)
	m, dir := newManager(t), t.TempDir()
	config := filepath.Join(dir, "nsqd.toml")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`log_level = "info"`)
	p := start(t, dir, []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=20000"}, nsqd("--config="+config)...)
	m.hears("EXTEND_TIMEOUT_USEC=")
	m.hears("READY=1")
	_, http := p.ready()
	m.hears("WATCHDOG=1\nSTATUS=0 topics, 0 messages waiting")
	post(t, "http://"+http+"/pub?topic=t", "x")
	m.hears("STATUS=1 topics, 1 messages waiting")
	lookupd := nsqtest.StartLookupd(t)
	write("log_level = \"debug\"\nnsqlookupd_tcp_addresses = [\"" + lookupd.TCPAddr() + "\"]")
	p.signal(syscall.SIGHUP)
	m.hears("RELOADING=1\nMONOTONIC_USEC=")
	m.hears("READY=1")
	eventually(t, "http://"+http+"/config/log_level", "1") // debug
	eventually(t, "http://"+lookupd.HTTPAddr()+"/topics", `"t"`)
	write(`log_level = "loud"`)
	p.signal(syscall.SIGHUP)
	p.waitFor("SIGHUP: nothing was changed")
	p.signal(syscall.SIGUSR1)
	p.waitFor("goroutine ")
	p.signal(syscall.SIGTERM)
	m.hears("STOPPING=1")
	if code := p.exit(); code != exitOK {
		t.Errorf("exit %d\n%s", code, strings.Join(p.log, "\n"))
	}
}

// TestService_Sockets: the sockets that the manager has opened are listened on,
// whatever their order.
func TestService_Sockets(t *testing.T) {
	needSignals(t)
	var files []*os.File
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, addrs = append(files, f), append(addrs, l.Addr().String())
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := verbOf(t, "")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `LISTEN_PID=$$ exec "$0" nsqd --data-path=:memory:`, exe}
	cmd.Env = append(cmd.Env, "LISTEN_FDS=2", "LISTEN_FDNAMES=http:tcp")
	cmd.ExtraFiles = files
	log := new(testwait.Buffer)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "ready", func() bool { return strings.Contains(log.String(), " ready ") })
	if res, err := http.Get("http://" + addrs[0] + "/ping"); err != nil || res.StatusCode != 200 {
		t.Errorf("HTTP: %v %v", res, err)
	}
	if !strings.Contains(log.String(), "TCP: listening on "+addrs[1]) {
		t.Errorf("log\n%s", log)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
