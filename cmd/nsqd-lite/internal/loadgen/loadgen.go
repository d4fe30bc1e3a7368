// Package loadgen puts load on nsqds and measures how long things take. It uses
// the SDK as a program does, and so measures both sides together.
package loadgen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// Kind is what is measured.
type Kind string

// The kinds.
const (
	Pub Kind = "pub" // from a publish to its OK
	Sub Kind = "sub" // consuming and finishing what was published before
	E2E Kind = "e2e" // from a publish to the handler
)

// Options say what load.
type Options struct {
	Kind    Kind
	NSQDs   []string
	Topic   string
	Channel string // to consume

	// Size is the bytes of a body, at least 8.
	Size int

	// The load ends after Count messages or after Duration, whichever comes
	// first; 0 is no limit, for one of them. Sub wants a Count.
	Count    int
	Duration time.Duration

	// Pending is how many publishes, or messages, are in flight at once.
	Pending int

	// Rate is how many messages a second E2E publishes.
	Rate float64

	// Done is called on the loop, once, with the outcome.
	Done func(Result, error)
}

func (o *Options) check() error {
	switch {
	case o.Size < 8:
		return fmt.Errorf("size %d: want at least 8 bytes", o.Size)
	case o.Pending < 1:
		return errors.New("pending: want at least 1")
	case o.Count < 0 || o.Duration < 0 || o.Count == 0 && (o.Duration == 0 || o.Kind == Sub):
		return errors.New("count, duration: say when to end")
	case o.Kind == E2E && !(o.Rate > 0):
		return errors.New("rate: want more than 0")
	}
	return nil
}

// Result is what was measured. Latencies are in microseconds; Sub has none.
type Result struct {
	Kind     Kind    `json:"kind"`
	Messages int     `json:"messages"`
	Size     int     `json:"size"`
	Seconds  float64 `json:"seconds"`
	Rate     float64 `json:"messages_per_second"`
	Bytes    float64 `json:"bytes_per_second"`

	P50  int64 `json:"p50_us,omitempty"`
	P90  int64 `json:"p90_us,omitempty"`
	P99  int64 `json:"p99_us,omitempty"`
	P999 int64 `json:"p999_us,omitempty"`
	Max  int64 `json:"max_us,omitempty"`
}

// Load is a load that runs. It belongs to its loop.
type Load struct {
	l    loop.Loop
	o    Options
	w    *writer.Writer
	body []byte
	hist *hdrhistogram.Histogram

	began    time.Time // of what is measured
	sent     int
	finished int
	ended    bool
}

// New begins a load on l.
func New(l loop.Loop, o Options) (*Load, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	x := &Load{l: l, o: o, body: make([]byte, o.Size), hist: hdrhistogram.New(1, time.Hour.Microseconds(), 3)}
	var err error
	if x.w, err = writer.New(l, writer.Options{NSQDs: o.NSQDs, MaxPending: o.Pending + 1_000_000}); err != nil {
		return nil, err
	}
	begin := x.pub
	switch o.Kind {
	case Sub:
		begin = x.preload
	case E2E:
		if err := x.consume(); err != nil {
			return nil, err
		}
		begin = x.steady
	}
	return x, l.Post(begin)
}

// Progress is how many messages are done, of how many; 0 when only the time
// says. It must be called on the loop.
func (x *Load) Progress() (done, of int, since time.Duration) {
	if x.began.IsZero() {
		return 0, x.o.Count, 0
	}
	return x.finished, x.o.Count, time.Since(x.began)
}

// start begins the measurement.
func (x *Load) start() {
	x.began = time.Now()
	if x.o.Duration > 0 {
		x.l.After(x.o.Duration, x.end)
	}
}

// more says whether another message is to be sent.
func (x *Load) more() bool { return !x.ended && (x.o.Count == 0 || x.sent < x.o.Count) }

// pub keeps Pending publishes going.
func (x *Load) pub() {
	x.start()
	for range x.o.Pending {
		x.pubOne()
	}
}

func (x *Load) pubOne() {
	if !x.more() {
		return
	}
	x.sent++
	began := time.Now()
	x.w.Publish(x.o.Topic, x.body, func(res writer.Result) {
		if x.failed(res.Err) {
			return
		}
		x.note(time.Since(began))
		x.pubOne()
	})
}

// preload publishes what is to be consumed, and then consumes it.
func (x *Load) preload() {
	const batch = 500
	left := x.o.Count
	var next func()
	next = func() {
		if left == 0 {
			if !x.failed(x.consume()) {
				x.start()
			}
			return
		}
		n := min(left, batch)
		left -= n
		bodies := make([][]byte, n)
		for i := range bodies {
			bodies[i] = x.body
		}
		x.w.MultiPublish(x.o.Topic, bodies, func(res writer.Result) {
			if !x.failed(res.Err) {
				next()
			}
		})
	}
	next()
}

// steady publishes at a rate, each message with the time in it.
func (x *Load) steady() {
	x.start()
	period := max(time.Millisecond, time.Duration(float64(time.Second)/x.o.Rate))
	var tick loop.Timer
	tick = x.l.Every(period, func() {
		due := int(time.Since(x.began).Seconds()*x.o.Rate) + 1
		for x.sent < due && x.more() {
			x.sent++
			body := append([]byte(nil), x.body...)
			binary.BigEndian.PutUint64(body, uint64(time.Since(x.began)))
			x.w.Publish(x.o.Topic, body, func(res writer.Result) { x.failed(res.Err) })
		}
		if x.ended {
			tick.Stop()
		}
	})
}

// consume counts what comes, and measures what carries a time.
func (x *Load) consume() error {
	_, err := reader.New(x.l, reader.Options{
		Topic: x.o.Topic, Channel: x.o.Channel, NSQDs: x.o.NSQDs, MaxInFlight: x.o.Pending,
		Handler: func(m *reader.Message) error {
			if x.o.Kind == Sub {
				x.note(0)
			} else if len(m.Body) >= 8 {
				x.note(time.Since(x.began) - time.Duration(binary.BigEndian.Uint64(m.Body)))
			}
			return nil
		},
	})
	return err
}

// note takes a message that is done, and how long it took.
func (x *Load) note(took time.Duration) {
	if x.ended {
		return
	}
	x.finished++
	if took > 0 {
		_ = x.hist.RecordValue(max(1, took.Microseconds())) // an hour is not reached
	}
	if x.o.Count > 0 && x.finished >= x.o.Count {
		x.end()
	}
}

// failed ends the load for an error.
func (x *Load) failed(err error) bool {
	if err != nil && !x.ended {
		x.ended = true
		x.o.Done(Result{}, err)
	}
	return err != nil
}

// end tells what was measured.
func (x *Load) end() {
	if x.ended {
		return
	}
	x.ended = true
	seconds := time.Since(x.began).Seconds()
	r := Result{
		Kind: x.o.Kind, Messages: x.finished, Size: x.o.Size, Seconds: seconds,
		Rate: float64(x.finished) / seconds, Bytes: float64(x.finished*x.o.Size) / seconds,
	}
	if x.o.Kind != Sub {
		r.P50, r.P90, r.P99 = x.hist.ValueAtQuantile(50), x.hist.ValueAtQuantile(90), x.hist.ValueAtQuantile(99)
		r.P999, r.Max = x.hist.ValueAtQuantile(99.9), x.hist.Max()
	}
	x.o.Done(r, nil)
}
