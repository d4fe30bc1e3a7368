package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// running is a command in this process.
type running struct {
	t    *testing.T
	out  *testwait.Buffer
	err  *testwait.Buffer
	stop context.CancelFunc
	code chan int
}

// launch starts a command, under the name args[0].
func launch(t *testing.T, stdin string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, out: new(testwait.Buffer), err: new(testwait.Buffer), stop: cancel, code: make(chan int, 1)}
	p := process{
		ctx: ctx, args: args, stdin: strings.NewReader(stdin), stdout: r.out, stderr: r.err, exit: func(int) {},
		getenv: func(string) (string, bool) { return "", false },
	}
	go func() { r.code <- run(p) }()
	t.Cleanup(cancel)
	return r
}

// wait waits for the end of the command, and wants it to be a success.
func (r *running) wait() string {
	r.t.Helper()
	if code := <-r.code; code != exitOK {
		r.t.Errorf("exit %d: %s", code, r.err)
	}
	return r.out.String()
}

// end stops the command and wants it to end well.
func (r *running) end() string {
	r.t.Helper()
	r.stop()
	return r.wait()
}

// Each of NSQ's utilities but to_nsq says which version it is.
func TestUtilities_Version(t *testing.T) {
	for _, name := range utilities {
		for _, flag := range []string{"-version", "--version"} {
			r := launch(t, "", name, flag)
			if name == "to_nsq" {
				if code := <-r.code; code != exitUsage {
					t.Errorf("%s %s: exit %d", name, flag, code)
				}
			} else if out := r.wait(); out != roleBanner(name)+"\n" {
				t.Errorf("%s %s prints %q", name, flag, out)
			}
		}
	}
}

// TestNSQTail_Ephemeral is statement 331: bodies are printed, and the channel
// is gone afterwards.
func TestNSQTail_Ephemeral(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("t", "a", "b")
	r := launch(t, "", "nsq_tail", "-topic=t", "--print-topic", "-nsqd-tcp-address", s.TCPAddr())
	testwait.Until(t, "two lines", func() bool { return r.out.String() == "t | a\nt | b\n" })
	channels := s.Topic("t").Channels
	if len(channels) != 1 || !regexp.MustCompile(`^tail\d{6}#ephemeral$`).MatchString(channels[0].ChannelName) {
		t.Errorf("channels %+v", channels)
	}
	r.end()
	testwait.Until(t, "no channel", func() bool { return len(s.Topic("t").Channels) == 0 })
}

// TestNSQTail_Count: -n ends after so many, and all of them are finished.
func TestNSQTail_Count(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("t", "a", "b", "c", "d")
	if got := launch(t, "", "nsq_tail", "--topic=t", "-n", "3", "--channel=c", "--nsqd-tcp-address="+s.TCPAddr()).wait(); got != "a\nb\nc\n" {
		t.Errorf("printed %q", got)
	}
	testwait.Until(t, "one message left", func() bool {
		c := s.Channel("t", "c")
		return c.Depth == 1 && c.InFlightCount == 0 && c.RequeueCount == 0
	})
}

// TestSub_Formats: sub consumes a channel that stays.
func TestSub_Formats(t *testing.T) {
	s := nsqtest.Start(t)
	at := "--nsqd-tcp-address=" + s.TCPAddr()
	s.Publish("t", "a", "\xff", "c")
	first := launch(t, "", "nsqd-lite", "sub", "t", "c", "-n1", "--json", at).wait()
	if !strings.HasPrefix(first, `{"topic":"t","id":"`) || !strings.Contains(first, `"attempts":1,"nsqd":"`+s.TCPAddr()+`","size":1,"encoding":"text","body":"a"}`) {
		t.Errorf("JSON %s", first)
	}
	if got := launch(t, "", "nsqd-lite", "sub", "t", "c", "-n=2", "--raw", at).wait(); got != "\xffc" {
		t.Errorf("raw %q", got)
	}
	if c := s.Channel("t", "c"); c.Depth != 0 || c.InFlightCount != 0 || c.MessageCount != 3 {
		t.Errorf("channel %+v", c)
	}
}

