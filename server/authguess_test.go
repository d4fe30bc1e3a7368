package server

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// dialFrom connects from an address.
func (w *world) dialFrom(ip string) *peer {
	p := &peer{w: w, c: newConn(w.s).(*conn), bc: &bareConn{from: &net.TCPAddr{IP: net.ParseIP(ip), Port: 4000}}}
	w.do(func() { p.c.OnOpen(p.bc) })
	p.sendString(wire.MagicV2)
	return p
}

func TestAuth_GuessesAreSlow(t *testing.T) {
	o, a := granting("")
	a.answer = func(_, secret string) (int, string, error) {
		if secret == "right" {
			return 200, everything, nil
		}
		return 403, "", nil
	}
	w := newWorld(t, o)
	const failed = "E_AUTH_FAILED AUTH failed"
	p := w.dialFrom("10.0.0.2")
	p.auth("0")
	p.wantClosed(failed)
	// The next ones have to wait, the right one among them too: it must not
	// show by an early answer.
	peers := []*peer{w.dialFrom("10.0.0.2"), w.dialFrom("10.0.0.2"), w.dialFrom("10.0.0.2"), w.dialFrom("10.0.0.2")}
	peers[0].auth("1")
	peers[1].auth("2")
	peers[2].auth("right")
	peers[3].auth("4")
	other := w.dialFrom("10.0.0.3")
	other.auth("right")
	other.want(annsReply)
	w.sleep(999 * time.Millisecond)
	for i, p := range peers {
		if got := p.frames(); len(got) != 0 {
			t.Fatalf("guess %d is answered early with %q", i, got)
		}
	}
	if n := len(a.asked); n != 2 {
		t.Fatalf("%d secrets were asked about, want 2", n)
	}
	peers[1].hangUp()
	w.sleep(time.Millisecond)
	peers[0].wantClosed(failed)
	peers[2].want()
	w.sleep(time.Second)
	peers[2].want(annsReply)
	peers[3].wantClosed(failed)
	w.sleep(time.Second)
	if n := len(w.s.auth.guesses.guests); n != 0 {
		t.Errorf("%d addresses are remembered, want 0", n)
	}

	// An auth server that does not answer is nobody's guess.
	a.answer = func(string, string) (int, string, error) { return 500, "", nil }
	for range 3 {
		p := w.dialFrom("10.0.0.4")
		p.auth("x")
		p.wantClosed(failed)
	}
}

func TestGuesses_AtOnceAreFew(t *testing.T) {
	o, a := granting("")
	a.answer = func(string, string) (int, string, error) { return 403, "", nil }
	w := newWorld(t, o)
	w.l.slow = true
	for i := range 30 {
		// One IPv6 network is one address.
		p := w.dialFrom(fmt.Sprintf("2001:db8::%x", i+1))
		p.auth("x")
	}
	w.l.work()
	if n := len(a.asked); n != guessesAtOnce {
		t.Errorf("%d secrets were asked about at once, want %d", n, guessesAtOnce)
	}
	w.sleep(guessesAtOnce*guessEvery - time.Millisecond)
	w.l.work()
	if n := len(a.asked); n != guessesAtOnce {
		t.Errorf("then %d before they are paid for", n)
	}
}

func TestGuessPrefix(t *testing.T) {
	for remote, want := range map[string]string{
		"10.1.2.3:5":            "10.1.2.3/32",
		"[::ffff:10.1.2.3]:5":   "10.1.2.3/32",
		"[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:5":      "fe80::/64",
		"@":                     "invalid Prefix",
		"name:5":                "invalid Prefix",
	} {
		if got := guessPrefix(remote).String(); got != want {
			t.Errorf("%s counts as %s, want %s", remote, got, want)
		}
	}
}
