package layer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/klauspost/compress/flate"
)

// deflateBuffer is the size of the buffer between the coroutine and the
// decompressor, which reads byte by byte.
const deflateBuffer = 1 << 10

// Deflate is a layer of raw deflate (RFC 1951). Make one with NewDeflate.
type Deflate struct {
	co     coroutine
	level  int
	writer *flate.Writer // nil before the first output: it is large
	sealed []byte        // what writer writes to, while Seal runs
}

// NewDeflate returns a layer of raw deflate that compresses with level, 1 to 9.
// A level from 7 on takes most of a megabyte for each connection that sends.
func NewDeflate(level int) *Deflate { return &Deflate{level: level} }

// Open appends to dst the plain bytes that raw completes: all up to the last
// place where the peer has flushed.
func (d *Deflate) Open(dst, raw []byte) ([]byte, error) {
	return d.co.open(dst, raw, d.read)
}

// More says whether Open has stopped half way.
func (d *Deflate) More() bool { return d.co.more }

// read is the body of the coroutine.
func (d *Deflate) read() error {
	r := flate.NewReader(bufio.NewReaderSize(&d.co, deflateBuffer))
	_, err := r.(io.WriterTo).WriteTo(&d.co) // straight from the window
	switch {
	case err == nil:
		return fmt.Errorf("deflate: the peer has ended the stream: %w", io.EOF)
	case errors.Is(err, net.ErrClosed):
		return err
	}
	return fmt.Errorf("deflate: %w: %w", ErrCorrupt, err)
}

// Seal appends plain to dst, compressed and flushed so that the peer can read
// all of it.
func (d *Deflate) Seal(dst, plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return dst, nil
	}
	if d.writer == nil {
		w, err := flate.NewWriter((*appender)(d), d.level)
		if err != nil {
			return dst, fmt.Errorf("deflate: %w", err)
		}
		d.writer = w
	}
	d.sealed = dst
	_, err := d.writer.Write(plain)
	if err == nil {
		err = d.writer.Flush()
	}
	dst, d.sealed = d.sealed, nil
	if err != nil {
		return dst, fmt.Errorf("deflate: %w", err)
	}
	return dst, nil
}

// Close releases what the layer holds.
func (d *Deflate) Close() {
	d.co.close()
	d.writer = nil
}

// appender is a Deflate as its compressor writes to it.
type appender Deflate

func (a *appender) Write(p []byte) (int, error) {
	a.sealed = append(a.sealed, p...)
	return len(p), nil
}
