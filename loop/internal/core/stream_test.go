package core

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// countLayer passes everything on and counts.
type countLayer struct {
	opens, seals, closes int
	mark                 string // appended to each Seal
}

func (l *countLayer) Open(dst, raw []byte) ([]byte, error) {
	l.opens++
	return append(dst, raw...), nil
}
func (l *countLayer) Seal(dst, plain []byte) ([]byte, error) {
	l.seals++
	return append(append(dst, plain...), l.mark...), nil
}
func (l *countLayer) Close() { l.closes++ }

func TestStream_OneWriteForAllOutputOfATurn(t *testing.T) {
	c, _ := newCore(nil)
	s, sock := opened(c, &fakeHandler{})
	turn(c, func() {
		for i := range 100 {
			s.SetOutput(fmt.Appendf(s.Output(), "%d.", i%10))
		}
	})
	check(t, "writes", len(sock.writes), 1)
	check(t, "bytes", sock.writes[0], strings.Repeat("0.1.2.3.4.5.6.7.8.9.", 10))
	turn(c, func() { s.Write(nil) })
	check(t, "writes without output", len(sock.writes), 1)
}

func TestStream_SealsOnceInATurn(t *testing.T) {
	c, _ := newCore(nil)
	s, sock := opened(c, &fakeHandler{})
	low, high := &countLayer{mark: "l"}, &countLayer{mark: "h"}
	turn(c, func() {
		s.Write([]byte("0"))
		s.Upgrade(low)
		s.Write([]byte("1"))
		s.Upgrade(high)
		s.Write([]byte("2"))
		s.Write([]byte("3"))
	})
	check(t, "writes", fmt.Sprint(sock.writes), "[0123hl]")
	turn(c, func() { s.Receive([]byte("x")) })
	check(t, "writes", fmt.Sprint(sock.writes), "[0123hl hl]")
	turn(c, func() {})
	check(t, "seals", low.seals*10+high.seals, 22)
	check(t, "opens", low.opens*10+high.opens, 11)
}

func TestStream_CloseWaitsForTheKernelThenForThePeer(t *testing.T) {
	c, h := newCore(nil)
	handler := &fakeHandler{}
	s, sock := opened(c, handler)
	sock.buffered = 100
	turn(c, func() { s.Write([]byte("last")); s.Close() })
	check(t, "closing", c.Closing(), 1)
	h.advance(c, 500*time.Millisecond)
	check(t, "shut while output is left", sock.shut, 0)
	sock.buffered = 0
	h.advance(c, pollLast)
	check(t, "shut", sock.shut, 1)
	check(t, "closed before the peer has", sock.closed, 0)
	turn(c, func() { s.Receive([]byte("ignored")); s.Lost(errors.New("reset")); c.Tell() })
	check(t, "OnClose", handler.closed, 1)
	check(t, "error", handler.err, nil)
	check(t, "closing", c.Closing(), 0)
	check(t, "timers left", len(c.timers.all), 0)
}

func TestStream_CloseGivesUpAfterLinger(t *testing.T) {
	for _, buffered := range []int{0, 100} {
		c, h := newCore(nil)
		handler := &fakeHandler{}
		s, sock := opened(c, handler)
		sock.buffered = buffered
		turn(c, func() { s.Close() })
		h.advance(c, time.Second-1)
		check(t, "closed", sock.closed, 0)
		h.advance(c, 1)
		check(t, "closed", sock.closed, 1)
		turn(c, func() {})
		check(t, "OnClose", handler.closed, 1)
	}
}

func TestStream_CloseIsPatientWithAPeerThatReads(t *testing.T) {
	c, h := newCore(nil)
	s, sock := opened(c, &fakeHandler{})
	sock.buffered = 1 << 20
	turn(c, func() { s.Close() })
	began := h.since
	for sock.closed == 0 {
		if h.since-began > int64(time.Minute) {
			t.Fatal("waits for ever")
		}
		sock.buffered-- // hardly a reader
		h.advance(c, pollLast)
	}
	if d := time.Duration(h.since - began); d < 10*time.Second || d > 11*time.Second {
		t.Errorf("closed after %v", d)
	}
}

func TestStream_NegativeLingerDoesNotWait(t *testing.T) {
	c, _ := newCore(func(c *Config) { c.Linger = -1 })
	s, sock := opened(c, &fakeHandler{})
	sock.buffered = 100
	turn(c, func() { s.Write([]byte("x")); s.Close() })
	check(t, "writes", len(sock.writes), 1)
	check(t, "closed", sock.closed, 1)
}

