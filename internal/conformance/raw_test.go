package conformance

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What no transcript can show is shown here.

func TestFrames_AsTheyStand(t *testing.T) { // 17, 18
	sim := newSimWorld(t, nil)
	p := sim.dial()
	p.send([]byte("  V2PUB t\n\x00\x00\x00\x01xSUB t c\nRDY 1\nASDF\n"))
	sim.settle()
	got := string(p.received())
	ok := "\x00\x00\x00\x06\x00\x00\x00\x00OK"
	message := "\x00\x00\x00\x1f\x00\x00\x00\x02"
	failure := "\x00\x00\x00\x22\x00\x00\x00\x01E_INVALID invalid command ASDF"
	rest, found := strings.CutPrefix(got, ok+ok)
	if !found {
		t.Fatalf("PUB and SUB are answered with %q", got)
	}
	// Whether the message leaves before the error is the server's choice.
	withMessage := strings.HasPrefix(rest, message) && len(rest) == 8+27+len(failure)
	if rest != failure && !(withMessage && strings.HasSuffix(rest, failure)) {
		t.Errorf("then come %q", rest)
	}

	q := sim.dial()
	q.send([]byte("  V2SUB t d\nRDY 1\nPUB t\n\x00\x00\x00\x04body"))
	sim.settle()
	got = string(q.received())
	at := strings.Index(got, "\x00\x00\x00\x22\x00\x00\x00\x02")
	if at < 0 || len(got) != 2*len(ok)+8+26+4 {
		t.Fatalf("no message frame in %q", got)
	}
	data := got[at+8 : at+8+26+4]
	if data[8:10] != "\x00\x01" || data[26:] != "body" || data[0] == 0 {
		t.Errorf("the message is %q", data)
	}
}

// nsqd answers E_BAD_PROTOCOL in binary, at which browsers and curl stare.
func TestMagic_HTTPIsAnsweredInHTTP(t *testing.T) { // 4
	sim := newSimWorld(t, nil)
	p := sim.dial()
	p.send([]byte("GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	sim.settle()
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(p.received())), nil)
	if err != nil || answer.StatusCode != http.StatusBadRequest {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	if !p.closed() {
		t.Error("the connection is still open")
	}
}

func TestTimeout_ManyAtOnce(t *testing.T) { // 185
	sim := newSimWorld(t, map[string]string{"msg-timeout": "100ms"})
	p := &player{t: t, w: sim}
	doLines(t, p, "a  SUB t c", "a  RDY 250", "b  MPUB t"+strings.Repeat(" | x", 250))
	p.settle()
	if n := strings.Count(strings.Join(p.seen, "\n"), "message"); n != 250 {
		t.Fatalf("%d messages, want 250", n)
	}
	doLines(t, p, "a  RDY 0", "wait 400ms", "stats t/c/in_flight_count t/c/timeout_count t/c/depth")
	wantSeen(t, p, "stats 0 250 250")
}

// TestRefusals_LeaveTheServerAlone sends what only an attacker would, and sees
// that the server goes on.
func TestRefusals_LeaveTheServerAlone(t *testing.T) {
	sim := newSimWorld(t, nil)
	for _, input := range []string{
		"  V2PUB t\n\x7f\xff\xff\xff",
		"  V2PUB t\n\x80\x00\x00\x00",
		"  V2MPUB t\n\x00\x00\x00\x10\x7f\xff\xff\xff",
		"  V2IDENTIFY\n\xff\xff\xff\xff",
		"  V2IDENTIFY\n\x00\x00\x00\x04{\"a\"",
		"  V2AUTH\n\x7f\xff\xff\xff",
		"  V2" + strings.Repeat(" ", 20000) + "\n",
		"  V2" + string(bytes.Repeat([]byte{0}, 20000)),
		"  V2SUB t c\nRDY 18446744073709551615\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		p := sim.dial()
		p.send([]byte(input))
		sim.settle()
		if !p.closed() {
			t.Errorf("%.40q: the connection is still open; received %q", input, p.received())
		}
	}
	p := sim.dial()
	p.send([]byte("  V2PUB t\n\x00\x00\x00\x01x"))
	sim.wait(time.Second)
	if got := string(p.received()); got != "\x00\x00\x00\x06\x00\x00\x00\x00OK" {
		t.Errorf("afterwards PUB is answered with %q", got)
	}
}
