package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// joinChecksums returns the checksum of two pieces of bytes, one behind the
// other, from their checksums and the length of the second. A checksum is a
// polynomial modulo the generator: what stands before n bytes counts x^8n times.
func joinChecksums(first, second uint32, n int64) uint32 {
	// In a checksum the highest bit is the coefficient of x^0.
	shift, square := uint32(1)<<31, uint32(1)<<(31-8)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			shift = multiply(shift, square)
		}
		square = multiply(square, square)
	}
	return multiply(shift, first) ^ second
}

// multiply multiplies polynomials modulo the generator of castagnoli.
func multiply(a, b uint32) (product uint32) {
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return product
}

// putPadded writes v as a uvarint that takes up binary.MaxVarintLen64 bytes,
// whatever it is.
func putPadded(b []byte, v uint64) {
	for i := range binary.MaxVarintLen64 - 1 {
		b[i] = byte(v) | 0x80
		v >>= 7
	}
	b[binary.MaxVarintLen64-1] = byte(v)
}
