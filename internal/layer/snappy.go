package layer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"
)

// The framing format of snappy: a stream is a row of chunks.
//
//	+------+---------------+---------------------------------------+
//	| type | length, 3 LE  | length bytes                          |
//	+------+---------------+---------------------------------------+
//	  0xff   6               sNaPpY            first, and may be repeated
//	  0x00   4 + n           checksum, block   a compressed block
//	  0x01   4 + n           checksum, bytes   bytes as they are
//	  0x82 to 0xfe                             to be skipped
//	  0x02 to 0x81                             not to be skipped: an error
//
// A chunk stands for 64 KiB of plain bytes at most. The checksum is the masked
// CRC-32C of the plain bytes. The format would have 0x80 and 0x81 skipped, which
// nothing sends; but they are data whose first bit the network has flipped, and
// no checksum would miss what was skipped.
const (
	chunkCompressed = 0x00
	chunkPlain      = 0x01
	chunkSkippable  = 0x80
	chunkIdentifier = 0xff

	chunkHeader   = 4
	chunkChecksum = 4
	chunkMost     = 64 << 10                     // plain bytes
	blockMost     = 32 + chunkMost + chunkMost/6 // what a compressor may make of them
	bodyMost      = chunkChecksum + blockMost    // of a data chunk
	identifier    = "\xff\x06\x00\x00sNaPpY"     // the whole chunk
	worthwhile    = 8                            // a block must be smaller by 1/worthwhile
	partMost      = 4 << 10                      // capacity of a part that is kept for the next one
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the masked CRC-32C of p.
func checksum(p []byte) uint32 {
	c := crc32.Checksum(p, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// Snappy is a layer of framed snappy. Make one with NewSnappy.
type Snappy struct {
	raw                 []byte // what Open has still to look at; borrowed while it does
	part                []byte // the beginning of a chunk that is not whole
	whole               bool   // part was a whole chunk, and can go
	skip                int    // bytes to pass over
	greeted, introduced bool   // the peer's stream has begun; ours has
}

// NewSnappy returns a layer of framed snappy.
func NewSnappy() *Snappy { return new(Snappy) }

// Open appends to dst the plain bytes of the chunks that raw completes.
func (s *Snappy) Open(dst, raw []byte) ([]byte, error) {
	if len(raw) > 0 {
		s.raw = raw
	}
	for full := len(dst) + openMost; len(s.raw) > 0 && len(dst) < full; {
		chunk, err := s.next()
		if err == nil && chunk != nil {
			dst, err = s.data(dst, chunk)
		}
		if err != nil {
			s.raw = nil
			return dst, fmt.Errorf("snappy: %w", err)
		}
	}
	switch {
	case len(s.raw) == 0:
		s.raw = nil
	case len(raw) > 0:
		s.raw = bytes.Clone(s.raw) // the next call may be a while
	}
	return dst, nil
}

// More says whether Open has stopped half way.
func (s *Snappy) More() bool { return len(s.raw) > 0 }

// next returns the next chunk if all of it is there: where it lies, or in part.
// It passes over what may be skipped, of which it keeps nothing.
func (s *Snappy) next() ([]byte, error) {
	if n := min(s.skip, len(s.raw)); n > 0 {
		s.raw, s.skip = s.raw[n:], s.skip-n
		return nil, nil
	}
	if s.whole {
		s.part, s.whole = s.part[:0], false
		if cap(s.part) > partMost {
			s.part = nil
		}
	}
	if len(s.part) == 0 && len(s.raw) >= chunkHeader {
		n, err := s.size(s.raw)
		if err != nil || n == 0 {
			s.raw = s.raw[chunkHeader:]
			return nil, err
		}
		if len(s.raw) >= n {
			chunk := s.raw[:n:n]
			s.raw = s.raw[n:]
			return chunk, nil
		}
	}
	if !s.gather(chunkHeader) {
		return nil, nil
	}
	n, err := s.size(s.part)
	if err != nil || n == 0 {
		s.part = s.part[:0]
		return nil, err
	}
	if !s.gather(n) {
		return nil, nil
	}
	s.whole = true
	return s.part, nil
}

// gather moves bytes to part until it has n, and reports whether it has.
func (s *Snappy) gather(n int) bool {
	if missing := min(n-len(s.part), len(s.raw)); missing > 0 {
		s.part = append(s.part, s.raw[:missing]...)
		s.raw = s.raw[missing:]
	}
	return len(s.part) >= n
}

// size is the length of the chunk that begins with p, checked before anything
// is kept of it; 0 for one without use, which is to be skipped.
func (s *Snappy) size(p []byte) (int, error) {
	kind, n := p[0], int(p[1])|int(p[2])<<8|int(p[3])<<16
	switch {
	case kind == chunkIdentifier && n == len(identifier)-chunkHeader:
	case !s.greeted:
		return 0, fmt.Errorf("%w: it does not begin with the stream identifier", ErrCorrupt)
	case kind == chunkIdentifier:
		return 0, fmt.Errorf("%w: stream identifier of %d bytes", ErrCorrupt, n)
	case kind > chunkSkippable|chunkPlain:
		s.skip = n
		return 0, nil
	case kind > chunkPlain:
		return 0, fmt.Errorf("%w: chunk of type %#02x", ErrCorrupt, kind)
	case n < chunkChecksum, n > bodyMost, kind == chunkPlain && n > chunkChecksum+chunkMost:
		return 0, fmt.Errorf("%w: chunk of %d bytes", ErrCorrupt, n)
	}
	return chunkHeader + n, nil
}

// data appends the plain bytes of one chunk.
func (s *Snappy) data(dst, chunk []byte) ([]byte, error) {
	if chunk[0] == chunkIdentifier {
		if string(chunk) != identifier {
			return dst, fmt.Errorf("%w: not the stream identifier", ErrCorrupt)
		}
		s.greeted = true
		return dst, nil
	}
	body := chunk[chunkHeader+chunkChecksum:]
	at := len(dst)
	if chunk[0] == chunkPlain {
		dst = append(dst, body...)
	} else {
		n, err := s2.DecodedLen(body)
		if err != nil || n > chunkMost {
			return dst, fmt.Errorf("%w: block of %d plain bytes", ErrCorrupt, n)
		}
		dst = slices.Grow(dst, n)
		if _, err := s2.Decode(dst[at:at+n], body); err != nil {
			return dst, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		dst = dst[:at+n]
	}
	if checksum(dst[at:]) != binary.LittleEndian.Uint32(chunk[chunkHeader:]) {
		return dst[:at], fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	return dst, nil
}

// Seal appends plain to dst as chunks.
func (s *Snappy) Seal(dst, plain []byte) ([]byte, error) {
	for len(plain) > 0 {
		if !s.introduced {
			s.introduced = true
			dst = append(dst, identifier...)
		}
		p := plain[:min(len(plain), chunkMost)]
		plain = plain[len(p):]
		dst = appendChunk(dst, p)
	}
	return dst, nil
}

// appendChunk appends the chunk for p: compressed if that is worth its while.
func appendChunk(dst, p []byte) []byte {
	const head = chunkHeader + chunkChecksum
	at := len(dst)
	dst = slices.Grow(dst, head+s2.MaxEncodedLen(len(p)))
	dst = dst[:at+head]
	kind := byte(chunkCompressed)
	block := s2.EncodeSnappy(dst[at+head:cap(dst)], p)
	n := len(block)
	if n < len(p)-len(p)/worthwhile {
		dst = dst[:at+head+n] // where EncodeSnappy has put it
	} else {
		kind, n = chunkPlain, len(p)
		dst = append(dst, p...)
	}
	n += chunkChecksum
	dst[at], dst[at+1], dst[at+2], dst[at+3] = kind, byte(n), byte(n>>8), byte(n>>16)
	binary.LittleEndian.PutUint32(dst[at+chunkHeader:], checksum(p))
	return dst
}

// Close is there for the sake of the other layers: there is nothing to release.
func (s *Snappy) Close() { s.raw, s.part = nil, nil }
