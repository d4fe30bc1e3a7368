package loop

import (
	"fmt"
	"log/slog"
	"time"
)

// Options are the options of an Engine. The zero value of each field is its
// documented default.
type Options struct {
	// Logger receives what nobody else can be told: panics, callbacks that
	// hold the loop, listeners that cannot accept. nil is silence.
	Logger *slog.Logger

	// OnPanic is called on the loop after a panic of a callback was recovered
	// and logged. what names the callback. The connection that the callback
	// belongs to is closed with ErrPanic; after a panic of a posted function
	// or a timer the loop goes on. nil does nothing.
	OnPanic func(what string, value any, stack []byte)

	// SlowCallback is how long a callback may hold the loop before it is
	// reported through Logger, once, while it still runs. A report may come
	// up to a quarter later. 0 means 100 ms, negative is off.
	SlowCallback time.Duration

	// OnCallback, when not nil, is called on the loop after each callback with
	// how long it held the loop, for measurements. It must not block, panic or
	// call the loop. It costs two looks at the clock for each callback, and
	// nothing when it is nil.
	OnCallback func(took time.Duration)

	// DrainTimeout bounds the drains when Run ends: Run returns then, or, when
	// a callback holds the loop, one second later with an error that names it.
	// 0 means 10 s, negative is no bound.
	DrainTimeout time.Duration

	// Linger bounds how long Conn.Close waits for the peer: to take some of
	// the output, and then to close its end. A peer that goes on reading gets
	// up to ten times as long. 0 means 1 s. Negative does not wait: what the
	// kernel has not taken is lost.
	Linger time.Duration

	// OutputLimit is how many bytes of output may wait for one peer. A
	// connection beyond it is closed with ErrOutputLimit. 0 means 64 MiB.
	OutputLimit int

	// OutputHigh is the amount of waiting output from which on a Drainer is
	// told when less than half of it is left. 0 means 1 MiB.
	OutputHigh int

	// InputLimit is how many bytes a handler may leave unconsumed. A
	// connection beyond it is closed with ErrInputLimit: reading cannot be
	// paused, so a handler that waits must not wait for ever. 0 means 64 MiB.
	InputLimit int

	// ReadBuffer is how many bytes are read at once, into one buffer that all
	// connections share. It is rounded up to a power of two. 0 means 256 KiB.
	ReadBuffer int

	// PostLimit is the number of waiting posted functions from which on they
	// are reported through Logger, once each time they pile up. They are not
	// refused. 0 means 100,000, negative is off.
	PostLimit int

	// Seed makes Rand repeat itself. 0 means a random one.
	Seed uint64
}

// withDefaults fills in what is zero and checks the rest.
func (o Options) withDefaults() (Options, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnPanic == nil {
		o.OnPanic = func(string, any, []byte) {}
	}
	fill(&o.SlowCallback, 100*time.Millisecond)
	fill(&o.DrainTimeout, 10*time.Second)
	fill(&o.Linger, time.Second)
	fill(&o.OutputLimit, 64<<20)
	fill(&o.OutputHigh, 1<<20)
	fill(&o.InputLimit, 64<<20)
	fill(&o.ReadBuffer, 256<<10)
	fill(&o.PostLimit, 100_000)
	for _, f := range []struct {
		name  string
		value int
	}{
		{"OutputLimit", o.OutputLimit}, {"OutputHigh", o.OutputHigh},
		{"InputLimit", o.InputLimit}, {"ReadBuffer", o.ReadBuffer},
	} {
		if f.value < 0 {
			return o, fmt.Errorf("loop options: %s must be positive, is %d", f.name, f.value)
		}
	}
	if o.OutputHigh > o.OutputLimit {
		return o, fmt.Errorf("loop options: OutputHigh (%d) must not exceed OutputLimit (%d)", o.OutputHigh, o.OutputLimit)
	}
	return o, nil
}

func fill[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
