package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// What hurts newcomers to NSQ, and which test shows that it does not here:
//
//	a host name that leads nowhere is advertised   server, TestAdvertised_TheFirstThatLeadsHere
//	HTTP on the port for clients                   TestNewcomer_WrongPort
//	an nsqlookupd that does not answer is silence  reader, Options.OnError and its tests
//	the file stays short for 30 s                  TestWalkthrough
//	/put of old texts is gone                      TestWalkthrough, TestNewcomer_Answers
//	errors are bare codes                          TestNewcomer_Answers
//	GET / says nothing                             TestNewcomer_Answers
//	a deleted topic comes back                     TestManage_Cluster, and the words of delete
//	the first channel takes it all                 TestNewcomer_Words

// request is status, type and body of an answer.
func request(t *testing.T, method, url, accept string) (int, string, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(body)
}

// TestNewcomer_WrongPort: who sends HTTP to a port of the protocol is told
// where it belongs, by both servers; and so is who gives a command that port.
func TestNewcomer_WrongPort(t *testing.T) {
	s, d := nsqtest.Start(t), nsqtest.StartLookupd(t)
	for tcp, api := range map[string]string{s.TCPAddr(): s.HTTPAddr(), d.TCPAddr(): d.HTTPAddr()} {
		for _, method := range []string{"GET", "POST"} {
			status, _, body := request(t, method, "http://"+tcp+"/pub?topic=t", "*/*")
			if status != 400 || !strings.Contains(body, "HTTP is on "+api) {
				t.Errorf("%d %s, want to be sent to %s", status, body, api)
			}
		}
	}
	code, _, bad := try(t, "stat", "--nsqd-http-address="+s.TCPAddr())
	if code != exitFailed || !strings.Contains(bad, "400") {
		t.Errorf("exit %d %s", code, bad)
	}
	code, _, bad = try(t, "stat", "--nsqd-http-address=127.0.0.1:1")
	if code != exitFailed || !strings.Contains(bad, "--nsqd-http-address says where the server is") {
		t.Errorf("exit %d %s", code, bad)
	}
}

// TestNewcomer_Answers: old names work, errors say what to do, and the top of
// the API lists what there is.
func TestNewcomer_Answers(t *testing.T) {
	s, d := nsqtest.Start(t), nsqtest.StartLookupd(t)
	for _, row := range []struct {
		method, url, accept string
		status              int
		want                string
	}{
		{"POST", s.HTTPAddr() + "/put?topic=t", "*/*", 200, "OK"},
		{"POST", s.HTTPAddr() + "/mput?topic=t", "*/*", 200, "OK"},
		{"POST", s.HTTPAddr() + "/create_topic?topic=t", "*/*", 200, ""},
		{"POST", s.HTTPAddr() + "/pub", "*/*", 400, `{"message":"MISSING_ARG_TOPIC","detail":"Name the topic in the query, as in /pub?topic=test`},
		{"GET", s.HTTPAddr() + "/pub", "*/*", 405, `"detail":"This path takes`},
		{"GET", s.HTTPAddr() + "/", "*/*", 404, `{"method":"POST","path":"/pub"`},
		{"GET", s.HTTPAddr() + "/", "text/html", 200, "/pub"},
		{"GET", d.HTTPAddr() + "/", "*/*", 404, `{"method":"GET","path":"/lookup"`},
		{"GET", d.HTTPAddr() + "/lookup", "*/*", 400, `"detail":"`},
	} {
		status, _, body := request(t, row.method, "http://"+row.url, row.accept)
		if status != row.status || !strings.Contains(body, row.want) {
			t.Errorf("%s %s: %d %.300s", row.method, row.url, status, body)
		}
	}
}

// TestNewcomer_Words: where a command does what surprises, its help says so.
func TestNewcomer_Words(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"nsq_tail", "--help"}, "As the first one of its topic it takes what waits there; nsqd-lite tail takes nothing."},
		{[]string{"sub", "--help"}, "What is printed is finished"},
		{[]string{"node", "tombstone", "--help"}, "for 45 s"},
	} {
		if out := ok(t, row.args...); !strings.Contains(strings.ReplaceAll(out, "\n", " "), row.want) {
			t.Errorf("%q: %s", row.args, out)
		}
	}
}

// TestNewcomer_Banner: somebody at a terminal is told what there is, and what
// to type next.
func TestNewcomer_Banner(t *testing.T) {
	f := newFake(nil, "nsqd-lite")
	f.terminal = true
	s := nsqtest.Start(t)
	settings := &settings{dataPath: "./nsqd-data (created)"}
	f.process.banner(settings, s.TCPAddr(), s.HTTPAddr(), beside{})
	for _, want := range []string{
		"nsqd-lite " + liteVersion + "  data: ./nsqd-data (created)\n",
		"publish, consume   tcp   " + s.TCPAddr() + "\n",
		"HTTP API           http  http://" + s.HTTPAddr() + "\n",
		"try:  curl -d 'hello world 1' 'http://" + s.HTTPAddr() + "/pub?topic=test'\n",
		"nsqd-lite tail test",
	} {
		if !strings.Contains(f.err.String(), want) {
			t.Errorf("no %q in\n%s", want, f.err.String())
		}
	}
}
