package diskqueue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

const (
	lengthSize = 4
	headSize   = 8 + 2 + idSize // what stands before the body
	idSize     = 16

	// longest is the longest record that is believed, in bytes.
	longest = 256 << 20

	// windowSize is how much of a file is in memory, a longer record aside.
	windowSize = 1 << 20
)

// Message is a message that nsqd has left.
type Message struct {
	Timestamp int64 // unix nanoseconds
	Attempts  uint16
	ID        string
	Body      []byte // borrowed until the function that was given it returns
}

// Damage is a piece of a file in which no record can be found.
type Damage struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	Torn   bool   `json:"torn"` // at the end of the last file: a write that was not finished
}

// Read calls f for each unread message, in order, and returns how many there
// were and what could not be read. It ends with f's error, or with that of a
// disk. read, if not nil, is told now and then how many bytes it has gone over
// since, and ends it with an error.
func (q *Queue) Read(f func(*Message) error, read func(bytes int64) error) (messages int64, damaged []Damage, err error) {
	for i, file := range q.Files {
		s := scanner{f: f, read: read, last: i == len(q.Files)-1}
		err := s.file(q.dir, file)
		messages, damaged = messages+s.messages, append(damaged, s.damaged...)
		if err != nil {
			return messages, damaged, fmt.Errorf("read %s: %w", file.Name, err)
		}
	}
	return messages, damaged, nil
}

// ReadBad is Read for the files that nsqd has set aside, from their beginnings:
// what nsqd had delivered of them comes again.
func (q *Queue) ReadBad(f func(*Message) error, read func(bytes int64) error) (messages int64, damaged []Damage, err error) {
	bad := *q
	bad.Files = nil
	for _, name := range q.Bad {
		info, err := os.Stat(filepath.Join(q.dir, name))
		if err != nil {
			return 0, nil, err
		}
		bad.Files = append(bad.Files, File{Name: name, Size: info.Size()})
	}
	return bad.Read(f, read)
}

// scanner reads one file.
type scanner struct {
	f        func(*Message) error
	read     func(bytes int64) error
	last     bool // of its queue
	window   window
	size     int64
	messages int64
	damaged  []Damage
}

// file reads a file from its read position on.
func (s *scanner) file(dir string, file File) error {
	f, err := os.Open(filepath.Join(dir, file.Name))
	if err != nil {
		return err
	}
	defer f.Close()
	s.window, s.size = window{f: f, size: int(min(windowSize, file.Size))}, file.Size
	at := file.From
	for at < s.size {
		next, err := s.record(file.Name, at)
		if err != nil {
			return err
		}
		if s.read != nil {
			if err := s.read(next - at); err != nil {
				return err
			}
		}
		at = next
	}
	return nil
}

// record hands over the record at a place, or notes the damage there, and
// returns where to go on.
func (s *scanner) record(name string, at int64) (next int64, err error) {
	h, err := s.header(at)
	if err != nil {
		return 0, err
	}
	good, err := s.trusted(h, at)
	if err != nil {
		return 0, err
	}
	if good {
		return h.end, s.hand(at, int(h.end-at-lengthSize))
	}
	found, err := s.find(at + 1)
	if err != nil {
		return 0, err
	}
	s.damage(name, at, found)
	return found, nil
}

// trusted reports whether the record with a header at a place ends where it
// says. It does when a record follows, or the file ends. When neither is so,
// either this length is wrong, or what follows is damaged.
func (s *scanner) trusted(h header, at int64) (bool, error) {
	if !h.fits {
		return false, nil
	}
	if h.end == s.size {
		return true, nil
	}
	next, err := s.header(h.end)
	if err != nil || next.fits && next.digits {
		return err == nil, err
	}
	if !h.digits {
		return false, nil
	}
	if next.digits || next.zero || s.last && s.size-h.end < lengthSize+headSize {
		return true, nil // a record with a damaged length, what a loss of power leaves, or a torn end
	}
	if !next.fits {
		return false, nil
	}
	after, err := s.header(next.end)
	return next.end == s.size || after.fits && after.digits, err // a record with a damaged id
}

// damage notes a piece of a file, up to the next record or the file's end.
func (s *scanner) damage(name string, from, to int64) {
	s.damaged = append(s.damaged, Damage{name, from, to - from, s.last && to == s.size})
}

// hand hands over the record of n bytes at a place.
func (s *scanner) hand(at int64, n int) error {
	b, err := s.window.bytes(at+lengthSize, n)
	if err != nil {
		return err
	}
	s.messages++
	return s.f(&Message{
		Timestamp: int64(binary.BigEndian.Uint64(b)),
		Attempts:  binary.BigEndian.Uint16(b[8:]),
		ID:        string(b[10:headSize]),
		Body:      b[headSize:],
	})
}

// header is what stands at a place where a record should begin.
type header struct {
	fits   bool  // the length can be
	digits bool  // the id is one
	zero   bool  // nothing but zeroes
	end    int64 // of the record, if it fits
}

// header looks at a place.
func (s *scanner) header(at int64) (header, error) {
	if at+lengthSize+headSize > s.size {
		return header{}, nil
	}
	b, err := s.window.bytes(at, lengthSize+headSize)
	if err != nil {
		return header{}, err
	}
	return look(b, at, s.size), nil
}

// look looks at the header in b, which stands at a place in a file of size.
func look(b []byte, at, size int64) (h header) {
	length := binary.BigEndian.Uint32(b)
	h.end = at + lengthSize + int64(length)
	h.fits = length >= headSize && length <= longest && h.end <= size
	h.digits = !slices.ContainsFunc(b[lengthSize+headSize-idSize:lengthSize+headSize], func(c byte) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'f')
	})
	h.zero = !slices.ContainsFunc(b[:lengthSize+headSize-idSize], func(c byte) bool { return c != 0 })
	return h
}

// find returns the next place at which a record begins that can be trusted; the
// file's end when there is none.
func (s *scanner) find(at int64) (int64, error) {
	for at+lengthSize+headSize <= s.size {
		b, err := s.window.bytes(at, int(min(windowSize, s.size-at)))
		if err != nil {
			return 0, err
		}
		b = bytes.Clone(b) // looking at what follows moves the window
		for i := 0; i+lengthSize+headSize <= len(b); i++ {
			here := at + int64(i)
			h := look(b[i:], here, s.size)
			if !h.fits || !h.digits {
				continue
			}
			good, err := s.trusted(h, here)
			if good || err != nil {
				return here, err
			}
		}
		at += int64(len(b) - (lengthSize + headSize) + 1)
	}
	return s.size, nil
}

// window is a piece of a file in memory.
type window struct {
	f     *os.File
	size  int // of what is read at once
	start int64
	buf   []byte
}

// bytes returns n bytes of the file, good until the next call.
func (w *window) bytes(at int64, n int) ([]byte, error) {
	if i := at - w.start; i >= 0 && i+int64(n) <= int64(len(w.buf)) {
		return w.buf[i : i+int64(n)], nil
	}
	size := max(n, w.size)
	if cap(w.buf) < size || cap(w.buf) > w.size && size == w.size {
		w.buf = make([]byte, size)
	}
	w.buf = w.buf[:size]
	got, err := w.f.ReadAt(w.buf, at)
	w.start, w.buf = at, w.buf[:got]
	if got < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return w.buf[:n], nil
}