func TestStream_DrainIsToldOnceBelowHalf(t *testing.T) {
	c, h := newCore(nil)
	drains := 0
	s, sock := opened(c, &fakeHandler{onDrain: func() { drains++ }})
	sock.buffered = 1<<10 + 1
	turn(c, func() { s.Write([]byte("x")) })
	for _, left := range []int{1000, 700, 512} {
		sock.buffered = left
		h.advance(c, pollLast)
	}
	check(t, "drains above half", drains, 0)
	sock.buffered = 511
	h.advance(c, pollLast)
	h.advance(c, pollLast)
	check(t, "drains", drains, 1)
	sock.buffered = 1 << 10
	turn(c, func() { s.Write([]byte("x")) })
	sock.buffered = 0
	h.advance(c, pollLast)
	check(t, "drains after a level that is not above the mark", drains, 1)
	sock.buffered = 1 << 11
	turn(c, func() { s.Write([]byte("x")) })
	turn(c, func() { s.Close() })
	sock.buffered = 0
	h.advance(c, pollLast)
	check(t, "drains after Close", drains, 1)
	check(t, "shut", sock.shut, 1)
}

func TestStream_OffersInPlace(t *testing.T) {
	c, _ := newCore(nil)
	var offered [][]byte
	const frame = 1000
	s, _ := opened(c, &fakeHandler{onData: func(p []byte) int {
		offered = append(offered, p)
		return len(p) / frame * frame
	}})
	p := make([]byte, 100*frame+500)
	turn(c, func() { s.Receive(p) })
	check(t, "offers", len(offered), 1)
	check(t, "copied", unsafe.SliceData(offered[0]) != unsafe.SliceData(p), false)
	check(t, "left over", len(s.in)-s.off, 500)
	offered = nil
	turn(c, func() { s.Receive(p) }) // 500 are missing, then the rest fits again
	check(t, "offers", len(offered), 2)
	check(t, "joined", len(offered[0]), 500+joinPiece)
	check(t, "in place", unsafe.SliceData(offered[1]), &p[len(p)-len(offered[1])])
	check(t, "left over", len(s.in)-s.off, 0)
	if s.in != nil {
		t.Error("the buffer is not given back")
	}
}

func TestStream_LargeFrameIsCopiedOnceOrTwice(t *testing.T) {
	c, _ := newCore(func(c *Config) { c.InputLimit = 64 << 20 })
	offers := 0
	s, _ := opened(c, &fakeHandler{onData: func(p []byte) int {
		offers++
		if len(p) < 32<<20 {
			return 0
		}
		return len(p)
	}})
	p := make([]byte, 256<<10)
	for range 128 {
		turn(c, func() { s.Receive(p) })
	}
	if offers > 128+20 {
		t.Errorf("%d offers for 128 reads", offers)
	}
	if s.in != nil {
		t.Error("the buffer of 32 MiB is kept")
	}
}

// A handler that consumes, waits, offers and upgrades at random gets the bytes
// that were sent, in order, each once.
// A command of megabytes that comes in pieces is gathered in buffers that were
// used for others before: none is made, and none cleared.
func TestStream_LargeFramesShareTheirBuffers(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it may empty the pools
	c, _ := newCore(func(c *Config) { c.InputLimit = 64 << 20 })
	const frame, piece = 5 << 20, 64 << 10
	got := 0
	s, _ := opened(c, &fakeHandler{onData: func(p []byte) int {
		if len(p) < frame {
			return 0
		}
		got++
		return frame
	}})
	p := make([]byte, piece)
	receive := func() {
		for range frame / piece {
			turn(c, func() { s.Receive(p) })
		}
	}
	receive()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 20
	for range times {
		receive()
	}
	runtime.ReadMemStats(&after)
	check(t, "frames", got, times+1)
	// Under the race detector a pool forgets a quarter of what it is given.
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 2*frame {
		t.Errorf("each frame takes %d bytes of new memory, want less than two of its %d", each, frame)
	}
}

func TestStream_RandomConsumption(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		c, _ := newCore(func(c *Config) { c.InputLimit = 1 << 30 })
		plain := make([]byte, 1+r.IntN(200_000))
		for i := range plain {
			plain[i] = byte(r.Uint32())
		}
		var got, last []byte
		key, upgrades := byte(0), 0
		at := []int{r.IntN(len(plain)), r.IntN(len(plain))} // where layers come
		if at[0] > at[1] {
			at[0], at[1] = at[1], at[0]
		}
		var s *Stream
		s, _ = opened(c, &fakeHandler{onData: func(p []byte) int {
			last = p
			n := min(r.IntN(len(p)+1), 1+r.IntN(20_000))
			if r.IntN(4) == 0 {
				n = len(p)
			}
			if upgrades < len(at) && len(got)+n >= at[upgrades] { // exactly up to the trigger
				n = at[upgrades] - len(got)
				upgrades++
				s.Upgrade(&keyLayer{key: byte(upgrades)})
			}
			got = append(got, p[:n]...)
			if n > 0 && r.IntN(3) == 0 {
				s.Offer()
			}
			return n
		}})
		raw := bytes.Clone(plain)
		for i := range raw {
			key = 0
			for j, from := range at {
				if i >= from {
					key ^= byte(j + 1)
				}
			}
			raw[i] ^= key
		}
		for len(raw) > 0 {
			n := min(len(raw), 1+r.IntN(1<<(1+r.IntN(17))))
			piece := bytes.Clone(raw[:n])
			turn(c, func() { s.Receive(piece) })
			clear(piece) // it was borrowed
			raw = raw[n:]
		}
		for range 100_000 { // what is left over
			if len(got) == len(plain) {
				break
			}
			turn(c, func() { s.Offer() })
		}
		if !bytes.Equal(got, plain) {
			i := 0
			for i < len(got) && got[i] == plain[i] {
				i++
			}
			t.Fatalf("seed %d: got %d of %d bytes, the first %d right; upgrades at %v; last offer %d", seed, len(got), len(plain), i, at, len(last))
		}
	}
}

