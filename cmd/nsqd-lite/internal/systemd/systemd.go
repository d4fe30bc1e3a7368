// Package systemd tells a service manager how it goes, and takes the sockets
// that it hands over. Where there is none, everything does nothing.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Manager is who started the process.
type Manager struct {
	socket   string // "" for none that wants to know
	watchdog time.Duration
}

// New looks into the environment for the manager of process pid.
func New(getenv func(string) (string, bool), pid int) Manager {
	var m Manager
	m.socket, _ = getenv("NOTIFY_SOCKET")
	if usec, ok := getenv("WATCHDOG_USEC"); ok && meant(getenv, "WATCHDOG_PID", pid, true) {
		n, err := strconv.ParseInt(usec, 10, 64)
		if err == nil && n > 0 {
			m.watchdog = time.Duration(n) * time.Microsecond
		}
	}
	return m
}

// meant says whether a variable names pid; missing is what counts without it.
func meant(getenv func(string) (string, bool), name string, pid int, missing bool) bool {
	text, ok := getenv(name)
	if !ok {
		return missing
	}
	return text == strconv.Itoa(pid)
}

// Present says whether somebody listens.
func (m Manager) Present() bool { return m.socket != "" }

// Watchdog is how often the manager wants to hear of a process that is well, so
// that one message may be lost; 0 when it does not care.
func (m Manager) Watchdog() time.Duration { return m.watchdog / 2 }

// Notify tells the manager, as lines like "READY=1".
func (m Manager) Notify(lines ...string) error {
	if m.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	_, err = c.Write([]byte(strings.Join(lines, "\n")))
	return errors.Join(err, c.Close())
}

// firstSocket is the descriptor of the first socket that is handed over.
const firstSocket = 3

// Sockets are the addresses of the sockets handed over to process pid, by their
// names: "fd:3" and so on, which package loop listens on. Without names they are
// tcp, http and https, in this order.
func Sockets(getenv func(string) (string, bool), pid int) (map[string]string, error) {
	count, ok := getenv("LISTEN_FDS")
	if !ok || !meant(getenv, "LISTEN_PID", pid, false) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 16 {
		return nil, fmt.Errorf("LISTEN_FDS=%s: want a number up to 16", count)
	}
	names := []string{"tcp", "http", "https"}
	if given, ok := getenv("LISTEN_FDNAMES"); ok && given != "" {
		names = strings.Split(given, ":")
	}
	if len(names) < n {
		return nil, fmt.Errorf("LISTEN_FDS=%d: want FileDescriptorName= for each socket", n)
	}
	sockets := map[string]string{}
	for i, name := range names[:n] {
		if sockets[name] != "" {
			return nil, fmt.Errorf("two sockets are called %s", name)
		}
		sockets[name] = "fd:" + strconv.Itoa(firstSocket+i)
	}
	return sockets, nil
}

// PID is this process.
func PID() int { return os.Getpid() }
