package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// talk is a conversation with a server over a socket.
type talk struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialTalk(t *testing.T, addr string, hello []byte) *talk {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	k := &talk{t, c, bufio.NewReader(c)}
	k.send(append([]byte(wire.MagicV2), hello...))
	return k
}

func (k *talk) send(b []byte) {
	k.t.Helper()
	if _, err := k.Write(b); err != nil {
		k.t.Fatal(err)
	}
}

// frame reads one frame that is no heartbeat.
func (k *talk) frame() (wire.FrameType, []byte) {
	k.t.Helper()
	for {
		if err := k.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			k.t.Fatal(err)
		}
		var size [4]byte
		if _, err := io.ReadFull(k.r, size[:]); err != nil {
			k.t.Fatal(err)
		}
		b := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(k.r, b); err != nil {
			k.t.Fatal(err)
		}
		if kind := wire.FrameType(binary.BigEndian.Uint32(b)); kind != wire.FrameResponse || string(b[4:]) != wire.Heartbeat {
			return kind, b[4:]
		}
		k.send(wire.AppendNop(nil))
	}
}

// message reads frames until one is a message.
func (k *talk) message() wire.Message {
	k.t.Helper()
	for {
		kind, b := k.frame()
		if kind != wire.FrameMessage {
			continue
		}
		m, err := wire.ReadMessage(b)
		if err != nil {
			k.t.Fatal(err)
		}
		m.Body = slices.Clone(m.Body)
		return m
	}
}

// told waits for n answers to publishes.
func (k *talk) told(n int) {
	k.t.Helper()
	for range n {
		if kind, b := k.frame(); kind != wire.FrameResponse || string(b) != wire.OK {
			k.t.Fatalf("the answer to a publish is %q", b)
		}
	}
}

// After SIGTERM and after kill -9 everything is as it was: what waits, in its
// order, with ids and timestamps; attempts of what was in flight; what was
// published or requeued for later, not before its time; the pauses. The log says
// how late.
func TestServer_KeepsEveryStateAcrossItsEnd(t *testing.T) {
	const n = 100
	for _, how := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := start(t, t.TempDir(), nil, nsqd("--data-path="+dir)...)
			tcp, http := p.ready()
			at := "--nsqd-http-address=" + http
			for _, args := range [][]string{
				{"channel", "create", "flight", "c"}, {"channel", "create", "order", "c"}, {"channel", "create", "later", "c"},
				{"channel", "pause", "order", "c"}, {"topic", "create", "held"}, {"channel", "create", "held", "c"}, {"topic", "pause", "held"},
			} {
				topic := args[2]
				if args[1] == "create" && args[0] == "channel" {
					if _, bad, code := output(t, "", "topic", "create", topic, at); code != 0 {
						t.Fatalf("%s: %q", topic, bad)
					}
				}
				if _, bad, code := output(t, "", append(args, at)...); code != 0 {
					t.Fatalf("%q: %q", args, bad)
				}
			}
			pub := dialTalk(t, tcp, nil)
			due := map[string]time.Time{}
			var in []byte
			for i := range n {
				body := fmt.Appendf(nil, "%03d", i)
				for _, topic := range []string{"flight", "order", "held"} {
					in = wire.AppendPub(in, topic, body)
				}
				delay := 4*time.Second + time.Duration(i)*10*time.Millisecond
				due["d"+string(body)] = time.Now().Add(delay)
				in = wire.AppendDPub(in, "later", delay, append([]byte("d"), body...))
				in = wire.AppendPub(in, "later", append([]byte("r"), body...))
			}
			pub.send(in)
			pub.told(5 * n)

			// Two deliveries are given back at once, the third stays in flight.
			flight := dialTalk(t, tcp, wire.AppendRdy(wire.AppendSub(nil, "flight", "c"), 500))
			was := map[string]wire.Message{}
			for len(was) < n {
				m := flight.message()
				if m.Attempts < 3 {
					flight.send(wire.AppendReq(nil, m.ID, 0))
					continue
				}
				was[string(m.Body)] = m
			}
			later := dialTalk(t, tcp, wire.AppendRdy(wire.AppendSub(nil, "later", "c"), 500))
			for range n {
				m := later.message()
				delay := 4*time.Second + time.Duration(len(due))*5*time.Millisecond
				due[string(m.Body)] = time.Now().Add(delay)
				later.send(wire.AppendReq(nil, m.ID, delay))
			}
			// The answer to a wrong FIN says that everything before it is written.
			for _, k := range []*talk{flight, later} {
				k.send([]byte("FIN 0000000000000000\n"))
				if kind, b := k.frame(); kind != wire.FrameError {
					t.Fatalf("the answer to a wrong FIN is %q", b)
				}
			}
			if how == "SIGTERM" {
				p.signal(os.Interrupt)
			} else {
				p.signal(os.Kill)
			}
			p.exit()

			p = start(t, t.TempDir(), nil, nsqd("--data-path="+dir)...)
			tcp, http = p.ready()
			at = "--nsqd-http-address=" + http
			text := get(t, "http://"+http+"/stats?format=json")
			if strings.Count(text, `"paused":true`) != 2 {
				t.Errorf("the pauses are lost: %s", text)
			}
			for _, args := range [][]string{{"channel", "unpause", "order", "c"}, {"topic", "unpause", "held"}} {
				if _, bad, code := output(t, "", append(args, at)...); code != 0 {
					t.Fatalf("%q: %q", args, bad)
				}
			}
			later = dialTalk(t, tcp, wire.AppendRdy(wire.AppendSub(nil, "later", "c"), 500))
			flight = dialTalk(t, tcp, wire.AppendRdy(wire.AppendSub(nil, "flight", "c"), 500))
			for range n {
				m := flight.message()
				if old := was[string(m.Body)]; m.Attempts != 4 || m.ID != old.ID || m.Timestamp != old.Timestamp {
					t.Errorf("was in flight as %+v and comes as %+v", old, m)
				}
				delete(was, string(m.Body))
			}
			for _, topic := range []string{"order", "held"} {
				k := dialTalk(t, tcp, wire.AppendRdy(wire.AppendSub(nil, topic, "c"), 500))
				last := int64(0)
				for i := range n {
					m := k.message()
					if string(m.Body) != fmt.Sprintf("%03d", i) || m.Attempts != 1 || m.Timestamp < last {
						t.Errorf("%s: message %d comes as %+v", topic, i, m)
					}
					last = m.Timestamp
				}
			}
			var worst time.Duration
			for range 2 * n {
				m := later.message()
				now, attempts := time.Now(), uint16(1)
				if m.Body[0] == 'r' {
					attempts = 2
				}
				late := now.Sub(due[string(m.Body)])
				if late < 0 || m.Attempts != attempts {
					t.Errorf("%s comes %v late with attempts %d", m.Body, late, m.Attempts)
				}
				worst = max(worst, late)
				delete(due, string(m.Body))
			}
			if len(due)+len(was) > 0 {
				t.Errorf("%d and %d messages are missing", len(due), len(was))
			}
			t.Logf("%s: at most %v late", how, worst)
		})
	}
}