// TestToNSQ_EveryAddress is statement 332: every line goes to every address,
// the last byte of the last one included.
func TestToNSQ_EveryAddress(t *testing.T) {
	first, second := nsqtest.Start(t), nsqtest.Start(t)
	launch(t, "a\n\nb\nlast", "to_nsq", "--topic=t", "-nsqd-tcp-address="+first.TCPAddr(), "-nsqd-tcp-address", second.TCPAddr(), "--producer-opt=snappy").wait()
	for _, s := range []*nsqtest.Server{first, second} {
		if got := launch(t, "", "nsqd-lite", "sub", "t", "c", "-n=3", "--nsqd-tcp-address="+s.TCPAddr()).wait(); got != "a\nb\nlast\n" {
			t.Errorf("published %q", got)
		}
	}
	launch(t, "x,y", "to_nsq", "--topic=u", "--delimiter=,", "--rate=1e6", "--nsqd-tcp-address="+first.TCPAddr()).wait()
	if got := first.Topic("u").Depth; got != 2 {
		t.Errorf("%d messages with another delimiter", got)
	}
	gone := nsqtest.Start(t)
	gone.Close()
	r := launch(t, "a\n", "to_nsq", "--topic=t", "--nsqd-tcp-address="+gone.TCPAddr(), "--producer-opt=dial_timeout,100ms")
	if code := <-r.code; code != exitFailed || !strings.Contains(r.err.String(), "to_nsq: publish to t: ") {
		t.Errorf("exit %d %s", code, r.err)
	}
}

// TestToHTTP_Flags: the flags of nsq_to_http reach the requests.
func TestToHTTP_Flags(t *testing.T) {
	s := nsqtest.Start(t)
	got := make(chan string, 10)
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- r.Header.Get("X-A") + " " + r.Header.Get("Content-Type") + " " + string(body)
	}))
	defer target.Close()
	r := launch(t, "", "nsq_to_http", "--topic=t", "--post="+target.URL, "--header=X-A: b", "-content-type=text/plain", "--nsqd-tcp-address="+s.TCPAddr(), "--consumer-opt=deflate", "--status-every=1")
	s.Publish("t", "hello")
	if got := <-got; got != "b text/plain hello" {
		t.Errorf("request %q", got)
	}
	testwait.Until(t, "finished", func() bool { c := s.Channel("t", "nsq_to_http"); return c.MessageCount == 1 && c.InFlightCount == 0 })
	r.end()
	if !strings.Contains(r.err.String(), "[nsq_to_http] ") || !strings.Contains(r.err.String(), "INFO: sent messages=1 failed=0") {
		t.Errorf("log %s", r.err)
	}
}

// TestToNSQ_Flags: the flags of nsq_to_nsq reach the copy.
func TestToNSQ_Flags(t *testing.T) {
	from, to := nsqtest.Start(t), nsqtest.Start(t)
	r := launch(t, "", "nsq_to_nsq", "--topic=t", "--nsqd-tcp-address="+from.TCPAddr(), "--destination-nsqd-tcp-address="+to.TCPAddr(),
		"--destination-topic=there", "--require-json-field=a", "--whitelist-json-field=b", "--mode=round-robin", "--producer-opt=client_id,me")
	from.Publish("t", `{"a":1,"b":2}`, "x")
	testwait.Until(t, "one copied", func() bool { return to.Topic("there").Depth == 1 })
	r.end()
	if got := launch(t, "", "nsqd-lite", "sub", "there", "c", "-n=1", "--nsqd-tcp-address="+to.TCPAddr()).wait(); got != "{\"b\":2}\n" {
		t.Errorf("copied %q", got)
	}
}

