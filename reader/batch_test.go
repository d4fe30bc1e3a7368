package reader

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

// bodies is what messages say, "a b c".
func bodies(messages []*Message) string {
	var all []string
	for _, m := range messages {
		all = append(all, string(m.Body))
	}
	return strings.Join(all, " ")
}

// batched makes a reader that writes down its batches.
func (w *world) batched(o Options) (*Reader, *[]string) {
	w.t.Helper()
	got, inner := new([]string), o.Batch.Handler
	o.Batch.Handler = func(messages []*Message) error {
		*got = append(*got, bodies(messages))
		if inner == nil {
			return nil
		}
		return inner(messages)
	}
	return w.reader(o), got
}

func wantBatches(t *testing.T, got *[]string, want ...string) {
	t.Helper()
	if g := strings.Join(*got, " | "); g != strings.Join(want, " | ") {
		t.Errorf("batches are\n %s, want\n %s", g, strings.Join(want, " | "))
	}
	*got = nil
}

func TestBatch_FullStarvedOrWaitedLongEnough_61(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r, got := w.batched(Options{MaxInFlight: 20, Batch: Batch{Size: 3}})
	w.connected(r, 1)
	b.send("first")
	w.Run(10 * time.Millisecond)
	wantBatches(t, got) // it has raised the ready count: more may come
	w.Run(time.Second)
	wantBatches(t, got, "first")
	b.send("a", "b", "c", "d", "e", "f", "g")
	w.Run(10 * time.Millisecond)
	wantBatches(t, got, "a b c", "d e f")
	w.Run(980 * time.Millisecond)
	wantBatches(t, got)
	b.send("h")
	w.Run(20 * time.Millisecond)
	wantBatches(t, got, "g h") // a second after g
	b.send("i")
	w.Run(900 * time.Millisecond)
	wantBatches(t, got) // and a second after i, not after what was before
	w.Run(200 * time.Millisecond)
	wantBatches(t, got, "i")
	if s := r.snapshot(); s.Handled != 10 || s.Finished != 10 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}

	w = newWorld(t, looptest.Options{})
	b = w.broker("nsqd")
	r, got = w.batched(Options{MaxInFlight: 20, Batch: Batch{MaxWait: 50 * time.Second}})
	w.connected(r, 1)
	b.send("first")
	w.Run(51 * time.Second)
	wantBatches(t, got, "first")
	b.send(strings.Fields("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16")...)
	w.Run(10 * time.Millisecond)
	wantBatches(t, got)
	b.send("17") // 85 percent of 20
	w.Run(10 * time.Millisecond)
	wantBatches(t, got, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17")
}

func TestBatch_TheResultIsForThoseWithoutAnswer(t *testing.T) {
	for _, tt := range []struct {
		result error
		want   string
	}{
		{nil, "FIN, FIN, FIN, REQ 0"},
		{errBoom, "RDY 0, REQ 90000, REQ 90000, FIN, REQ 0"},
		{WithoutBackoff(RequeueAfter(time.Second, nil)), "REQ 1000, REQ 1000, FIN, REQ 0"},
		{Pending, "FIN, REQ 0"},
	} {
		w := newWorld(t, looptest.Options{})
		b := w.broker("nsqd")
		r, got := w.batched(Options{MaxInFlight: 9, Batch: Batch{Size: 4, Handler: func(messages []*Message) error {
			if len(messages) == 4 {
				messages[0].Finish()
				messages[1].RequeueWithoutBackoff(0)
				clear(messages)
				return tt.result
			}
			return nil
		}}})
		w.connected(r, 1)
		b.send("first")
		w.Run(1100 * time.Millisecond)
		b.trace = nil
		b.send("a", "b", "c", "d")
		w.Run(10 * time.Millisecond)
		wantBatches(t, got, "first", "a b c d")
		// What the result answers leaves before the mail is opened.
		b.wantTrace(tt.want)
	}
}

func TestBatch_PanicIsAnError(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.batched(Options{Batch: Batch{Handler: func([]*Message) error { panic("kaboom") }}})
	b.send("x")
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, RDY 0, REQ 90000")
	w.wantEvents("connect nsqd:4150", "backoff 1 3.584s callback panicked: kaboom")
}

func TestBatch_LosesWhatWasLostAndGivesBackTheRest(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b, c := w.broker("nsqd1"), w.broker("nsqd2")
	r, got := w.batched(Options{MaxInFlight: 20, Batch: Batch{Size: 9, MaxWait: 10 * time.Second}})
	w.connected(r, 2)
	b.send("lost")
	w.Run(10 * time.Millisecond)
	c.send("kept")
	w.Run(10 * time.Millisecond)
	b.on(b.mock.Cut)
	w.until("the batch", func() bool { return len(*got) > 0 })
	wantBatches(t, got, "kept")
	w.Run(time.Second)

	c.send("gathered")
	w.Run(10 * time.Millisecond)
	c.trace = nil
	w.l.Do(r.leave)
	w.until("the end", func() bool { return r.final.Load() != nil })
	c.wantTrace("CLS, REQ 0")
	wantBatches(t, got)
	if s := r.final.Load(); s.Returned != 1 || s.Handled != 1 || s.Received != 3 {
		t.Errorf("%+v", s)
	}
}

func TestBatch_GivesUpOneByOne(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var gone []string
	_, got := w.batched(Options{
		MaxAttempts: 1, MaxBackoff: -1, RequeueDelay: -1,
		OnGiveUp: func(m *Message) { gone = append(gone, string(m.Body)) },
		Batch:    Batch{Handler: func([]*Message) error { return errBoom }},
	})
	b.send("x", "y")
	w.Run(time.Second)
	wantBatches(t, got, "x", "y")
	if fmt.Sprint(gone) != "[x y]" {
		t.Errorf("given up: %v", gone)
	}
}

func TestBatch_OnWorkers(t *testing.T) {
	broker, addr := realBroker(t)
	l := startLoop(t)
	const n = 1000
	var lock sync.Mutex
	seen, largest := map[string]int{}, 0
	r, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 100, Workers: 3,
		Batch: Batch{Size: 20, MaxWait: 10 * time.Millisecond, Handler: func(messages []*Message) error {
			if l.OnLoop() {
				t.Error("a batch runs on the loop")
			}
			lock.Lock()
			defer lock.Unlock()
			largest = max(largest, len(messages))
			for _, m := range messages {
				seen[string(m.Body)]++
			}
			return nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, broker, n)
	await(t, broker.l, "all messages finished", func() bool { return broker.finished() == n })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if len(seen) != n || largest < 2 || largest > 20 {
		t.Errorf("%d distinct messages in batches of up to %d", len(seen), largest)
	}
	if s := r.Stats(); s.Handled != n {
		t.Errorf("%+v", s)
	}
}