type keyLayer struct{ key byte }

func (l *keyLayer) Open(dst, raw []byte) ([]byte, error) {
	for _, b := range raw {
		dst = append(dst, b^l.key)
	}
	return dst, nil
}
func (l *keyLayer) Seal(dst, plain []byte) ([]byte, error) { return l.Open(dst, plain) }
func (l *keyLayer) Close()                                 {}

func TestStream_LayersGetPiecesOfBoundedSize(t *testing.T) {
	c, _ := newCore(nil)
	s, _ := opened(c, &fakeHandler{})
	l := &countLayer{}
	turn(c, func() { s.Upgrade(l) })
	turn(c, func() { s.Receive(make([]byte, 3*openPiece+1)) })
	check(t, "opens", l.opens, 4)
}

func TestStream_AbortInsideOnDataStopsEverything(t *testing.T) {
	c, _ := newCore(nil)
	calls := 0
	handler := &fakeHandler{}
	s, sock := opened(c, handler)
	handler.onData = func(p []byte) int { calls++; s.Abort(errInput); return 0 }
	l := &countLayer{}
	turn(c, func() { s.Upgrade(l) })
	turn(c, func() { s.Receive(make([]byte, 5*openPiece)); s.Receive([]byte("x")) })
	check(t, "calls", calls, 1)
	check(t, "layer closed", l.closes, 1)
	check(t, "socket closed", sock.closed, 1)
	turn(c, func() {})
	check(t, "error", handler.err, errInput)
}

func TestStream_IdleStreamOwnsNoBuffer(t *testing.T) {
	c, _ := newCore(nil)
	s, _ := opened(c, &fakeHandler{onData: func(p []byte) int { return len(p) / 100 * 100 }})
	turn(c, func() { s.Receive(make([]byte, 150)); s.Write(make([]byte, 5000)) })
	turn(c, func() { s.Receive(make([]byte, 50)) })
	if s.in != nil || s.out != nil {
		t.Errorf("input of %d and output of %d bytes", cap(s.in), cap(s.out))
	}
	check(t, "buffers for input", len(c.buffers.small), 1)
	check(t, "buffers for output", len(c.buffers.scratches), 1)
}

// A turn that reads 50 frames and answers each allocates nothing, also when
// the last frame is cut.
func TestStream_NoAllocationsInSteadyState(t *testing.T) {
	for name, layers := range map[string]int{"plain": 0, "two layers": 2} {
		c, _ := newCore(nil)
		var s *Stream
		const frame = 200
		s, sock := opened(c, &fakeHandler{onData: func(p []byte) int {
			n := 0
			for ; len(p)-n >= frame; n += frame {
				s.SetOutput(append(s.Output(), p[n:n+frame]...))
			}
			return n
		}})
		for range layers {
			turn(c, func() { s.Upgrade(&keyLayer{key: 3}) })
		}
		p := make([]byte, 50*frame+33)
		run := func() {
			c.Begin()
			s.Receive(p)
			c.End()
			sock.writes = sock.writes[:0]
		}
		silent := &silentSocket{}
		s.sock = silent
		for range 10 {
			run()
		}
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations in a turn", name, n)
		}
	}
}

type silentSocket struct{ fakeSocket }

func (*silentSocket) Write([]byte) error { return nil }

func BenchmarkStream_EchoFrames(b *testing.B) {
	c, _ := newCore(nil)
	const frame = 200
	var s *Stream
	s, _ = opened(c, &fakeHandler{onData: func(p []byte) int {
		n := 0
		for ; len(p)-n >= frame; n += frame {
			s.SetOutput(append(s.Output(), p[n:n+frame]...))
		}
		return n
	}})
	s.sock = &silentSocket{}
	p := make([]byte, 64<<10)
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(p) / frame { // an operation is a frame
		c.Begin()
		s.Receive(p)
		c.End()
	}
}
