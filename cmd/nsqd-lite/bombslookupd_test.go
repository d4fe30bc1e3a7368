package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// lookupdMost is what an nsqlookupd may have in memory, whatever is done to it.
const lookupdMost = 64 << 20

// lookupdBombs are thrown at an nsqlookupd with its default limits.
var lookupdBombs = []bomb{
	{"IDENTIFY without end", func(b *bombing, _ int) { b.pour(b.tcp, "  V1IDENTIFY\n\x7f\xff\xff\xff", zeros) }, 20, false},
	{"IDENTIFY of 16 KB and silence", lookupdIdentity, 8, false},
	{"line without end", func(b *bombing, _ int) { b.pour(b.tcp, "  V1", zeros) }, 20, false},
	{"registrations", registrations, 16, false},
	{"topics over HTTP", lookupdTopics, 8, false},
	{"connections that say nothing", func(b *bombing, _ int) { b.hold(b.tcp, "") }, 8, false},
	{"requests that stay half", func(b *bombing, _ int) { b.hold(b.http, "GET /topics HTTP/1.1\r\nHost: x\r\nX: ") }, 8, false},
	{"body without end", chunked("/topic/create?topic=t", ""), 40, false},
	{"replies not read, over TCP", func(b *bombing, _ int) {
		b.pour(b.tcp, lookupdHello(0), []byte(strings.Repeat("PING\n", 10_000)))
	}, 20, false},
	{"replies not read, over HTTP", lookupdDeaf, 40, false},
}

// TestBombs_Lookupd: the same for an nsqlookupd.
func TestBombs_Lookupd(t *testing.T) {
	needBombs(t)
	for _, b := range lookupdBombs {
		t.Run(b.name, func(t *testing.T) {
			p := start(t, t.TempDir(), nil, append([]string{"nsqlookupd"}, freePorts...)...)
			tcp, http := p.ready()
			c := dialCanary(t, tcp)
			c.say("  V1")
			p.bombed("nsqlookupd", b, tcp, http, c.ping)
			c.report("the canary", peakMemory(t, p.cmd.Process.Pid), lookupdMost)
		})
	}
}

// ping is what an nsqd says to an nsqlookupd now and then.
func (c *canary) ping() {
	c.t.Helper()
	began := time.Now()
	c.say("PING\n")
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.c, head); err != nil {
		c.t.Fatalf("the canary waits for an answer: %v", err)
	}
	data := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(c.c, data); err != nil || string(data) != "OK" {
		c.t.Fatalf("the canary hears %q, %v", data, err)
	}
	c.waits = append(c.waits, time.Since(began))
}

// lookupdHello is the magic and an IDENTIFY with a text of n bytes.
func lookupdHello(n int) string {
	body := fmt.Sprintf(`{"broadcast_address":"a","hostname":%q,"tcp_port":1,"http_port":1,"version":"1"}`, strings.Repeat("x", n))
	return string(binary.BigEndian.AppendUint32([]byte("  V1IDENTIFY\n"), uint32(len(body)))) + body
}

// lookupdIdentity makes nsqds that say much of themselves, and stay.
func lookupdIdentity(b *bombing, _ int) { b.hold(b.tcp, lookupdHello(15<<10)) }

// registrations are as many names as there can be, of many nsqds.
func registrations(b *bombing, id int) {
	n := 0
	b.each(b.tcp, func(c *bombConn) {
		_, err := io.WriteString(c, lookupdHello(0))
		for err == nil {
			var lines strings.Builder
			for range 1000 {
				n++
				fmt.Fprintf(&lines, "REGISTER t%050d c%050d\n", id*1_000_000+n, n)
			}
			if _, err = io.WriteString(c, lines.String()); err == nil {
				_, err = io.CopyN(io.Discard, c, 1000*6) // an OK each, or more of an error
			}
		}
	})
}

// lookupdTopics makes topics known that nobody has.
func lookupdTopics(b *bombing, id int) {
	n := 0
	b.each(b.http, func(c *bombConn) {
		var requests strings.Builder
		for range 100 {
			n++
			fmt.Fprintf(&requests, "POST /topic/create?topic=t%050d HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n", id*1_000_000+n)
		}
		if _, err := io.WriteString(c, requests.String()+"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	})
}

// lookupdDeaf asks for everything that many have registered, and reads nothing.
func lookupdDeaf(b *bombing, id int) {
	if id < 4 {
		registrations(b, id)
		return
	}
	path := []string{"/debug", "/nodes", "/topics", "/metrics"}[id%4]
	b.each(b.http, func(c *bombConn) {
		if _, err := io.WriteString(c, strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)); err == nil {
			<-b.ctx.Done()
		}
	})
}
