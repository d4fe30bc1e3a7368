package main

import (
	"errors"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/reader/readertest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

// Most of a handler is tested without anything else.
func TestBill_Answers(t *testing.T) {
	for _, row := range []struct {
		name, body string
		closed     bool
		want       reader.End
		err        error
		balance    int
	}{
		{"an order", `{"account":"a","amount":5}`, false, reader.Finished, nil, -5},
		{"a negative one", `{"account":"a","amount":-5}`, false, reader.Discarded, errNegative, 0},
		{"no JSON", `order`, false, reader.Discarded, nil, 0},
		{"at night", `{"account":"a","amount":5}`, true, reader.Requeued, nil, 0},
	} {
		a := &accounts{balance: map[string]int{}, open: func() bool { return !row.closed }}
		got := readertest.Handle(a.bill, readertest.Message(row.body))
		if got.End != row.want || row.err != nil && !errors.Is(got.Err, row.err) {
			t.Errorf("%s: %+v, want %v", row.name, got, row.want)
		}
		if row.closed && (got.Delay != time.Hour || got.Failure) {
			t.Errorf("%s: requeued for %v, as a failure: %t", row.name, got.Delay, got.Failure)
		}
		if a.balance["a"] != row.balance {
			t.Errorf("%s: balance %d, want %d", row.name, a.balance["a"], row.balance)
		}
	}
}

// The whole is tested with a server, whose clock the test sets forward.
func TestBill_WaitsForTheMorning(t *testing.T) {
	s := nsqtest.Start(t)
	night := true
	a := &accounts{balance: map[string]int{}, open: func() bool { return !night }}
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := a.start(l, s.TCPAddr()); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	s.Publish("orders", `{"account":"a","amount":5}`)
	s.WaitDeferred("orders", "billing", 1)
	morning := make(chan struct{})
	if err := l.Post(func() { night = false; close(morning) }); err != nil { // night is the loop's
		t.Fatal(err)
	}
	<-morning
	s.Advance(time.Hour)
	s.WaitFinished("orders", "billing", 1)
}
