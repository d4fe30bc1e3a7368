package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// TestStat_AddsUp: two nsqds found through an nsqlookupd are one NSQ.
func TestStat_AddsUp(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	first, second := nsqtest.Start(t, nsqtest.Registered(d)), nsqtest.Start(t, nsqtest.Registered(d))
	first.Publish("t", "a", "b")
	second.Publish("t", "c")
	second.Publish("u", "d")
	post(t, "http://"+second.HTTPAddr()+"/channel/create?topic=u&channel=c", "")
	at := []string{"--nsqd-http-address=" + first.HTTPAddr(), "--nsqd-http-address=" + second.HTTPAddr()}
	out := launch(t, "", append([]string{"nsqd-lite", "stat", "--json"}, at...)...).wait()
	var got struct {
		Topics []struct {
			Name     string `json:"topic_name"`
			Depth    int    `json:"depth"`
			Channels []struct {
				Name  string `json:"channel_name"`
				Depth int    `json:"depth"`
			} `json:"channels"`
		} `json:"topics"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Topics) != 2 || got.Topics[0].Name != "t" || got.Topics[0].Depth != 3 || got.Topics[1].Channels[0].Depth != 1 {
		t.Errorf("JSON %s", out)
	}
	eventually(t, "http://"+d.HTTPAddr()+"/nodes", `"topics":["t","u"]`)
	table := launch(t, "", "nsqd-lite", "stat", "--lookupd-http-address="+d.HTTPAddr()).wait()
	if !regexp.MustCompile(`(?m)^ +1 .* u/c$`).MatchString(table) || !strings.Contains(table, "depth") {
		t.Errorf("table\n%s", table)
	}
}

// What nobody has is an error, as it is for nsq_stat.
func TestStat_OfWhatNobodyHas(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("t", "a")
	for _, row := range [][2]string{{"nope", ""}, {"t", "nope"}} {
		r := launch(t, "", "nsqd-lite", "stat", "--nsqd-http-address="+s.HTTPAddr(), row[0], row[1])
		if code := <-r.code; code != exitFailed || !strings.Contains(r.err.String(), "no nsqd has topic "+row[0]) {
			t.Errorf("%q: exit %d %s%s", row, code, r.out, r.err)
		}
	}
}

// TestNSQStat_Columns is statement 330.
func TestNSQStat_Columns(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("t", "a", "b")
	post(t, "http://"+s.HTTPAddr()+"/channel/create?topic=t&channel=c", "")
	out := launch(t, "", "nsq_stat", "-topic", "t", "-channel=c", "--interval=5ms", "-count=2", "--nsqd-http-address="+s.HTTPAddr()).wait()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 4 || strings.Join(strings.Fields(lines[1]), " ") != "ingress egress | total mem disk inflt def | req t-o msgs clients" {
		t.Fatalf("printed\n%s", out)
	}
	for _, row := range lines[2:] {
		if got := strings.Join(strings.Fields(row), " "); got != "0 0 | 2 2 0 0 0 | 0 0 2 0" {
			t.Errorf("row %s", got)
		}
	}
	r := launch(t, "", "nsq_stat", "--topic=t", "--channel=none", "--nsqd-http-address="+s.HTTPAddr())
	if code := <-r.code; code != exitFailed || !strings.Contains(r.err.String(), "no nsqd has a channel none of topic t") {
		t.Errorf("exit %d %s", code, r.err)
	}
}

// TestTop_Frames: to a screen and to a pipe.
func TestTop_Frames(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("small", "a")
	s.Publish("large", "a", "b")
	r := launch(t, "", "nsqd-lite", "top", "--interval=5ms", "--nsqd-http-address="+s.HTTPAddr())
	testwait.Until(t, "two tables", func() bool { return strings.Count(r.out.String(), "topic/channel") > 1 })
	out := r.end()
	if strings.Contains(out, "\x1b") || !strings.HasPrefix(out, "1 nsqd, 2 topics, 3 messages waiting") || strings.Index(out, "large") > strings.Index(out, "small") {
		t.Errorf("printed\n%s", out)
	}
	r = launch(t, "", "nsqd-lite", "top", "--json", "--interval=5ms", "-n1", "--nsqd-http-address="+s.HTTPAddr())
	testwait.Until(t, "two tables", func() bool { return strings.Count(r.out.String(), "\n") > 1 })
	line, _, _ := strings.Cut(r.end(), "\n")
	want := `"channels":[{"topic_name":"large","channel_name":"","depth":2,`
	if !strings.HasPrefix(line, `{"nodes":["http://`) || !strings.Contains(line, want) || !strings.HasSuffix(line, `"in_per_second":0,"out_per_second":0}]}`) {
		t.Errorf("as JSON: %s", line)
	}
	f := newFake(map[string]string{"NO_COLOR": "1"}, "nsqd-lite", "top", "--nsqd-http-address=127.0.0.1:1")
	f.process.screen = true
	if code := run(f.process); code != exitFailed || f.out.String() != screenOn+screenOff {
		t.Errorf("exit %d, screen %q", code, f.out.String())
	}
}

// TestCheck_Codes: what monitoring and containers rely on.
func TestCheck_Codes(t *testing.T) {
	s, d := nsqtest.Start(t), nsqtest.StartLookupd(t)
	s.Publish("t", "a", "b")
	at := "--nsqd-http-address=" + s.HTTPAddr()
	for _, row := range []struct {
		args string
		code int
		want string
	}{
		{at, 0, "OK: http://" + s.HTTPAddr() + " answers"},
		{"--ready " + at, 0, "OK: "},
		{"--lookupd-http-address=" + d.HTTPAddr(), 0, "OK: "},
		{"--nsqd-http-address=127.0.0.1:1", 2, "CRITICAL: "},
		{"t --depth-warning=3 " + at, 0, "OK: 2 messages wait in topic t | depth=2;3;0"},
		{"t --depth-warning=2 " + at, 1, "WARNING: 2 messages wait"},
		{"--depth-warning=1 --depth-critical=2 " + at, 2, "CRITICAL: 2 messages wait in all topics"},
		{"none --depth-warning=1 " + at, 3, "UNKNOWN: there is no topic none"},
		{"t none " + at, 3, "UNKNOWN: there is no channel none of topic t"},
		{"a b c", 2, ""},
		{"--json t --depth-warning=2 " + at, 1, `{"status":"WARNING","code":1,"text":"2 messages wait`},
	} {
		f := newFake(nil, append([]string{"nsqd-lite", "check"}, strings.Fields(row.args)...)...)
		if code := run(f.process); code != row.code || !strings.Contains(f.out.String(), row.want) {
			t.Errorf("%s: exit %d %s%s, want %d %s", row.args, code, f.out.String(), f.err.String(), row.code, row.want)
		}
	}
}
