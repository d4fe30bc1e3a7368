package reader

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

func TestArena_BodiesNeverShareBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var a arena
	type kept struct{ body, want []byte }
	var all []kept
	for i := range 3000 {
		b := bytes.Repeat([]byte{byte(i)}, random.IntN(300))
		if i%500 == 0 {
			b = bytes.Repeat([]byte{byte(i)}, largeBody+random.IntN(2*blockBodies))
		}
		want := bytes.Clone(b)
		got := a.body(b)
		clear(b) // the connection's buffer is used again
		all = append(all, kept{got, want})
	}
	for _, k := range all {
		_ = append(k.body, 'x') // a user may append
	}
	for i, k := range all {
		if !bytes.Equal(k.body, k.want) {
			t.Fatalf("body %d has changed", i)
		}
	}
}

func TestArena_MessagesAreDistinct(t *testing.T) {
	var a arena
	seen := map[*Message]bool{}
	for range 3 * blockMessages {
		m := a.message()
		if seen[m] {
			t.Fatal("the same message twice")
		}
		seen[m] = true
	}
}

func TestArena_AllocatesPerBlock(t *testing.T) {
	var a arena
	body := make([]byte, 200)
	allocs := testing.AllocsPerRun(6400, func() {
		a.message().Body = a.body(body)
	})
	if allocs != 0 { // an average, rounded down
		t.Errorf("%v allocations per message", allocs)
	}
}

// TestMessage_WithoutReader is for tests of handlers, which make messages
// themselves.
func TestMessage_WithoutReader(t *testing.T) {
	m := &Message{Body: []byte("x")}
	if !m.Touch() || m.Responded() || !m.Deadline().IsZero() || !m.HardDeadline().IsZero() {
		t.Error("a new message is not open")
	}
	if !m.Finish() || !m.Responded() {
		t.Error("the first answer has no effect")
	}
	if m.Finish() || m.Requeue(time.Second) || m.RequeueWithoutBackoff(0) || m.Touch() {
		t.Error("a second answer has an effect")
	}
}

func BenchmarkArena(b *testing.B) {
	var a arena
	body := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		a.message().Body = a.body(body)
	}
}
