package layer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/klauspost/compress/flate"
)

// deflateBuffer is the size of the buffer between the coroutine and the
// decompressor, which reads byte by byte.
const deflateBuffer = 1 << 10

// historyMost is how much of what was said last the next Seal can refer to. It
// is what makes messages compress that are sealed one by one: 200 bytes of JSON
// to a seventh, instead of to four fifths. Each Seal reads it again, which takes
// some microseconds.
const historyMost = 4 << 10

// Deflate is a layer of raw deflate (RFC 1951). Make one with NewDeflate.
type Deflate struct {
	co      coroutine
	level   int
	history []byte // the last plain bytes that were sealed
}

// NewDeflate returns a layer of raw deflate that compresses with level, 1 to 9.
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
// all of it. The compressor, which takes a megabyte, goes to other connections
// until the next Seal; this one keeps a little history to begin that with.
func (d *Deflate) Seal(dst, plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return dst, nil
	}
	c, err := getCompressor(d.level)
	if err != nil {
		return dst, fmt.Errorf("deflate: %w", err)
	}
	c.w.ResetDict(c, d.history)
	c.out = dst
	if _, err = c.w.Write(plain); err == nil {
		err = c.w.Flush()
	}
	dst, c.out = c.out, nil
	compressors[d.level].Put(c)
	d.remember(plain)
	if err != nil {
		return dst, fmt.Errorf("deflate: %w", err)
	}
	return dst, nil
}

// remember makes the end of what was sealed the history.
func (d *Deflate) remember(plain []byte) {
	plain = plain[max(0, len(plain)-historyMost):]
	if d.history == nil {
		d.history = make([]byte, 0, historyMost)
	}
	if excess := len(d.history) + len(plain) - historyMost; excess > 0 {
		d.history = d.history[:copy(d.history, d.history[excess:])]
	}
	d.history = append(d.history, plain...)
}

// Close releases what the layer holds.
func (d *Deflate) Close() { d.co.close() }

// compressor appends what it makes to out.
type compressor struct {
	w   *flate.Writer
	out []byte
}

func (c *compressor) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// compressors are those at rest, by level. Loops share them.
var compressors [flate.BestCompression + 1]sync.Pool

// getCompressor returns a compressor, to be reset before use.
func getCompressor(level int) (*compressor, error) {
	if level < 1 || level >= len(compressors) {
		return nil, fmt.Errorf("level %d: want 1 to %d", level, flate.BestCompression)
	}
	if c, ok := compressors[level].Get().(*compressor); ok {
		return c, nil
	}
	c := new(compressor)
	var err error
	c.w, err = flate.NewWriter(c, level)
	return c, err
}
