package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// A record, little-endian:
//
//	 0        4        8                16               24
//	+--------+--------+----------------+----------------+- - - - - - - - +------
//	| crc32c | length | sequence       | timestamp      | due            | body
//	+--------+--------+----------------+----------------+- - - - - - - - +------
//
// The checksum covers all that follows it. The low 28 bits of length are the
// length of the body, the high four are flags. due is there only in records
// with flagDeferred. Timestamp and due are unix nanoseconds.
const (
	recordHeader = 24
	dueLength    = 8

	flagDeferred = 1 << 31 // published with a delay: due follows the header
	flagMoved    = 1 << 30 // a copy of an older record, whose segment is to go
	lengthMask   = 1<<28 - 1

	// maxBody is the longest body that a record can hold.
	maxBody = lengthMask
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is one record as it was read. body is borrowed.
type record struct {
	seq       uint64
	timestamp int64
	due       int64
	flags     uint32
	body      []byte
	size      int // bytes of the whole record
}

// recordSize is the length of a record with a body of n bytes.
func recordSize(n int, due int64) int {
	if due != 0 {
		n += dueLength
	}
	return recordHeader + n
}

// putRecord writes a record into b, which has exactly its size.
func putRecord(b []byte, seq uint64, timestamp, due int64, flags uint32, body []byte) {
	at := recordHeader
	if due != 0 {
		flags |= flagDeferred
		binary.LittleEndian.PutUint64(b[at:], uint64(due))
		at += dueLength
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(body))|flags)
	binary.LittleEndian.PutUint64(b[8:], seq)
	binary.LittleEndian.PutUint64(b[16:], uint64(timestamp))
	copy(b[at:], body)
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
}

// peekSize is the size that the record at the start of b says it has. b has at
// least recordHeader bytes.
func peekSize(b []byte) int {
	length := binary.LittleEndian.Uint32(b[4:])
	size := recordHeader + int(length&lengthMask)
	if length&flagDeferred != 0 {
		size += dueLength
	}
	return size
}

// getRecord takes apart the record in b, which holds exactly one.
func getRecord(b []byte, r *record) {
	length := binary.LittleEndian.Uint32(b[4:])
	at := recordHeader
	r.flags = length &^ lengthMask
	r.seq = binary.LittleEndian.Uint64(b[8:])
	r.timestamp = int64(binary.LittleEndian.Uint64(b[16:]))
	r.due = 0
	if length&flagDeferred != 0 {
		r.due = int64(binary.LittleEndian.Uint64(b[at:]))
		at += dueLength
	}
	r.body = b[at:len(b):len(b)]
	r.size = len(b)
}

// intact reports whether the checksum of the record in b holds.
func intact(b []byte) bool {
	return binary.LittleEndian.Uint32(b) == crc32.Checksum(b[4:], castagnoli)
}

// A segment file starts with a header of 32 bytes, and so does a cursor file:
//
//	 0               7   8                16               24               32
//	+---------------+---+----------------+----------------+----------------+
//	| magic         | v | base           | first sequence | zero           |
//	+---------------+---+----------------+----------------+----------------+
//
// base is the position of the segment's first record. Base and first sequence
// also stand in the file's name, so that a damaged header costs nothing.
const (
	fileHeader    = 32
	segmentMagic  = "nsqlseg"
	cursorMagic   = "nsqlcur"
	formatVersion = 1

	segmentSuffix = ".log"
	cursorPrefix  = "cursors."
	tempSuffix    = ".tmp"
)

// appendHeader appends the header of a file.
func appendHeader(dst []byte, magic string, base int64, first uint64) []byte {
	dst = append(dst, magic...)
	dst = append(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(base))
	dst = binary.LittleEndian.AppendUint64(dst, first)
	return binary.LittleEndian.AppendUint64(dst, 0)
}

// headerVersion is the version of the file that starts with b; ok is false
// when b is not the header of such a file. There is no version 0: it is what a
// kill in the middle of writing the header leaves, with records behind it.
func headerVersion(b []byte, magic string) (version int, ok bool) {
	if len(b) < fileHeader || string(b[:len(magic)]) != magic {
		return 0, false
	}
	version = int(b[len(magic)])
	return version, version != 0
}

// segmentName is the name of the file of a segment.
func segmentName(base int64, first uint64) string {
	return fmt.Sprintf("%016x-%016x%s", base, first, segmentSuffix)
}

// parseSegmentName is the inverse of segmentName.
func parseSegmentName(name string) (base int64, first uint64, ok bool) {
	digits, found := strings.CutSuffix(name, segmentSuffix)
	if !found || len(digits) != 33 || digits[16] != '-' {
		return 0, 0, false
	}
	b, err1 := strconv.ParseUint(digits[:16], 16, 63)
	first, err2 := strconv.ParseUint(digits[17:], 16, 64)
	return int64(b), first, err1 == nil && err2 == nil
}

// cursorName is the name of a generation of the cursor file.
func cursorName(generation uint64) string {
	return fmt.Sprintf("%s%016x", cursorPrefix, generation)
}

// IsCursorFile reports whether a journal has given a file that name because it
// says what the cursors have done: the one file that a journal without a message
// has, and a short one then.
func IsCursorFile(name string) bool { return strings.HasPrefix(name, cursorPrefix) }

// parseCursorName is the inverse of cursorName.
func parseCursorName(name string) (generation uint64, ok bool) {
	digits, found := strings.CutPrefix(name, cursorPrefix)
	if !found || len(digits) != 16 {
		return 0, false
	}
	generation, err := strconv.ParseUint(digits, 16, 64)
	return generation, err == nil
}
