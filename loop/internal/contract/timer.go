package contract

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

var timerTests = []namedTest{
	{"After_RunsOnceNotEarlier", testAfterOnce},
	{"After_RunsInOrderOfDeadlines", testAfterOrder},
	{"After_NeverRunsBeforeItReturned", testAfterZero},
	{"After_SetByItselfDoesNotStarveTheLoop", testAfterStarve},
	{"Every_RunsOnAGrid", testEvery},
	{"Timer_StopPreventsTheRun", testStop},
	{"Timer_StopOfADueTimerInTheSameTurn", testStopDue},
	{"Timer_ResetMovesTheRun", testReset},
	{"Timer_ResetOfEveryChangesTheInterval", testResetEvery},
}

func testAfterOnce(t *testing.T, e Env) {
	l := e.New(t, Options{})
	const d = 5 * time.Millisecond
	var began, ran time.Time
	runs := 0
	l.Do(t, func() {
		began = l.Now()
		l.After(d, func() { runs++; ran = l.Now() })
	})
	l.Until(t, "it ran", func() bool { return runs > 0 })
	settle(t, l)
	l.Do(t, func() {
		check(t, "runs", runs, 1)
		if ran.Sub(began) < d {
			t.Errorf("ran after %v, want not before %v", ran.Sub(began), d)
		}
	})
}

func testAfterOrder(t *testing.T, e Env) {
	l := e.New(t, Options{})
	var got []int
	l.Do(t, func() {
		for i := range 50 { // in another order than set; pairs with equal deadlines
			place := (i*17 + 5) % 50
			l.After(time.Duration(place/2)*100*time.Microsecond+time.Millisecond, func() { got = append(got, place/2) })
		}
	})
	l.Until(t, "all ran", func() bool { return len(got) == 50 })
	var equal []int
	l.Do(t, func() {
		for i := range got {
			if got[i] != i/2 {
				t.Fatalf("order: %v", got)
			}
		}
		for i := range 5 {
			l.After(time.Millisecond, func() { equal = append(equal, i) })
		}
	})
	l.Until(t, "all ran", func() bool { return len(equal) == 5 })
	l.Do(t, func() { check(t, "equal deadlines", equal, numbers(5)) })
}

func testAfterZero(t *testing.T, e Env) {
	l := e.New(t, Options{})
	for _, d := range []time.Duration{0, -time.Second} {
		ran := false
		l.Do(t, func() {
			l.After(d, func() { ran = true })
			if ran {
				t.Error("ran inside After")
			}
		})
		l.Until(t, "it ran", func() bool { return ran })
	}
}

func testAfterStarve(t *testing.T, e Env) {
	l := e.New(t, Options{})
	stop, others := false, 0
	l.Do(t, func() {
		var again func()
		again = func() {
			if !stop {
				l.After(0, again)
				_ = l.Post(func() { others++ })
			}
		}
		again()
	})
	l.Until(t, "others run too", func() bool { return others > 10 })
	l.Do(t, func() { stop = true })
}

func testEvery(t *testing.T, e Env) {
	l := e.New(t, Options{})
	const d = 2 * time.Millisecond
	var began time.Time
	var runs []time.Duration
	l.Do(t, func() {
		began = l.Now()
		var timer loop.Timer
		timer = l.Every(d, func() {
			runs = append(runs, l.Now().Sub(began))
			if len(runs) == 10 {
				check(t, "Stop inside the function", timer.Stop(), true)
				check(t, "second Stop", timer.Stop(), false)
			}
		})
	})
	l.Until(t, "ten runs", func() bool { return len(runs) == 10 })
	settle(t, l)
	l.Do(t, func() {
		check(t, "runs", len(runs), 10)
		for i, at := range runs {
			if at < time.Duration(i+1)*d {
				t.Errorf("run %d after %v", i+1, at)
			}
			if i > 0 && at/d == runs[i-1]/d {
				t.Errorf("runs %d and %d in the same interval: %v, %v", i, i+1, runs[i-1], at)
			}
		}
	})
}

func testStop(t *testing.T, e Env) {
	l := e.New(t, Options{})
	l.Do(t, func() {
		timer := l.After(time.Millisecond, func() { t.Error("a stopped timer ran") })
		check(t, "Stop", timer.Stop(), true)
		check(t, "second Stop", timer.Stop(), false)
	})
	ran := false
	var timer loop.Timer
	l.Do(t, func() { timer = l.After(0, func() { ran = true }) })
	l.Until(t, "it ran", func() bool { return ran })
	l.Do(t, func() { check(t, "Stop after the run", timer.Stop(), false) })
	settle(t, l)
}

func testStopDue(t *testing.T, e Env) {
	l := e.New(t, Options{})
	done := false
	l.Do(t, func() {
		var second loop.Timer
		l.After(time.Millisecond, func() {
			check(t, "Stop of the second", second.Stop(), true)
			done = true
		})
		second = l.After(time.Millisecond, func() { t.Error("the second ran") })
	})
	l.Until(t, "the first ran", func() bool { return done })
	settle(t, l)
}

func testReset(t *testing.T, e Env) {
	l := e.New(t, Options{})
	var began time.Time
	var runs []time.Duration
	var timer loop.Timer
	l.Do(t, func() {
		began = l.Now()
		timer = l.After(time.Hour, func() { runs = append(runs, l.Now().Sub(began)) })
		timer.Reset(2 * time.Millisecond) // earlier
	})
	l.Until(t, "it ran", func() bool { return len(runs) == 1 })
	l.Do(t, func() {
		began = l.Now()
		timer.Reset(time.Millisecond) // not waiting any more
		timer.Reset(5 * time.Millisecond)
	})
	l.Until(t, "it ran again", func() bool { return len(runs) == 2 })
	settle(t, l)
	l.Do(t, func() {
		check(t, "runs", len(runs), 2)
		if runs[0] < 2*time.Millisecond || runs[1] < 5*time.Millisecond {
			t.Errorf("ran after %v", runs)
		}
	})
}

func testResetEvery(t *testing.T, e Env) {
	l := e.New(t, Options{})
	runs := 0
	var timer loop.Timer
	l.Do(t, func() {
		timer = l.Every(time.Hour, func() { runs++ })
		timer.Reset(time.Millisecond)
	})
	l.Until(t, "three runs", func() bool { return runs >= 3 })
	l.Do(t, func() { check(t, "Stop", timer.Stop(), true) })
}
