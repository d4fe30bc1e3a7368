package core

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// expander is a layer that makes times as much of what comes, so many bytes in
// each Open at most.
type expander struct {
	times, most int
	left        []byte
}

func (e *expander) Open(dst, raw []byte) ([]byte, error) {
	for _, b := range raw {
		e.left = append(e.left, bytes.Repeat([]byte{b}, e.times)...)
	}
	n := min(e.most, len(e.left))
	dst = append(dst, e.left[:n]...)
	e.left = e.left[n:]
	return dst, nil
}

func (e *expander) More() bool                             { return len(e.left) > 0 }
func (e *expander) Seal(dst, plain []byte) ([]byte, error) { return append(dst, plain...), nil }
func (e *expander) Close()                                 {}

// catchingSocket is a socket that can wait.
type catchingSocket struct {
	fakeSocket
	hasty    bool // it reads all the same
	caughtUp int
}

func (s *catchingSocket) CanWait() bool { return !s.hasty }

func (s *catchingSocket) CaughtUp() { s.caughtUp++ }

// behind is a stream with layers that make much of little, and what it got.
type behind struct {
	c     *Core
	h     *fakeHost
	s     *Stream
	sock  *catchingSocket
	inner *fakeHandler
	got   []byte
	most  int // in one turn
}

func newBehind(layers ...*expander) *behind {
	b := &behind{s: &Stream{}, sock: &catchingSocket{}}
	b.c, b.h = newCore(nil)
	b.inner = &fakeHandler{onData: func(p []byte) int { b.got = append(b.got, p...); return len(p) }}
	turn(b.c, func() {
		b.s.Accept(b.c, b.sock, Addrs{}, func() (Handler, func()) { return b.inner, func() {} })
		for _, l := range layers {
			b.s.Upgrade(l)
		}
	})
	return b
}

// turn notes how much the event made the handler get.
func (b *behind) turn(event func()) {
	before := len(b.got)
	turn(b.c, event)
	b.most = max(b.most, len(b.got)-before)
}

func expanded(p []byte, times int) []byte {
	var want []byte
	for _, x := range p {
		want = append(want, bytes.Repeat([]byte{x}, times)...)
	}
	return want
}

func TestStream_OpensABoundedAmountInATurn(t *testing.T) {
	b := newBehind(&expander{times: 1000, most: 64 << 10})
	raw := make([]byte, 16<<10)
	for i := range raw {
		raw[i] = byte(i * 7)
	}
	want := expanded(raw, 1000)
	wakes := b.h.wakes
	b.turn(func() { b.s.Receive(raw) })
	check(t, "behind", b.s.Behind(), true)
	turns := 0
	for ; b.s.Behind(); turns++ {
		if b.h.wakes == wakes {
			t.Fatal("nobody asks for the next turn")
		}
		wakes = b.h.wakes
		b.turn(func() { b.c.Run(nil) })
	}
	check(t, "the same bytes", bytes.Equal(b.got, want), true)
	check(t, "caught up", b.sock.caughtUp, 1)
	if b.most > openMost+64<<10 || turns < len(want)/(openMost+64<<10) {
		t.Errorf("%d bytes in a turn, in %d turns, want %d at most", b.most, turns, openMost+64<<10)
	}
}

// Many that are behind have one of them go on in a turn.
func TestStream_OneOfThoseBehindGoesOnInATurn(t *testing.T) {
	c, _ := newCore(nil)
	var order []int
	for i := range 3 {
		s, _ := opened(c, &fakeHandler{onData: func(p []byte) int { order = append(order, i); return len(p) }})
		turn(c, func() { s.Upgrade(&expander{times: 3 * openMost, most: openMost}) })
		turn(c, func() { s.Receive([]byte("x")) })
	}
	order = nil
	for range 6 {
		turn(c, func() { c.Run(nil) })
	}
	if want := []int{0, 1, 2, 0, 1, 2}; !slices.Equal(order, want) {
		t.Errorf("went on: %v, want %v", order, want)
	}
}

// A socket that goes on reading all the same, and one whose peer has gone: what
// came first is opened first, and all of it.
func TestStream_OpensAllInOrderWhateverComes(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newBehind(&expander{times: 1 + r.IntN(200), most: 1 + r.IntN(100<<10)}, &expander{times: 1 + r.IntN(20), most: 1 << 10})
		times := b.s.layers[0].Layer.(*expander).times * b.s.layers[1].Layer.(*expander).times
		var want []byte
		for range 1 + r.IntN(6) {
			raw := make([]byte, 1+r.IntN(1<<10))
			for i := range raw {
				raw[i] = byte(r.Uint32())
			}
			want = append(want, expanded(raw, times)...)
			b.turn(func() { b.s.Receive(raw) })
			clear(raw) // it was borrowed
			for range r.IntN(3) {
				b.turn(func() { b.c.Run(nil) })
			}
		}
		turn(b.c, func() { b.s.Lost(io.EOF) })
		turn(b.c, func() {})
		if !bytes.Equal(b.got, want) || b.inner.closed != 1 || b.inner.err != io.EOF {
			t.Errorf("seed %d: %d bytes, of %d, or others; OnClose %d times, %v", seed, len(b.got), len(want), b.inner.closed, b.inner.err)
		}
	}
}

