package reader

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func makeThrottle(t testing.TB, o Options) throttle {
	t.Helper()
	if o.MaxBackoff == 0 {
		o.MaxBackoff = 128 * time.Second
	}
	return newThrottle(&o, rand.New(rand.NewPCG(3, 4)))
}

// play feeds events to a throttle and writes down what follows: s, f and n are
// outcomes, o is the end of a pause.
func play(th *throttle, events string) string {
	var out []string
	for _, e := range events {
		if e == 'o' {
			th.over()
			out = append(out, "probe")
			continue
		}
		switch th.result(map[rune]outcome{'s': success, 'f': failure, 'n': neutral}[e]) {
		case carryOn:
			out = append(out, "-")
		case halt:
			out = append(out, fmt.Sprintf("halt(%d,%v)", th.level(), th.pause()))
		case resume:
			out = append(out, "resume")
		}
	}
	return strings.Join(out, " ")
}

func TestThrottle_Transitions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events string
		want   string
	}{
		{"206 success and neutral outside change nothing", "ssn", "- - -"},
		{"207 two failures", "fof", "halt(1,3.584s) probe halt(2,7.168s)"},
		{"214 one failure and one success", "fos", "halt(1,3.584s) probe resume"},
		{"215 a success inside the pause is ignored", "fsos", "halt(1,3.584s) - probe resume"},
		{"216 neutral probe repeats the pause", "fonos", "halt(1,3.584s) probe halt(1,3.584s) probe resume"},
		{"220 stepping down", "fofosos", "halt(1,3.584s) probe halt(2,7.168s) probe halt(1,3.584s) probe resume"},
		{"225 failures inside a pause are one failure", "fffff", "halt(1,3.584s) - - - -"},
		{"234 neutral inside a pause is ignored", "fnnos", "halt(1,3.584s) - - probe resume"},
		{"and again", "fosfos", "halt(1,3.584s) probe resume halt(1,3.584s) probe resume"},
	} {
		th := makeThrottle(t, Options{})
		if got := play(&th, tt.events); got != tt.want {
			t.Errorf("%s: %s gave\n %s, want\n %s", tt.name, tt.events, got, tt.want)
		}
	}
}

func TestThrottle_Strategies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		o      Options
		events string
		want   string
	}{
		{"210 linear is proportional and bounded", Options{MaxBackoff: 64 * time.Second}, "fof", "halt(1,1.792s) probe halt(2,3.584s)"},
		{"211 exponential", Options{Backoff: Exponential}, "fofof", "halt(1,2s) probe halt(2,4s) probe halt(3,8s)"},
		{"211 exponential stops climbing", Options{Backoff: Exponential, MaxBackoff: 5 * time.Second}, "fofof", "halt(1,2s) probe halt(2,4s) probe halt(2,4s)"},
		{"232 off", Options{MaxBackoff: -1}, "fffsn", "- - - - -"},
		{"232 off by name", Options{Backoff: NoBackoff}, "fffsn", "- - - - -"},
		{"a function of the level", Options{BackoffFunc: func(level int) time.Duration { return time.Duration(level*level) * time.Second }, MaxBackoff: 8 * time.Second},
			"fofofofosos", "halt(1,1s) probe halt(2,4s) probe halt(3,8s) probe halt(3,8s) probe halt(2,4s) probe halt(1,1s)"},
		{"one success is enough", Options{ResumeAtOnce: true}, "fofofos", "halt(1,3.584s) probe halt(2,7.168s) probe halt(3,10.752s) probe resume"},
	} {
		th := makeThrottle(t, tt.o)
		if got := play(&th, tt.events); got != tt.want {
			t.Errorf("%s: got\n %s, want\n %s", tt.name, got, tt.want)
		}
	}
}

func TestThrottle_FullJitterIsBoundedAndReplays_212(t *testing.T) {
	for strategy, least := range map[Backoff]time.Duration{FullJitter: 0, EqualJitter: 8 * time.Second} {
		one, two := makeThrottle(t, Options{Backoff: strategy}), makeThrottle(t, Options{Backoff: strategy})
		got := play(&one, "fofofof")
		if again := play(&two, "fofofof"); got != again {
			t.Errorf("%s: the same seed gave\n %s and\n %s", strategy, got, again)
		}
		if d := one.pause(); d < least || d >= 16*time.Second {
			t.Errorf("%s: fourth pause is %v, want %v to 16s", strategy, d, least)
		}
	}
}

// TestThrottle_LeavingTakesAsManySuccessesAsFailures_209 climbs and descends.
func TestThrottle_LeavingTakesAsManySuccessesAsFailures_209(t *testing.T) {
	for _, k := range []int{1, 2, 9, 10, 11, 37, 249, 250} {
		th := makeThrottle(t, Options{})
		play(&th, strings.Repeat("fo", k))
		down := play(&th, strings.Repeat("so", k-1))
		if strings.Contains(down, "resume") {
			t.Errorf("%d failures: left backoff too early", k)
		}
		if got := play(&th, "s"); got != "resume" {
			t.Errorf("%d failures: the last success gave %s, want resume", k, got)
		}
	}
}

func TestThrottle_Properties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := Options{
			Backoff:      rapid.SampledFrom([]Backoff{Linear, Exponential, FullJitter, EqualJitter}).Draw(rt, "strategy"),
			ResumeAtOnce: rapid.Bool().Draw(rt, "atOnce"),
			MaxBackoff:   time.Duration(rapid.IntRange(1, 300).Draw(rt, "max")) * time.Second,
		}
		th := newThrottle(&o, rand.New(rand.NewPCG(1, 1)))
		for range rapid.IntRange(1, 80).Draw(rt, "n") {
			before, level := th.phase, th.level()
			if before == halted && rapid.Bool().Draw(rt, "over") {
				th.over()
				continue
			}
			v := th.result(outcome(rapid.IntRange(0, 2).Draw(rt, "outcome")))
			if before == halted && (v != carryOn || th.level() != level) {
				rt.Fatalf("an outcome inside a pause had an effect")
			}
			if before == probing && v == carryOn {
				rt.Fatalf("an outcome while probing had none: the reader would stall")
			}
			if (v == halt) != (th.phase == halted && before != halted) {
				rt.Fatalf("verdict %d, phase %d", v, th.phase)
			}
			if (th.phase == flowing) != (th.level() == 0) {
				rt.Fatalf("phase %d at level %d", th.phase, th.level())
			}
			if th.pause() > o.MaxBackoff {
				rt.Fatalf("pause %v above %v", th.pause(), o.MaxBackoff)
			}
		}
	})
}
