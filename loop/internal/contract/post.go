package contract

import (
	"errors"
	"testing"

	"github.com/nsqloop/nsqloop/loop"
)

var postTests = []namedTest{
	{"Post_RunsInOrder", testPostOrder},
	{"Post_FromACallbackRunsLater", testPostNested},
	{"Post_EveryAcceptedFunctionRunsOnce", testPostAtClose},
	{"Post_AfterCloseIsRefused", testPostClosed},
	{"Now_StandsStillInATurn", testNow},
	{"AtTurnEnd_RunsAfterPostedFunctionsAndDueTimers", testTurnEnd},
	{"AtTurnEnd_GivenInThatPhaseRunsInIt", testTurnEndNested},
	{"Go_RunsTheResultOnTheLoop", testGo},
	{"OnLoop_IsTrueInCallbacksOnly", testOnLoop},
	{"Rand_IsUsable", testRand},
}

func testPostOrder(t *testing.T, e Env) {
	l := e.New(t, Options{})
	const n = 5000 // more than any inner queue treats as one batch
	var got []int
	for i := range n {
		if err := l.Post(func() { got = append(got, i) }); err != nil {
			t.Fatal(err)
		}
	}
	l.Until(t, "all have run", func() bool { return len(got) >= n })
	settle(t, l)
	l.Do(t, func() { check(t, "order", got, numbers(n)) })
}

func testPostNested(t *testing.T, e Env) {
	l := e.New(t, Options{})
	var got []string
	l.Do(t, func() {
		_ = l.Post(func() {
			got = append(got, "b")
			_ = l.Post(func() { got = append(got, "d") })
			got = append(got, "c")
		})
		got = append(got, "a")
	})
	l.Until(t, "all have run", func() bool { return len(got) == 4 })
	l.Do(t, func() { check(t, "order", got, []string{"a", "b", "c", "d"}) })
}

func testPostAtClose(t *testing.T, e Env) {
	l := e.New(t, Options{})
	accepted, nested, ran := 0, 0, 0
	for range 100 {
		if l.Post(func() {
			ran++
			if l.Post(func() { ran++ }) == nil {
				nested++
			}
		}) == nil {
			accepted++
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, "functions that ran", ran, accepted+nested)
}

func testPostClosed(t *testing.T, e Env) {
	l := e.New(t, Options{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err := l.Post(func() { t.Error("a refused function ran") })
	check(t, "error", err, loop.ErrClosed)
	if _, err := l.Listen("127.0.0.1:0", nil); !errors.Is(err, loop.ErrClosed) {
		t.Errorf("Listen: got %v, want %v", err, loop.ErrClosed)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func testNow(t *testing.T, e Env) {
	l := e.New(t, Options{})
	l.Do(t, func() {
		first := l.Now()
		for range 1000 {
			l.AtTurnEnd(func() { check(t, "time", l.Now(), first) })
		}
	})
	var before, later int64
	l.Do(t, func() { before = l.Now().UnixNano() })
	settle(t, l)
	l.Do(t, func() { later = l.Now().UnixNano() })
	if later <= before {
		t.Errorf("time does not pass between turns: %d, then %d", before, later)
	}
}

func testTurnEnd(t *testing.T, e Env) {
	l := e.New(t, Options{})
	var got []string
	l.Do(t, func() {
		l.After(0, func() {
			got = append(got, "timer")
			l.AtTurnEnd(func() { got = append(got, "end 2") })
		})
		l.AtTurnEnd(func() { got = append(got, "end 1") })
		got = append(got, "posted")
	})
	l.Until(t, "all have run", func() bool { return len(got) == 4 })
	l.Do(t, func() { check(t, "order", got, []string{"posted", "timer", "end 1", "end 2"}) })
}

func testTurnEndNested(t *testing.T, e Env) {
	l := e.New(t, Options{})
	var got []string
	l.Do(t, func() {
		turn := l.Now()
		same := func(what string) {
			got = append(got, what)
			check(t, "turn of "+what, l.Now(), turn)
		}
		l.AtTurnEnd(func() {
			same("a")
			l.AtTurnEnd(func() {
				same("c")
				l.AtTurnEnd(func() { same("d") })
			})
		})
		l.AtTurnEnd(func() { same("b") })
	})
	l.Until(t, "all have run", func() bool { return len(got) == 4 })
	l.Do(t, func() { check(t, "order", got, []string{"a", "b", "c", "d"}) })
}

func testGo(t *testing.T, e Env) {
	l := e.New(t, Options{})
	onLoop, off := false, true
	worked := make(chan struct{}, 1)
	l.Go(func() func() { worked <- struct{}{}; return nil })
	l.Go(func() func() {
		off = !l.OnLoop()
		return func() { onLoop = l.OnLoop() }
	})
	l.Until(t, "the result ran on the loop", func() bool { return onLoop && len(worked) == 1 })
	if !off {
		t.Error("the work ran on the loop")
	}
}

func testOnLoop(t *testing.T, e Env) {
	l, other := e.New(t, Options{}), e.New(t, Options{})
	check(t, "outside", l.OnLoop(), false)
	l.Do(t, func() {
		check(t, "in a posted function", l.OnLoop(), true)
		check(t, "of another loop", other.OnLoop(), false)
		l.AtTurnEnd(func() { check(t, "at the turn's end", l.OnLoop(), true) })
		l.After(0, func() { check(t, "in a timer", l.OnLoop(), true) })
	})
	a, b := &recorder{}, &recorder{}
	a.onOpen = func(loop.Conn) { check(t, "in OnOpen", l.OnLoop(), true) }
	a.onClose = func(error) { check(t, "in OnClose", l.OnLoop(), true) }
	pair(t, l, a, b)
	l.Do(t, func() { b.conn.Abort(nil) })
	l.Until(t, "the end", func() bool { return a.closed == 1 })
	check(t, "outside again", l.OnLoop(), false)
}

func testRand(t *testing.T, e Env) {
	l := e.New(t, Options{})
	l.Do(t, func() {
		seen := map[uint64]bool{}
		for range 100 {
			seen[l.Rand().Uint64()] = true
		}
		check(t, "different numbers", len(seen), 100)
	})
}
