package server

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nsqloop/nsqloop/internal/wire"
)

const batch = 100

func pubs(topic string, n, size int) []byte {
	var b []byte
	for range n {
		b = wire.AppendPub(b, topic, bytes.Repeat([]byte("x"), size))
	}
	return b
}

// BenchmarkPublish is pipelined PUBs of 200 bytes, a hundred to a turn, into a
// journal on disk; per message.
func BenchmarkPublish(b *testing.B) {
	w := newBare(b, Options{DataPath: b.TempDir()})
	c, bc := w.client()
	in := pubs("bench", batch, 200)
	b.ReportAllocs()
	b.SetBytes(200)
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		w.data(c, in)
		bc.out = bc.out[:0]
		if i%(1<<20) < batch {
			b.StopTimer()
			w.l.turn(func() { w.s.topic("bench").empty() })
			b.StartTimer()
		}
	}
}

// BenchmarkMultiPublish is MPUBs of a hundred; per message.
func BenchmarkMultiPublish(b *testing.B) {
	w := newBare(b, Options{DataPath: b.TempDir()})
	c, bc := w.client()
	bodies := make([][]byte, batch)
	for i := range bodies {
		bodies[i] = bytes.Repeat([]byte("x"), 200)
	}
	in := wire.AppendMPub(nil, "bench", bodies)
	b.ReportAllocs()
	b.SetBytes(200)
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		w.data(c, in)
		bc.out = bc.out[:0]
		if i%(1<<20) < batch {
			b.StopTimer()
			w.l.turn(func() { w.s.topic("bench").empty() })
			b.StartTimer()
		}
	}
}

// fins answers every message in out with FIN.
func fins(in, out []byte) []byte {
	in = in[:0]
	for len(out) > 0 {
		t, data, n, err := wire.ReadFrame(out, 0)
		if err != nil || n == 0 {
			panic(fmt.Sprint("the server sends what is no frame: ", err))
		}
		out = out[n:]
		if t != wire.FrameMessage {
			continue
		}
		m, err := wire.ReadMessage(data)
		if err != nil {
			panic(err)
		}
		in = wire.AppendFin(in, m.ID)
	}
	return in
}

// BenchmarkConsume is delivery and FIN of a waiting message, a hundred to a
// turn; per message, the client's side included.
func BenchmarkConsume(b *testing.B) {
	w := newBare(b, Options{DataPath: b.TempDir()})
	p, pc := w.client()
	w.data(p, wire.AppendSub(nil, "bench", "ch"))
	c, bc := w.subscriber("bench", "ch", 0)
	in := pubs("bench", batch, 200)
	wait := func(n int) { // with one turn more than is taken
		w.data(c, wire.AppendRdy(nil, 0))
		for range n/batch + 1 {
			w.data(p, in)
			pc.out = pc.out[:0]
		}
		w.data(c, wire.AppendRdy(nil, batch))
	}
	b.ReportAllocs()
	var answers []byte
	for i := 0; i < b.N; i += batch {
		if i%(1<<20) < batch { // so that the disk does not fill, however long it runs
			b.StopTimer()
			wait(min(b.N-i, 1<<20) + batch)
			b.StartTimer()
		}
		answers = fins(answers, bc.out)
		bc.out = bc.out[:0]
		w.data(c, answers)
	}
	b.StopTimer()
	if c.finished < uint64(b.N) {
		b.Fatalf("finished %d of %d", c.finished, b.N)
	}
}

// BenchmarkFanOut is a publish, and delivery and FIN in four channels; per
// delivery.
func BenchmarkFanOut(b *testing.B) {
	w := newBare(b, Options{DataPath: b.TempDir()})
	p, pc := w.client()
	var cs [4]*conn
	var bcs [4]*bareConn
	for i := range cs {
		cs[i], bcs[i] = w.subscriber("bench", fmt.Sprint("ch", i), batch)
	}
	in := pubs("bench", batch, 200)
	var answers []byte
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 4 * batch {
		w.data(p, in)
		pc.out = pc.out[:0]
		for k, c := range cs {
			answers = fins(answers, bcs[k].out)
			bcs[k].out = bcs[k].out[:0]
			w.data(c, answers)
		}
	}
}

// The hot paths allocate nothing per message. A write of a turn may cost one.
func TestServer_AllocatesNothingPerMessage(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		w := newBare(t, Options{DataPath: dir})
		p, pc := w.client()
		c, bc := w.subscriber("hot", "ch", batch)
		in := pubs("hot", batch, 200)
		mpub := wire.AppendMPub(nil, "hot", [][]byte{[]byte("a"), []byte("b")})
		var answers []byte
		round := func() {
			w.data(p, in)
			w.data(p, mpub)
			pc.out = pc.out[:0]
			for len(bc.out) > 0 {
				answers = fins(answers, bc.out)
				bc.out = bc.out[:0]
				w.data(c, answers)
			}
		}
		for range 200 { // until buffers and tables have their size
			round()
		}
		if got := testing.AllocsPerRun(200, round); got > 5 {
			t.Errorf("data path %q: %v allocations for a turn of %d messages published, delivered and finished; want none per message", dir, got, batch+2)
		}
		if want := p.all[0].n; c.finished != want {
			t.Errorf("finished %d of %d", c.finished, want)
		}
	}
}
