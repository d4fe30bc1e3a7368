package simulation

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nsqloop/nsqloop/server"
)

// question is a request whose answer takes other turns, such as that to a publish
// which needs a fsync. Its handler runs on a goroutine of its own, in a bubble of
// package synctest, which says when it waits: so one thing happens at a time here
// too.
type question struct {
	node     *node
	rec      *httptest.ResponseRecorder
	hangUp   func()
	answered bool // the handler has returned
	lost     bool // the process ended before that
	then     func(q *question) error
}

// asks says whether a plan has questions, and must run in a bubble.
func (p *plan) asks() bool {
	return p.sync == server.SyncAlways && slices.ContainsFunc(p.steps, func(st step) bool { return st.kind == httpPublish })
}

// runIn goes through the plan as run does, in a bubble if it needs one.
func (s *system) runIn(t *testing.T) (err error) {
	if !s.plan.asks() {
		return s.run()
	}
	synctest.Test(t, func(*testing.T) { err = s.run() })
	return err
}

// ask sends a request to the nsqd, which must be up, and has the driver call then
// once it is answered, or never will be.
func (n *node) ask(method, target, body string, then func(q *question) error) {
	ctx, cancel := context.WithCancel(context.Background())
	q := &question{node: n, rec: httptest.NewRecorder(), hangUp: cancel, then: then}
	req := httptest.NewRequest(method, target, strings.NewReader(body)).WithContext(ctx)
	req.Host = "127.0.0.1:4151"
	n.s.questions = append(n.s.questions, q)
	api := n.api
	n.loop.outside(func() {
		go func() {
			api.ServeHTTP(q.rec, req)
			q.answered = true
		}()
		synctest.Wait()
	})
}

// hangUp ends what nobody will answer any more.
func (n *node) hangUp() {
	for _, q := range n.s.questions {
		if q.node == n && !q.answered {
			q.lost = true
			q.hangUp()
		}
	}
}

// answers says whether a question has its answer.
func (s *system) answers() bool {
	if len(s.questions) == 0 {
		return false
	}
	synctest.Wait()
	return slices.ContainsFunc(s.questions, func(q *question) bool { return q.answered })
}

// hear tells those who asked.
func (s *system) hear() error {
	for i := 0; i < len(s.questions); {
		q := s.questions[i]
		if !q.answered {
			i++
			continue
		}
		s.questions = slices.Delete(s.questions, i, i+1)
		q.hangUp()
		q.lost = q.lost || q.node.over
		if err := q.then(q); err != nil {
			return err
		}
	}
	return nil
}
