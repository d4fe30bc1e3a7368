//go:build linux || darwin

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// withDescriptors in the environment is how many descriptors the program may
// have when a test plays it.
const withDescriptors = "BE_THE_PROGRAM_WITH_DESCRIPTORS"

func init() {
	n, err := strconv.ParseUint(os.Getenv(withDescriptors), 10, 16)
	if err != nil {
		return // nothing is said
	}
	r := syscall.Rlimit{}
	r.Cur, r.Max = n, n
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		panic(err)
	}
}

// rawPublisher is a client that publishes over TCP and waits for each OK.
type rawPublisher struct {
	t  *testing.T
	nc net.Conn
}

func newRawPublisher(t *testing.T, tcp string) *rawPublisher {
	t.Helper()
	nc, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(45 * time.Second))
	if _, err := io.WriteString(nc, "  V2"); err != nil {
		t.Fatal(err)
	}
	return &rawPublisher{t, nc}
}

// publish publishes and returns the answer.
func (p *rawPublisher) publish(topic, body string) string {
	p.t.Helper()
	b := fmt.Appendf(nil, "PUB %s\n", topic)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	if _, err := p.nc.Write(append(b, body...)); err != nil {
		p.t.Fatal(err)
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(p.nc, head); err != nil {
		p.t.Fatal(err)
	}
	data := make([]byte, binary.BigEndian.Uint32(head)-4)
	if _, err := io.ReadFull(p.nc, data); err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

// TestProgram_DescriptorsUsedUp: clients that hold every descriptor they can
// get keep nobody from publishing who is there, to new topics too, and lose
// nothing; those that wait are served as soon as some have gone.
func TestProgram_DescriptorsUsedUp(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, []string{withDescriptors + "=128"}, nsqd()...)
	tcp, http := p.ready()
	a := newRawPublisher(t, tcp)
	acked := map[string]int{}
	publish := func(topic string) {
		t.Helper()
		if got := a.publish(topic, strings.Repeat("x", 100)); got != "OK" {
			t.Fatalf("PUB %s is answered %q", topic, got)
		}
		acked[topic]++
	}
	publish("before")

	var held []net.Conn
	hold := func(addr string, n int, says string) {
		for range n {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, nc)
			if _, err := io.WriteString(nc, says); err != nil {
				t.Fatal(err)
			}
		}
	}
	const silent = "  V2IDENTIFY\n\x00\x00\x00\x02{}" // and then nothing
	hold(tcp, 120, silent)
	began := time.Now()
	hold(http, 60, "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
	p.waitFor("some are kept for files")
	for i := range 8 {
		for range 25 {
			publish(fmt.Sprintf("new%d", i))
			publish("before")
		}
	}

	// Whoever comes now waits, and is there soon after the others have gone.
	late := newRawPublisher(t, tcp)
	for _, nc := range held {
		nc.Close()
	}
	freed := time.Now()
	if got := late.publish("before", "x"); got != "OK" {
		t.Fatalf("PUB is answered %q", got)
	}
	acked["before"]++
	t.Logf("served %v after the others had gone", time.Since(freed).Round(time.Millisecond))
	if body := get(t, "http://"+http+"/ping"); body != "OK" {
		t.Errorf("/ping: %s", body)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.exit()
	lines := 0
	for _, line := range p.log {
		if strings.Contains(line, "some are kept for files") || strings.Contains(line, "too many open files") {
			lines++
		}
	}
	// Two listeners, each once a second.
	if most := 2 * (int(time.Since(began)/time.Second) + 2); lines > most {
		t.Errorf("%d lines of log about it, want %d at most", lines, most)
	}

	p = start(t, dir, nil, nsqd()...)
	_, http = p.ready()
	for topic, n := range acked {
		if body := get(t, "http://"+http+"/stats?format=json&topic="+topic); !strings.Contains(body, fmt.Sprintf(`"channels":[],"depth":%d,`, n)) {
			t.Errorf("of %d messages acknowledged to %s: %s", n, topic, body)
		}
	}
}
