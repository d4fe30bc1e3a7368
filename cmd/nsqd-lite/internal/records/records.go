// Package records cuts a stream of bytes into messages, and lets them go at a
// rate. It does not know where they go.
package records

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Limit is how many bytes a record may have. nsqd takes 1 MiB unless it is told
// otherwise, and says so itself; this bounds what is held before it can.
const Limit = 64 << 20

// Reader yields the records of a stream. Empty ones are left out.
type Reader struct {
	in    *bufio.Reader
	delim byte
	buf   []byte
	count int
	err   error
}

// NewReader makes a Reader of records that end in delim. The last one may end
// with the stream instead.
func NewReader(r io.Reader, delim byte) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10), delim: delim}
}

// Next is the next record, without delim, or an error: io.EOF after the last
// one. It is valid until Next is called again. ready says that more of the
// stream is at hand, so that the next record need not be waited for.
func (r *Reader) Next() (record []byte, ready bool, err error) {
	for r.err == nil {
		r.buf = r.buf[:0]
		for {
			part, err := r.in.ReadSlice(r.delim)
			r.buf = append(r.buf, part...)
			if len(r.buf) > Limit+1 {
				r.err = fmt.Errorf("record %d has more than %d bytes", r.count+1, Limit)
				return nil, false, r.err
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				r.err = err
				break
			}
		}
		record = bytes.TrimSuffix(r.buf, []byte{r.delim})
		if len(record) == 0 || r.err != nil && !errors.Is(r.err, io.EOF) {
			continue
		}
		r.count++
		return record, r.err == nil && r.in.Buffered() > 0, nil
	}
	return nil, false, r.err
}

// Pace lets so many records a second go.
type Pace struct {
	perSecond float64
	start     time.Time
	gone      float64
}

// NewPace makes a Pace that begins with its first Wait. perSecond 0 or less is
// no limit.
func NewPace(perSecond float64) *Pace { return &Pace{perSecond: perSecond} }

// Wait returns when n more records may go, or with ctx's error when that ends
// first.
func (p *Pace) Wait(ctx context.Context, n int) error {
	if p.perSecond <= 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.start.IsZero() {
		p.start = now
	}
	wait := p.due(n).Sub(now)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// due is when n more records may go: when those before them have had their
// time.
func (p *Pace) due(n int) time.Time {
	at := p.start.Add(time.Duration(p.gone / p.perSecond * float64(time.Second)))
	p.gone += float64(n)
	return at
}
