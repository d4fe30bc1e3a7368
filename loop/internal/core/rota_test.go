package core

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// fakeReading is what comes over a socket, in a test's hands.
type fakeReading struct {
	Place
	name   string
	input  int  // turns for which it has something
	deaf   bool // it cannot be paused
	paused bool
	busy   bool // each of its turns takes long
	shut   bool // it is being closed
	behind bool
}

func (f *fakeReading) Pause() bool {
	f.paused = !f.deaf
	return f.paused
}
func (f *fakeReading) Resume() bool  { f.paused = false; return f.Ready() }
func (f *fakeReading) Ready() bool   { return f.input > 0 }
func (f *fakeReading) Closing() bool { return f.shut }
func (f *fakeReading) Behind() bool  { return f.behind }

// newRota returns a rota of n connections, a, b and so on, which have much
// input.
func newRota(n int) (*Rota, []*fakeReading, *Core, *fakeHost) {
	c, h := newCore(nil)
	r := new(Rota)
	r.Init(c)
	all := make([]*fakeReading, n)
	for i := range all {
		all[i] = &fakeReading{name: string(rune('a' + i)), input: 1000}
		all[i].Place.Init(all[i])
	}
	return r, all, c, h
}

// serve is what happens each time that the system is asked: all that are not
// paused, and have input, are served, n bytes each. It returns who was.
func serve(r *Rota, all []*fakeReading, n int) string {
	var ready []*fakeReading
	for _, f := range all {
		if !f.paused && f.input > 0 && !f.left {
			ready = append(ready, f)
		}
	}
	var served strings.Builder
	for _, f := range ready {
		f.input--
		served.WriteString(f.name)
		took := time.Duration(0)
		if f.busy {
			took = time.Millisecond
		}
		r.Served(&f.Place, n, took)
	}
	return served.String()
}

func rounds(r *Rota, all []*fakeReading, n, times int) string {
	var got []string
	for range times {
		got = append(got, serve(r, all, n))
	}
	return strings.Join(got, " ")
}

func TestRota_OneHeavyTurnForEachTimeTheSystemIsAsked(t *testing.T) {
	r, all, _, _ := newRota(4)
	check(t, "served", rounds(r, all, heavyInput, 9), "abcd a b c d a b c d")
}

func TestRota_LightTurnsAreForAll(t *testing.T) {
	r, all, _, _ := newRota(3)
	check(t, "served", rounds(r, all, heavyInput-1, 3), "abc abc abc")
}

func TestRota_OneAloneIsNotPaused(t *testing.T) {
	r, all, _, _ := newRota(1)
	check(t, "served", rounds(r, all, heavyInput, 3), "a a a")
	check(t, "waiting", r.waiting.first, nil)
}

func TestRota_WhoeverHasNothingToSayLosesItsTurn(t *testing.T) {
	r, all, _, _ := newRota(4)
	all[1].input, all[2].input = 1, 1
	check(t, "served", rounds(r, all, heavyInput, 5), "abcd a d a d")
	all[1].input = 2
	check(t, "served", rounds(r, all, heavyInput, 4), "ab d a b")
}

func TestRota_AQuietOwnerHoldsNobodyUp(t *testing.T) {
	r, all, _, _ := newRota(3)
	all[0].input = 1
	check(t, "served", rounds(r, all[:1], heavyInput, 2), "a ")
	check(t, "served", rounds(r, all, heavyInput, 4), "bc b c b")
}

func TestRota_LongTurnsAreHeavyWhenTheyGoOn(t *testing.T) {
	r, all, _, _ := newRota(2)
	all[0].busy = true
	check(t, "served", rounds(r, all, 1, 2), "ab ab") // one long turn, and another
	all[1].busy = true
	got := strings.Fields(rounds(r, all, 1, 12))
	check(t, "served at last", strings.Join(got[8:], " "), "b a b a")
}

func TestRota_TurnsThatBecomeLightEndThePause(t *testing.T) {
	r, all, _, _ := newRota(2)
	check(t, "served", rounds(r, all, heavyInput, 3), "ab a b")
	check(t, "served", rounds(r, all, 1, 3), "a ab ab")
}

func TestRota_ThoseThatCannotBePausedAreServed(t *testing.T) {
	r, all, _, _ := newRota(3)
	all[1].deaf = true
	check(t, "served", rounds(r, all, heavyInput, 4), "abc ab bc ab")
}

func TestRota_ClosedWhileWaitingOrOwner(t *testing.T) {
	for gone := range 4 {
		t.Run(fmt.Sprint(gone), func(t *testing.T) {
			r, all, _, _ := newRota(4)
			rounds(r, all, heavyInput, 2) // b is the owner; c, d and a wait
			r.Leave(&all[gone].Place)
			all[gone].left = true
			want := strings.ReplaceAll("b c d a b c d a", all[gone].name, "")
			got := strings.Join(strings.Fields(rounds(r, all, heavyInput, 6)), " ")
			if want = strings.Join(strings.Fields(want), " "); got != want {
				t.Errorf("served %q, want %q", got, want)
			}
		})
	}
}

// What comes for a connection that is being closed is read as it comes for a
// while; then one piece each lateEvery, whoever it comes from.
func TestRota_ThoseThatAreClosedAreReadSlowly(t *testing.T) {
	r, all, c, h := newRota(3)
	for _, f := range all {
		f.shut = true
	}
	const piece = lastWill / 4
	early := len(strings.ReplaceAll(rounds(r, all, piece, 40), " ", ""))
	check(t, "turns before any time has passed", early, 3*5)
	var late strings.Builder
	for range 6 {
		h.advance(c, lateEvery)
		late.WriteString(serve(r, all, piece) + serve(r, all, piece) + " ")
	}
	if got := strings.Fields(late.String()); len(got) != 6 || got[0] != got[3] || got[0] == got[1] {
		t.Errorf("served %q, want each of three in its turn", got)
	}
	for _, f := range all {
		r.Leave(&f.Place)
	}
	h.advance(c, lateEvery)
	check(t, "late", r.late.first, nil)
}

func TestRota_OutputThatGoesDoesNotEndAPause(t *testing.T) {
	r, all, _, _ := newRota(3)
	rounds(r, all, heavyInput, 2)
	all[0].paused = false // it waits, and the poller was told to look at it again
	check(t, "served", rounds(r, all, heavyInput, 3), "ab c a")
}

// Whoever has something to be opened is not read from until that is done, and
// then waits for its turn.
func TestRota_ThoseThatAreBehindAreNotRead(t *testing.T) {
	r, all, _, _ := newRota(3)
	all[0].behind = true
	check(t, "served", rounds(r, all, 1, 3), "abc bc bc")
	check(t, "served", rounds(r, all, heavyInput, 3), "bc b c")
	all[0].behind = false
	r.CaughtUp(&all[0].Place)
	check(t, "served", rounds(r, all, heavyInput, 4), "b c a b")
	all[1].behind = true
	check(t, "served", rounds(r, all, heavyInput, 5), "c a b c a")
	r.Leave(&all[1].Place)
	r.CaughtUp(&all[1].Place)
	check(t, "behind", r.behind.first, nil)
}

func TestRota_CaughtUpWhenNobodyMakesMuchWork(t *testing.T) {
	r, all, _, _ := newRota(2)
	all[0].behind = true
	check(t, "served", rounds(r, all, 1, 2), "ab b")
	all[0].behind = false
	r.CaughtUp(&all[0].Place)
	check(t, "served", rounds(r, all, 1, 2), "ab ab")
}
