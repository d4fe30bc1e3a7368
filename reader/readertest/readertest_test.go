package readertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/reader/readertest"
)

var errNo = errors.New("no")

// Every way in which a handler can answer.
func TestHandle_RecordsTheAnswer(t *testing.T) {
	for _, row := range []struct {
		name    string
		h       reader.Handler
		want    reader.Trial
		touches int
	}{
		{"nil", func(*reader.Message) error { return nil }, reader.Trial{End: reader.Finished}, 0},
		{"an error", func(*reader.Message) error { return errNo },
			reader.Trial{End: reader.Requeued, Delay: reader.AutoDelay, Failure: true, Err: errNo}, 0},
		{"a panic", func(*reader.Message) error { panic("no") },
			reader.Trial{End: reader.Requeued, Delay: reader.AutoDelay, Failure: true, Err: reader.ErrPanic}, 0},
		{"requeue after", func(*reader.Message) error { return reader.RequeueAfter(time.Minute, errNo) },
			reader.Trial{End: reader.Requeued, Delay: time.Minute, Failure: true, Err: errNo}, 0},
		{"without backoff", func(*reader.Message) error { return reader.WithoutBackoff(errNo) },
			reader.Trial{End: reader.Requeued, Delay: reader.AutoDelay, Err: errNo}, 0},
		{"discard", func(*reader.Message) error { return reader.Discard(errNo) }, reader.Trial{End: reader.Discarded, Err: errNo}, 0},
		{"pending", func(*reader.Message) error { return reader.Pending }, reader.Trial{}, 0},
		{"touch and finish", func(m *reader.Message) error { m.Touch(); m.Touch(); m.Finish(); return errNo }, reader.Trial{End: reader.Finished}, 2},
		{"finish and touch", func(m *reader.Message) error { m.Finish(); m.Touch(); return nil }, reader.Trial{End: reader.Finished}, 0},
		{"requeue by hand", func(m *reader.Message) error { m.Requeue(-5); return nil },
			reader.Trial{End: reader.Requeued, Delay: reader.AutoDelay, Failure: true}, 0},
		{"calmly, at once", func(m *reader.Message) error { m.RequeueWithoutBackoff(0); return nil }, reader.Trial{End: reader.Requeued}, 0},
	} {
		m := readertest.Message("body")
		got := readertest.Handle(row.h, m)
		if got.End != row.want.End || got.Delay != row.want.Delay || got.Failure != row.want.Failure || !errors.Is(got.Err, row.want.Err) {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
		if m.Touches() != row.touches {
			t.Errorf("%s: %d touches, want %d", row.name, m.Touches(), row.touches)
		}
		if m.Responded() != (row.want.End != 0) {
			t.Errorf("%s: responded %v", row.name, m.Responded())
		}
	}
}

// The handler sees a message like any other, and can be told how it ended.
func TestMessage_IsLikeAnyOther(t *testing.T) {
	m := readertest.Message("body")
	m.Attempts = 3
	var ends []reader.End
	got := readertest.Handle(func(msg *reader.Message) error {
		msg.OnEnd(func(e reader.End) { ends = append(ends, e) })
		if string(msg.Body) != "body" || msg.Attempts != 3 || msg.Context().Err() != nil {
			return errNo
		}
		return nil
	}, m)
	if got.End != reader.Finished || len(ends) != 1 || ends[0] != reader.Finished {
		t.Errorf("%+v, ends %v", got, ends)
	}
	if context.Cause(m.Context()) != reader.ErrAnswered {
		t.Errorf("the context ended with %v", context.Cause(m.Context()))
	}
}

// An answer that comes later is waited for.
func TestRecorded_Done(t *testing.T) {
	m := readertest.Message("body")
	answer := make(chan struct{})
	got := readertest.Handle(func(msg *reader.Message) error {
		go func() {
			<-answer
			msg.Answer(errNo)
		}()
		return reader.Pending
	}, m)
	if got.End != 0 {
		t.Errorf("answered too early: %+v", got)
	}
	close(answer)
	select {
	case <-m.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("not answered")
	}
	if got := m.Given(); got.End != reader.Requeued || got.Err != errNo {
		t.Errorf("%+v", got)
	}
}

func ExampleHandle() {
	billing := reader.JSON(func(m *reader.Message, order struct{ Amount int }) error {
		if order.Amount < 0 {
			return reader.Discard(errors.New("negative"))
		}
		return nil
	})
	for _, body := range []string{`{"amount":3}`, `{"amount":-1}`} {
		fmt.Println(readertest.Handle(billing, readertest.Message(body)).End)
	}
	// Output:
	// finished
	// discarded
}

func ExampleRecorded_Given() {
	m := readertest.Message("body")
	go m.Finish() // the work, somewhere else
	<-m.Done()
	fmt.Println(m.Given().End, m.Touches())
	// Output: finished 0
}
