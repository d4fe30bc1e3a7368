package main

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// consumer subscribes to t/c over a socket, ready for one message.
func consumer(t *testing.T, tcp string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil { // less than a message's timeout
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "  V2SUB t c\nRDY 1\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// message reads frames up to the first message.
func message(t *testing.T, c net.Conn) (body string, attempts uint16) {
	t.Helper()
	for {
		var head [8]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, binary.BigEndian.Uint32(head[:])-4)
		if _, err := io.ReadFull(c, data); err != nil {
			t.Fatal(err)
		}
		if binary.BigEndian.Uint32(head[4:]) == 2 {
			return string(data[26:]), binary.BigEndian.Uint16(data[8:])
		}
	}
}

// TestProgram_RequeueOnDisconnect: what a consumer had that went away is with
// the next one long before its timeout.
func TestProgram_RequeueOnDisconnect(t *testing.T) {
	p := start(t, t.TempDir(), nil, nsqd("--data-path=:memory:", "--requeue-on-disconnect")...)
	tcp, http := p.ready()
	post(t, "http://"+http+"/pub?topic=t", "hello")
	first := consumer(t, tcp)
	if body, attempts := message(t, first); body != "hello" || attempts != 1 {
		t.Fatalf("first %q, attempt %d", body, attempts)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if body, attempts := message(t, consumer(t, tcp)); body != "hello" || attempts != 2 {
		t.Errorf("second %q, attempt %d", body, attempts)
	}
}
