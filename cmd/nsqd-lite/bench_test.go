package main

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// TestBench_Kinds: each measures what it says, and leaves nothing behind.
func TestBench_Kinds(t *testing.T) {
	s := nsqtest.Start(t)
	at, admin := "--nsqd-tcp-address="+s.TCPAddr(), "--nsqd-http-address="+s.HTTPAddr()
	if out := launch(t, "", "nsqd-lite", "bench", "pub", "--count=500", at, admin).wait(); !regexp.MustCompile(`^pub: 500 messages of 200 bytes in .* MB/s\nlatency: p50 \S+s  p90 `).MatchString(out) {
		t.Errorf("pub %s", out)
	}
	for _, args := range [][]string{{"sub", "--count=12000"}, {"e2e", "--rate=5000", "--count=300"}} {
		out := launch(t, "", append(append([]string{"nsqd-lite", "bench"}, args...), at, admin, "--json")...).wait()
		var got struct {
			Kind     string
			Messages int
			Rate     float64 `json:"messages_per_second"`
			P50      int64   `json:"p50_us"`
			Max      int64   `json:"max_us"`
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if got.Kind != args[0] || got.Messages != map[string]int{"sub": 12000, "e2e": 300}[args[0]] || got.Rate <= 0 || (got.P50 > 0) != (args[0] == "e2e") || got.P50 > got.Max {
			t.Errorf("%s", out)
		}
	}
	if left := s.Stats().Topics; len(left) != 0 {
		t.Errorf("topics are left: %+v", left)
	}
	if code, _, bad := try(t, "bench", "sub", "--count=0", at); code != exitUsage || bad == "" {
		t.Errorf("exit %d %s", code, bad)
	}
	if code, _, bad := try(t, "bench", "pub", "--size=1", at); code != exitUsage || bad == "" {
		t.Errorf("exit %d %s", code, bad)
	}
}

func TestBench_Progress(t *testing.T) {
	for _, row := range []struct {
		done, of int
		since    time.Duration
		want     string
	}{
		{0, 0, 0, "0 messages, 0/s"},
		{100, 0, time.Second, "100 messages, 100/s"},
		{50, 200, time.Second, "[#######.......................]  25 % 50 messages, 50/s, 3s left"},
		{200, 200, 2 * time.Second, "[##############################] 100 % 200 messages, 100/s, 0s left"},
	} {
		if got := progressLine(row.done, row.of, row.since); got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}
