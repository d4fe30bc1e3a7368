package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a server that bench started.
type process struct {
	cmd  *exec.Cmd
	args []string // the program and its arguments
	addr string
	http string
	data string
	log  bytes.Buffer
}

// buildLite builds nsqd-lite into a temporary directory when a run needs it.
func buildLite(c config) (bin string, cleanup func(), err error) {
	needed := false
	for _, s := range c.servers {
		needed = needed || isLite(s)
	}
	if !needed || c.addr != "" {
		return "", func() {}, nil
	}
	dir, err := os.MkdirTemp("", "nsqloop-bench-")
	if err != nil {
		return "", nil, err
	}
	bin = filepath.Join(dir, "nsqd-lite")
	build := exec.Command("go", "build", "-o", bin, "github.com/nsqloop/nsqloop/cmd/nsqd-lite")
	if out, err := build.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("build nsqd-lite: %w\n%s", err, out)
	}
	return bin, func() { os.RemoveAll(dir) }, nil
}

// isLite reports whether a server is nsqd-lite from this tree.
func isLite(server string) bool { return server == "" || strings.HasPrefix(server, "nsqd-lite ") }

// startServer starts a server on free ports and waits until it answers.
func startServer(c config, server, lite string) (*process, error) {
	words := strings.Fields(server)
	if isLite(server) {
		words = append([]string{lite, "nsqd"}, words[min(len(words), 1):]...)
	}
	tcp, http, err := freePorts()
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(c.keepData, "nsqloop-bench-data-")
	if err != nil {
		return nil, err
	}
	p := &process{addr: tcp, http: http, data: data}
	p.args = append(words, "-tcp-address="+tcp, "-http-address="+http, "-data-path="+data)
	if err := p.launch(); err != nil {
		os.RemoveAll(data)
		return nil, err
	}
	if err := p.await(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// launch starts the program.
func (p *process) launch() error {
	p.log.Reset()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	return p.cmd.Start()
}

// end ends the program and keeps its data.
func (p *process) end(kill bool) error {
	if kill {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		return nil
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// await dials until the server listens.
func (p *process) await() error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen on %s: %w\n%s", p.cmd.Path, p.addr, err, p.log.String())
		}
		time.Sleep(time.Millisecond)
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the server and removes its data.
func (p *process) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	os.RemoveAll(p.data)
}

// freePorts picks two addresses on loopback that nobody listens on.
func freePorts() (first, second string, err error) {
	var addrs [2]string
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close()
		addrs[i] = l.Addr().String()
	}
	return addrs[0], addrs[1], nil
}

// clockTick is the unit of the times in /proc: USER_HZ, which is 100 on every
// Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime is the processor time that a process has used, where /proc tells.
func cpuTime(pid int) (time.Duration, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The second field is the command in parentheses and may hold anything.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, err1 == nil && err2 == nil
}

// peakMemory is the most resident memory that a process had, where /proc tells.
func peakMemory(pid int) int64 { return statusBytes(pid, "VmHWM:") }

// residentMemory is the resident memory of a process, where /proc tells.
func residentMemory(pid int) int64 { return statusBytes(pid, "VmRSS:") }

func statusBytes(pid int, key string) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), key); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
