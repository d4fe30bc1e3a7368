package layer

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkLayers seals and opens bodies of words.
func BenchmarkLayers(b *testing.B) {
	for _, m := range everyLayer() {
		for _, size := range []int{200, 16 << 10} {
			b.Run(fmt.Sprintf("%s/%d", m.name, size), func(b *testing.B) {
				client, server := m.make(b)
				defer client.Close()
				defer server.Close()
				talk(b, nil, &end{l: client}, &end{l: server})
				plain := bytes.Repeat([]byte("some words "), size/11+1)[:size]
				var raw, got []byte
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					var err error
					if raw, err = client.Seal(raw[:0], plain); err != nil {
						b.Fatal(err)
					}
					if got, err = server.Open(got[:0], raw); err != nil || len(got) != size {
						b.Fatal(len(got), err)
					}
				}
			})
		}
	}
}

// BenchmarkLayers_Held is how much a connection holds that has said something.
func BenchmarkLayers_Held(b *testing.B) {
	for _, m := range everyLayer() {
		b.Run(m.name, func(b *testing.B) {
			const n = 20
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				held := make([]*end, 0, 2*n)
				for range n {
					client, server := m.make(b)
					x, y := &end{l: client, plain: []byte("hello")}, &end{l: server, plain: []byte("hello")}
					talk(b, nil, x, y)
					held = append(held, x, y)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(int64(after.HeapInuse+after.StackInuse)-int64(before.HeapInuse+before.StackInuse))/(2*n), "B/end")
				for _, e := range held {
					e.l.Close()
				}
			}
		})
	}
}