// TestUtilities_Usage: what cannot be meant is refused, with the way out.
func TestUtilities_Usage(t *testing.T) {
	for line, want := range map[string]string{
		"nsq_to_file --topic=t": "say where from: --nsqd-tcp-address or --lookupd-http-address",
		"nsq_to_file --topic=t --nsqd-tcp-address=h:1 --lookupd-http-address=h:2":            "do not go together",
		"nsq_to_file --nsqd-tcp-address=h:1":                                                 "name a --topic, or a --lookupd-http-address",
		"nsq_to_file --topic=t --nsqd-tcp-address=h:1 --gzip --filename-format=x":            "needs <REV>",
		"nsq_to_file --topic-pattern=( --lookupd-http-address=h:1":                           "--topic-pattern: error parsing regexp",
		"nsq_to_file --topic=t --nsqd-tcp-address=h:1 --consumer-opt=max-atempts,1":          "did you mean max_attempts?",
		"nsq_to_file --topic=t --nsqd-tcp-address=h:1 --consumer-opt=max_attempts,x":         "--consumer-opt max_attempts,x: ",
		"nsq_to_file --topic=t --nsqd-tcp-address=h:1 --max-in-flight=0":                     "--max-in-flight must be more than 0",
		"nsq_to_file --topic=t extra --nsqd-tcp-address=h:1":                                 `unexpected argument "extra"`,
		"nsq_to_http --topic=t --nsqd-tcp-address=h:1":                                       "--post or --get, one kind",
		"nsq_to_http --topic=t --nsqd-tcp-address=h:1 --post=http://h --mode=multi":          `mode "multi": want one of`,
		"nsq_to_http --topic=t --nsqd-tcp-address=h:1 --post=http://h --header=x":            "want Name: value",
		"nsq_to_http --nsqd-tcp-address=h:1 --post=http://h":                                 "name a --topic",
		"nsq_to_nsq --topic=t --nsqd-tcp-address=h:1":                                        "--destination-nsqd-tcp-address",
		"nsq_to_nsq --topic=t --nsqd-tcp-address=h:1 --producer-opt=max_in_flight,1":         "is an option of consumers",
		"nsq_to_nsq --topic=t --nsqd-tcp-address=h:1 --producer-opt=lookupd_poll_interval,x": "want a duration",
		"nsq_tail --nsqd-tcp-address=h:1":                                                    "name a --topic",
		"nsq_tail --topic=t -n -1 --nsqd-tcp-address=h:1":                                    "-n must not be negative",
		"to_nsq --nsqd-tcp-address=h:1":                                                      "name a --topic",
		"to_nsq --topic=t":                                                                   "--nsqd-tcp-address",
		"to_nsq --topic=t --delimiter=ab --nsqd-tcp-address=h:1":                             "--delimiter must be one byte",
		"nsqd-lite sub t":                "name one topic and one channel",
		"nsqd-lite sub t c --json --raw": "--json and --raw do not go together",
	} {
		f := newFake(nil, strings.Fields(line)...)
		if code := run(f.process); code != exitUsage || !strings.Contains(f.err.String(), want) {
			t.Errorf("%s: exit %d %s, want %q", line, code, f.err.String(), want)
		}
	}
}

// TestOptions_Known: --consumer-opt takes NSQ's names with either dash.
func TestOptions_Known(t *testing.T) {
	from := consumerFlags{channel: "c", most: 7, nsqds: []string{"h:1"}, options: []string{
		"max-attempts,0", "max_in_flight,9", "default_requeue_delay,1500", "max_backoff_duration,2m", "snappy", "deflate,false",
		"sample_rate,10", "client_id,me", "auth_secret,s3cret", "tls_v1,true", "tls-insecure-skip-verify", "heartbeat_interval,5s",
	}}
	o, err := from.reader(nil, "x")
	if err != nil {
		t.Fatal(err)
	}
	c := o.Client
	if o.MaxAttempts != -1 || o.MaxInFlight != 9 || o.RequeueDelay.Milliseconds() != 1500 || o.MaxBackoff.Minutes() != 2 {
		t.Errorf("options %+v", o)
	}
	if !c.Snappy || c.Deflate || c.SampleRate != 10 || c.ClientID != "me" || c.AuthSecret() != "s3cret" || !c.TLSConfig.InsecureSkipVerify || c.HeartbeatInterval.Seconds() != 5 {
		t.Errorf("client's options %+v", c)
	}
}
