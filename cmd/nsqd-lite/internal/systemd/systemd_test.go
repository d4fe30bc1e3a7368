package systemd

import (
	"maps"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func TestManager_Notify(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no datagram sockets with a path")
	}
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := New(env(map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}), 7)
	if !m.Present() || m.Watchdog() != 1500*time.Millisecond {
		t.Errorf("manager %+v", m)
	}
	if err := m.Notify("READY=1", "STATUS=well"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	n, err := l.Read(got)
	if err != nil || string(got[:n]) != "READY=1\nSTATUS=well" {
		t.Errorf("heard %q %v", got[:n], err)
	}
	if m := New(env(map[string]string{"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}), 7); m.Watchdog() != 0 || m.Present() || m.Notify("READY=1") != nil {
		t.Errorf("another process's watchdog: %+v", m)
	}
}

func TestSockets_Names(t *testing.T) {
	for _, row := range []struct {
		vars map[string]string
		want map[string]string
		ok   bool
	}{
		{map[string]string{}, nil, true},
		{map[string]string{"LISTEN_FDS": "2"}, nil, true},
		{map[string]string{"LISTEN_FDS": "2", "LISTEN_PID": "8"}, nil, true},
		{map[string]string{"LISTEN_FDS": "2", "LISTEN_PID": "7"}, map[string]string{"tcp": "fd:3", "http": "fd:4"}, true},
		{map[string]string{"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "http:tcp"}, map[string]string{"http": "fd:3", "tcp": "fd:4"}, true},
		{map[string]string{"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "tcp:tcp"}, nil, false},
		{map[string]string{"LISTEN_FDS": "4", "LISTEN_PID": "7"}, nil, false},
		{map[string]string{"LISTEN_FDS": "x", "LISTEN_PID": "7"}, nil, false},
	} {
		got, err := Sockets(env(row.vars), 7)
		if !maps.Equal(got, row.want) || (err == nil) != row.ok {
			t.Errorf("%v: %v %v", row.vars, got, err)
		}
	}
}
