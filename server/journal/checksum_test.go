package journal

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"
)

func TestJoinChecksums_IsTheChecksumOfBoth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 1<<16)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	for range 2000 {
		all := b[:rng.IntN(len(b))]
		if rng.IntN(2) == 0 {
			all = all[:min(len(all), rng.IntN(20))]
		}
		first, second := all, all[:0]
		if len(all) > 0 {
			at := rng.IntN(len(all) + 1)
			first, second = all[:at], all[at:]
		}
		got := joinChecksums(crc32.Checksum(first, castagnoli), crc32.Checksum(second, castagnoli), int64(len(second)))
		if want := crc32.Checksum(all, castagnoli); got != want {
			t.Fatalf("%d and %d bytes: %08x, want %08x", len(first), len(second), got, want)
		}
	}
}

func TestPutPadded_IsReadAsAUvarint(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 1 << 40, math.MaxInt64, math.MaxUint64} {
		var b [binary.MaxVarintLen64 + 1]byte
		putPadded(b[:], v)
		if got, n := binary.Uvarint(b[:]); got != v || n != binary.MaxVarintLen64 {
			t.Errorf("%d is read as %d from %d bytes", v, got, n)
		}
	}
}
