package datapath

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// The roster is a file of records, little-endian, behind a header of 32 bytes:
//
//	 0               7   8                16                              32
//	+---------------+---+----------------+-------------------------------+
//	| magic         | v | snapshot       | zero                          |
//	+---------------+---+----------------+-------------------------------+
//
//	 0        4        8
//	+--------+--------+------+------+- - - - - - - - - - - - - - - - - - -
//	| crc32c | length | kind | name | files, each a name and its content
//	+--------+--------+------+------+- - - - - - - - - - - - - - - - - - -
//
// The checksum covers length and payload. A record says all that the roster has
// of one directory, so that the last one of each counts and a damaged one costs
// nothing but what it says. Names and contents follow their lengths; these, and
// the number of files, are uvarints. snapshot is how many bytes of records the
// file was begun with: all of them, or it is not whole, and the generation
// before it counts where this one says nothing.
const (
	rosterHeader  = 32
	rosterMagic   = "nsqlros"
	rosterVersion = 1
	rosterPrefix  = "roster."

	recordHeader = 8
	recordMost   = 1 << 20 // of a payload: what is longer is damage

	kindHas  = 1 // the files of a directory, perhaps none
	kindGone = 2 // the roster has nothing of it any more
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rosterName is the name of a generation of the roster.
func rosterName(generation uint64) string { return fmt.Sprintf("%s%016x", rosterPrefix, generation) }

// parseRosterName is the inverse of rosterName.
func parseRosterName(name string) (generation uint64, ok bool) {
	digits, found := strings.CutPrefix(name, rosterPrefix)
	if !found || len(digits) != 16 {
		return 0, false
	}
	generation, err := strconv.ParseUint(digits, 16, 64)
	return generation, err == nil
}

// putRosterHeader writes the header into b, once the records of the snapshot
// stand behind it.
func putRosterHeader(b []byte) {
	copy(b, rosterMagic)
	b[len(rosterMagic)] = rosterVersion
	binary.LittleEndian.PutUint64(b[8:], uint64(len(b)-rosterHeader))
}

// getRosterHeader reads the header of a file. A damaged one is of version 0.
func getRosterHeader(b []byte) (version int, snapshot uint64) {
	if len(b) < rosterHeader || string(b[:len(rosterMagic)]) != rosterMagic {
		return 0, 0
	}
	return int(b[len(rosterMagic)]), binary.LittleEndian.Uint64(b[8:])
}

// entry is what a record says.
type entry struct {
	kind  byte
	name  string
	files []*small
}

// appendEntry appends the record of a directory.
func appendEntry(dst []byte, e *entry) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0) // recordHeader
	dst = appendText(append(dst, e.kind), e.name)
	if e.kind == kindHas {
		n := 0
		for _, s := range e.files {
			if !s.unfinished() {
				n++
			}
		}
		dst = binary.AppendUvarint(dst, uint64(n))
		for _, s := range e.files {
			if !s.unfinished() {
				dst = appendText(appendText(dst, s.name), s.data)
			}
		}
	}
	b := dst[at:]
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-recordHeader))
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return dst
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// readEntry reads the record at the start of b. size is 0 when there is no
// intact one. What it says is a copy.
func readEntry(b []byte) (e entry, size int) {
	if len(b) < recordHeader {
		return e, 0
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if n == 0 || n > recordMost || n > len(b)-recordHeader {
		return e, 0
	}
	b = b[:recordHeader+n]
	kind := b[recordHeader]
	if kind != kindHas && kind != kindGone || binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return e, 0
	}
	e.kind = kind
	r := textReader{b: b[recordHeader+1:]}
	e.name = string(r.text())
	if kind == kindHas {
		for left := r.number(); left > 0 && !r.bad; left-- {
			name := string(r.text())
			e.files = append(e.files, &small{name: name, data: append([]byte(nil), r.text()...)})
		}
	}
	if r.bad || len(r.b) > 0 {
		return e, 0
	}
	return e, len(b)
}

// textReader takes a payload apart.
type textReader struct {
	b   []byte
	bad bool
}

func (r *textReader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *textReader) text() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

// scanned is what readRoster found.
type scanned struct {
	whole   bool // all of the snapshot is there
	end     int  // behind the last intact record
	damaged int  // pieces between intact records, or in the snapshot
}

// readRoster gives the records of a file to apply, in their order. What is
// damaged is passed over; what stands behind the last intact record is the end
// of a write that was cut short, and never acknowledged, unless it is in the
// snapshot.
func readRoster(b []byte, apply func(*entry)) scanned {
	version, snapshot := getRosterHeader(b)
	found := scanned{end: rosterHeader}
	if version == 0 {
		found.damaged++
	}
	for at := rosterHeader; at < len(b); {
		e, size := readEntry(b[at:])
		if size == 0 {
			at++
			continue
		}
		if at > found.end {
			found.damaged++
		}
		apply(&e)
		at += size
		found.end = at
	}
	found.whole = version != 0 && found.damaged == 0 && uint64(found.end-rosterHeader) >= snapshot
	return found
}
