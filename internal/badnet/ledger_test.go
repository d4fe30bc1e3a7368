package badnet

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// ledger holds what was said about each message and what happened to it.
type ledger struct {
	mu      sync.Mutex // loops and blocking calls write, the test reads
	results map[string]writer.Outcome
	dones   map[string]int
	handled map[string]int
	tally   tally
}

func newLedger() ledger {
	return ledger{results: map[string]writer.Outcome{}, dones: map[string]int{}, handled: map[string]int{}}
}

// done notes how a publish went.
func (s *ledger) done(id string, err error, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dones[id]++
	s.results[id] = writer.OutcomeOf(err)
	s.tally.slowest = max(s.tally.slowest, took)
}

// ended is how many publishes have.
func (s *ledger) ended() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dones)
}

// missing is how many of those confirmed were not handled yet.
func (s *ledger) missing() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, o := range s.results {
		if o == writer.Confirmed && s.handled[id] == 0 {
			n++
		}
	}
	return n
}

var errNotNow = errors.New("not now")

// text is the body of the message id, with n bytes of no use. It ends as it
// begins, so that nothing can be changed in it, or cut off, unnoticed.
func text(id string, n int) []byte {
	return append(append([]byte(id+" "), bytes.Repeat([]byte{'x'}, n)...), id...)
}

// handle fails now and then. What was not published as it came counts under
// another name.
func (s *ledger) handle(m *reader.Message) error {
	id, rest, _ := bytes.Cut(m.Body, []byte(" "))
	if filler, whole := bytes.CutSuffix(rest, id); !whole || len(bytes.Trim(filler, "x")) > 0 {
		id = m.Body
	}
	if m.Attempts == 1 && len(m.Body)%10 == 0 {
		return errNotNow
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handled[string(id)]++
	return nil
}

// check compares what was said with what happened, and reports whether they
// agree.
func (s *ledger) check(t *testing.T, seed uint64) bool {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	agree := true
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf("seed %d: "+format, append([]any{seed}, args...)...)
		agree = false
	}
	for id, n := range s.dones {
		if n != 1 {
			wrong("done of %q ran %d times", id, n)
		}
		s.tally.publishes++
		handled := s.handled[id]
		switch s.results[id] {
		case writer.Confirmed:
			s.tally.confirmed++
			if handled == 0 {
				wrong("%q was confirmed and never handled", id)
			}
		case writer.Unknown:
			s.tally.unknown++
		default:
			s.tally.notSent++
			if handled > 0 || s.results[id] != writer.NotSent {
				wrong("%q was %v and handled %d times", id, s.results[id], handled)
			}
		}
	}
	for id, n := range s.handled {
		if s.dones[id] == 0 {
			wrong("%q was handled and never published", id)
		}
		s.tally.handled++
		if n > 1 {
			s.tally.again++
		}
	}
	return agree
}
