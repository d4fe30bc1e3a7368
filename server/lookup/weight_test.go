package lookup

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRegistry_WeightIsThatOfTheAnswers: no answer has more JSON than it weighs,
// whatever producers say of themselves, and one of usual names not half of it.
func TestRegistry_WeightIsThatOfTheAnswers(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, host := range []string{"nsqd-12.example", strings.Repeat("<", 1000), strings.Repeat("\x01", 1000), strings.Repeat("\xff", 1000), strings.Repeat("\u2028", 300)} {
		r := New(Options{MaxNames: 1000, MaxTotal: 1000, Inactive: time.Hour, Tombstone: time.Hour})
		for n := range 5 {
			p := r.Join(Info{RemoteAddress: "10.0.0.1:65000", Hostname: host, BroadcastAddress: host, TCPPort: 65000, HTTPPort: 65000, Version: "1.3.0"}, now)
			for i := range 20 {
				if err := r.Register(p, fmt.Sprintf("a_topic_%d", i), fmt.Sprintf("channel_%d#ephemeral", n)); err != nil {
					t.Fatal(err)
				}
			}
		}
		producers, _ := r.Find("a_topic_1", now)
		for _, row := range []struct {
			name   string
			weight int64
			answer any
		}{
			{"topics", r.WeighTopics(), r.Topics()},
			{"lookup", r.WeighTopic("a_topic_1"), []any{r.Channels("a_topic_1"), producers}},
			{"nodes", r.WeighNodes(), r.Nodes(now)},
			{"entries", r.WeighEntries(), r.Entries(now)},
		} {
			b, err := json.Marshal(row.answer)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(b)) > row.weight {
				t.Errorf("%s with %.5q: %d bytes, weighs %d", row.name, host, len(b), row.weight)
			}
			if host[0] == 'n' && row.weight > 3*int64(len(b)) {
				t.Errorf("%s: %d bytes, weighs %d", row.name, len(b), row.weight)
			}
		}
		if r.WeighTopic("nope") != 0 {
			t.Error("what is not known weighs something")
		}
	}
}
