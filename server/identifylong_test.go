package server

import (
	"strings"
	"testing"
)

// long is the body of an IDENTIFY that is decoded off the loop.
func long(fields string) string {
	return `{"user_agent":"` + strings.Repeat("x", longIdentify) + `"` + fields + `}`
}

// What is long is decoded elsewhere, one after the other, while others are
// served; what comes behind it waits.
func TestIdentify_LongOnesAreDecodedOffTheLoop(t *testing.T) {
	w := newWorld(t, Options{})
	w.l.slow = true
	a, b, gone, other := w.dial(), w.dial(), w.dial(), w.dial()
	a.identify(long(`,"client_id":"a"`))
	gone.identify(long(``))
	b.identify(long(`,"heartbeat_interval":1`))
	a.pub("t", "behind")
	other.pub("t", "meanwhile")
	other.want("OK")
	for range 3 {
		a.want()
		b.want()
		w.do(func() {}) // nothing comes of itself
	}
	if len(w.l.queue) != 1 {
		t.Errorf("%d are decoded at once, want 1", len(w.l.queue))
	}
	gone.hangUp()
	w.l.work()
	w.offer()
	a.want("OK", "OK")
	if st := a.c.stats(""); st.ClientID != "a" || len(st.UserAgent) != keptMost {
		t.Errorf("client_id %q, %d bytes of user_agent, want a and %d", st.ClientID, len(st.UserAgent), keptMost)
	}
	b.want()
	w.l.work()
	w.offer()
	b.wantClosed("E_BAD_BODY IDENTIFY heartbeat interval (1) is invalid")

	// It may be repeated, and short ones are not delayed by long ones.
	a.identify(long(`,"client_id":"a2"`))
	other.identify(`{"client_id":"other"}`)
	other.want("OK")
	w.l.work()
	w.offer()
	a.want("OK")
	if st := a.c.stats(""); st.ClientID != "a2" {
		t.Errorf("client_id %q, want a2", st.ClientID)
	}
}

// Who goes away at any moment holds up nobody.
func TestIdentify_LongOnesMayGoAway(t *testing.T) {
	for name, leave := range map[string]func(w *world, p *peer){
		"in turn": func(w *world, p *peer) {
			p.bc.in = []byte("  V2") // the turn comes, and the command does not
			w.l.turn(func() { p.c.spelling = &spelling{turn: true}; w.s.longIdentities.busy = true })
			p.hangUp()
		},
		"decoded": func(w *world, p *peer) {
			p.identify(long(``))
			p.hangUp()
		},
		"waiting": func(w *world, p *peer) {
			first := w.dial()
			first.identify(long(``))
			p.identify(long(``))
			p.hangUp()
			w.l.work()
			w.offer()
			first.want("OK")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.l.slow = true
			leave(w, w.dial())
			w.l.work()
			next := w.dial()
			next.identify(long(``))
			w.l.work()
			w.offer()
			next.want("OK")
		})
	}
}