// A handler that closes, or that fails, while there is more to be opened gets
// nothing of it.
func TestStream_ClosedWhileBehind(t *testing.T) {
	for _, how := range []func(s *Stream){(*Stream).Close, func(s *Stream) { s.Abort(nil) }} {
		b := newBehind(&expander{times: 4 * openMost, most: openMost})
		b.turn(func() { b.s.Receive([]byte("x")) })
		had := len(b.got)
		b.turn(func() { how(b.s) })
		for range 3 {
			b.turn(func() { b.c.Run(nil) })
		}
		check(t, "more bytes", len(b.got)-had, 0)
		check(t, "behind", b.s.Behind(), false)
		check(t, "streams behind", len(b.c.behind), 0)
	}
}

// yielding has the handler take a byte at a time and yield after it.
func (b *behind) yielding(t *testing.T) {
	b.inner.onData = func(p []byte) int {
		b.got = append(b.got, p[0])
		check(t, "yields", b.s.Yield(), true)
		return 1
	}
}

// What a handler leaves when it yields is offered in later turns, whatever comes
// and whoever asks for it, and in order.
func TestStream_YieldedIsOfferedInALaterTurn(t *testing.T) {
	b := newBehind()
	b.yielding(t)
	b.turn(func() { b.s.Receive([]byte("abc")); b.s.Offer(); b.s.Receive([]byte("de")) })
	check(t, "behind", b.s.Behind(), true)
	b.turn(func() { b.s.Offer() })
	check(t, "before it goes on", string(b.got), "a")
	for turns := 1; b.s.Behind(); turns++ {
		if turns > 10 {
			t.Fatal("it stays behind")
		}
		wakes := b.h.wakes
		b.turn(func() { b.c.Run(nil); b.s.Offer() })
		if b.s.Behind() && b.h.wakes == wakes {
			t.Fatal("nobody asks for the next turn")
		}
	}
	check(t, "bytes", string(b.got), "abcde")
	check(t, "in a turn", b.most, 1)
	check(t, "caught up", b.sock.caughtUp, 1)
}

// While a handler has yielded, no layer makes more input for it.
func TestStream_LayersWaitWhileItsHandlerHasYielded(t *testing.T) {
	b := newBehind(&expander{times: 100, most: 10}, &expander{times: 10, most: 5})
	b.yielding(t)
	raw := []byte("abc")
	b.turn(func() { b.s.Receive(raw) })
	b.turn(func() { b.s.Receive([]byte("d")) })
	for turns := 0; b.s.Behind() && turns < 10000; turns++ {
		b.turn(func() { b.c.Run(nil) })
		if n := len(b.s.in) - b.s.off; n > 5 {
			t.Fatalf("%d bytes wait for the handler, want 5 at most", n)
		}
	}
	check(t, "the same bytes", bytes.Equal(b.got, expanded([]byte("abcd"), 1000)), true)
	check(t, "in a turn", b.most, 1)
}

// A handler cannot yield where the socket is read all the same.
func TestStream_YieldIsRefusedByASocketThatCannotWait(t *testing.T) {
	b := newBehind()
	b.sock.hasty = true
	plain, _ := opened(b.c, &fakeHandler{})
	turn(b.c, func() {
		check(t, "hasty", b.s.Yield(), false)
		check(t, "one that does not wait", plain.Yield(), false)
		b.s.Close()
		b.sock.hasty = false
		check(t, "one that is closed", b.s.Yield(), false)
	})
	check(t, "behind", b.s.Behind() || plain.Behind(), false)
}

// What is left when the connection is lost, or closed, is not offered.
func TestStream_LostWhileItsHandlerHasYielded(t *testing.T) {
	for _, end := range []func(s *Stream){(*Stream).Close, func(s *Stream) { s.Lost(io.ErrUnexpectedEOF) }} {
		b := newBehind()
		b.yielding(t)
		b.turn(func() { b.s.Receive([]byte("abc")) })
		b.turn(func() { end(b.s) })
		b.turn(func() { b.c.Run(nil); b.s.Lost(io.EOF) })
		b.turn(func() { b.c.Run(nil) })
		check(t, "bytes", string(b.got), "a")
		check(t, "OnClose", b.inner.closed, 1)
		check(t, "streams behind", len(b.c.behind), 0)
	}
}
