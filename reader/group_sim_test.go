package reader

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

// TestGroup_Simulation disturbs a group and then lets it finish everything.
func TestGroup_Simulation(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 5
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		w := newGroupWorld(t, looptest.Options{Seed: seed, Faults: looptest.Faults{Refuse: 0.1, Reset: 0.3}}, 2)
		random := w.l.Rand()
		processed := map[string]bool{}
		g := w.group(GroupOptions{
			Options: Options{
				MaxInFlight: 1 + random.IntN(12), MaxAttempts: -1, RequeueDelay: 20 * time.Millisecond,
				MaxRequeueDelay: time.Second, MaxBackoff: time.Second,
				Handler: func(m *Message) error {
					switch random.IntN(8) {
					case 0:
						return errBoom
					case 1, 2:
						w.l.After(time.Duration(random.IntN(2000))*time.Millisecond, func() {
							if m.Finish() {
								processed[string(m.Body)] = true
							}
						})
						return Pending
					}
					processed[string(m.Body)] = true
					return nil
				},
			},
			Topics: []string{"a", "b", "c", "d"},
		})
		for range 30 {
			switch random.IntN(8) {
			case 0:
				w.l.Do(func() { g.SetMaxInFlight(random.IntN(12)) })
			case 1:
				w.l.Do(func() { g.Pause() })
			case 2:
				w.l.Do(func() { g.Resume() })
			case 3, 4:
				some := slices.DeleteFunc([]string{"a", "b", "c", "d"}, func(string) bool { return random.IntN(2) == 0 })
				w.l.Do(func() { g.SetTopics(some) })
			default:
				w.publish(random.IntN(2), string(rune('a'+random.IntN(4))), random.IntN(10))
			}
			w.Run(time.Duration(random.IntN(1000)) * time.Millisecond)
			w.check(g)
		}
		w.SetFaults(looptest.Faults{})
		w.l.Do(func() { g.Resume(); g.SetMaxInFlight(3); g.SetTopics([]string{"a", "b", "c", "d"}) })
		w.within(10*time.Minute, fmt.Sprintf("seed %d: all messages processed", seed), func() bool {
			for _, m := range g.members {
				if m.slot.inFlight > 0 {
					return false
				}
			}
			return !slices.ContainsFunc(w.kept, func(body string) bool { return !processed[body] })
		})
		w.Run(time.Second)
		w.check(g)
		if err := w.l.Shutdown(time.Minute); err != nil {
			t.Error(err)
		}
		if len(g.members) != 0 {
			t.Errorf("seed %d: %d readers are left", seed, len(g.members))
		}
	}
}
