package reader

import "time"

// Trial is one thing that was done with a message of NewTrial.
type Trial struct {
	End     End           // how it was answered; 0 for a touch
	Delay   time.Duration // of a requeue: AutoDelay for one that grows with the attempts
	Failure bool          // it counts as a failure for backoff
	Err     error         // the handler's result, when that was the answer
}

// NewTrial makes a message that no nsqd has delivered, for tests of handlers;
// package readertest is made of it. Answers and touches have the effect that they
// have on any message, and record hears of each that has one, on the goroutine on
// which it is given. The fields of the message are the test's to fill in.
func NewTrial(body []byte, record func(Trial)) *Message {
	m := &Message{Body: body, Attempts: 1}
	m.more().record = record
	return m
}

// try tells a test of a handler what was done with its message.
func (m *Message) try(a answer) {
	e := m.extra.Load()
	if e == nil || e.record == nil {
		return
	}
	t := Trial{Failure: a.kind == requeue, Err: a.err}
	if a.kind != touch {
		t.End = a.kind.end()
	}
	if t.End == Requeued {
		if t.Delay = a.delay; t.Delay < 0 {
			t.Delay = AutoDelay
		}
	}
	e.record(t)
}
