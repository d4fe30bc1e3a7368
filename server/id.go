package server

import "github.com/nsqloop/nsqloop/internal/wire"

// A message's id on the wire is its sequence in the journal, as sixteen
// lower-case hex digits. So an answer finds its message by arithmetic, and an
// id costs no allocation in either direction.

const hexDigits = "0123456789abcdef"

// hexPairs holds the two digits of every byte.
var hexPairs = func() (p [256][2]byte) {
	for i := range p {
		p[i] = [2]byte{hexDigits[i>>4], hexDigits[i&15]}
	}
	return p
}()

// notHex marks a byte that is no lower-case hex digit.
const notHex = 0xff

// hexValues holds the value of every digit.
var hexValues = func() (v [256]byte) {
	for i := range v {
		v[i] = notHex
	}
	for i := range len(hexDigits) {
		v[hexDigits[i]] = byte(i)
	}
	return v
}()

// formatID returns the id of the message with sequence seq.
func formatID(seq uint64) (id wire.ID) {
	for i := range 8 {
		pair := hexPairs[byte(seq>>(56-8*i))]
		id[2*i], id[2*i+1] = pair[0], pair[1]
	}
	return id
}

// parseID returns the sequence of the message with that id; ok is false when
// no message of ours can have it.
func parseID(id *wire.ID) (seq uint64, ok bool) {
	var seen byte
	for _, b := range id {
		v := hexValues[b]
		seen |= v
		seq = seq<<4 | uint64(v&15)
	}
	return seq, seen <= 15
}
