package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// theirs is a program of NSQ's own.
func theirs(t *testing.T, name string) string {
	t.Helper()
	bin, err := exec.LookPath(name)
	if err != nil {
		t.Skip("there is no " + name + " on PATH to run")
	}
	return bin
}

// background runs a program until the test ends, or stop is called: with a
// SIGTERM, which must end it well.
func background(t *testing.T, bin string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(bin), err, said.String())
		}
	}
	t.Cleanup(stop)
	return stop
}

// call makes a request and returns the body of a 200.
func call(t testing.TB, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	must(t, err)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, url, res.StatusCode, answer)
	}
	return string(answer)
}

// listens waits until somebody answers at a URL.
func listens(t *testing.T, url string) {
	t.Helper()
	eventually(t, url+" answers", func() bool {
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		res.Body.Close()
		return true
	})
}

// ours is an nsqd and an nsqlookupd of ours, as processes, that know each other.
func ours(t *testing.T) (nsqd *target, lookupd string) {
	t.Helper()
	bin, err := built()
	must(t, err)
	at := newTarget(t)
	background(t, bin, "nsqlookupd", "-tcp-address="+at.tcp, "-http-address="+at.http)
	listens(t, "http://"+at.http+"/ping")
	nsqd = newTarget(t)
	background(t, bin, "nsqd", "-tcp-address="+nsqd.tcp, "-http-address="+nsqd.http, "-data-path="+nsqd.data,
		"-broadcast-address=127.0.0.1", "-lookupd-tcp-address="+at.tcp)
	listens(t, "http://"+nsqd.http+"/ping")
	eventually(t, "nsqd is registered", func() bool {
		return strings.Contains(call(t, "GET", "http://"+at.http+"/nodes", ""), `"http_port"`)
	})
	return nsqd, at.http
}

// TestNSQAdmin_SeesAndChangesOurs: NSQ's own admin page with our servers behind
// it. These are statements 327 to 329, with the program that they are about.
func TestNSQAdmin_SeesAndChangesOurs(t *testing.T) {
	bin := theirs(t, "nsqadmin")
	nsqd, lookupd := ours(t)
	admin := newTarget(t).http
	background(t, bin, "-http-address="+admin, "-lookupd-http-address="+lookupd)
	listens(t, "http://"+admin+"/ping")
	api := "http://" + admin + "/api/"
	call(t, "POST", "http://"+nsqd.http+"/pub?topic=orders", "hello")
	call(t, "POST", "http://"+nsqd.http+"/channel/create?topic=orders&channel=billing", "")

	for path, want := range map[string]string{
		"topics":                 `"topics":["orders"]`,
		"topics/orders":          `"channel_name":"billing","depth":1,`,
		"topics/orders/billing":  `"depth":1,"memory_depth":1,`,
		"nodes":                  `"topics":[{"topic":"orders","tombstoned":false}]`,
		"nodes/" + nsqd.http:     `"topic_name":"orders"`,
		"counter":                `"orders:billing:` + nsqd.http + `"`,
		"topics?inactive=true":   `"topics":{`,
		"topics/orders?x=%C3%A4": `"message_count":1`,
	} {
		eventually(t, path+" shows "+want, func() bool {
			answer := call(t, "GET", api+path, "")
			return strings.Contains(answer, want) && strings.Contains(answer, `"message":""`)
		})
	}

	stats := func() string { return call(t, "GET", "http://"+nsqd.http+"/stats?format=json&include_mem=false", "") }
	call(t, "POST", api+"topics/orders/billing", `{"action":"pause"}`)
	if !strings.Contains(stats(), `"paused":true`) {
		t.Error("the channel is not paused")
	}
	call(t, "POST", api+"topics/orders/billing", `{"action":"empty"}`)
	if !strings.Contains(stats(), `"channel_name":"billing","depth":0`) {
		t.Error("the channel is not empty")
	}
	call(t, "POST", api+"topics", `{"topic":"fresh","channel":"c"}`)
	call(t, "DELETE", api+"nodes/"+nsqd.http, `{"topic":"orders"}`)
	if answer := call(t, "GET", "http://"+lookupd+"/lookup?topic=orders", ""); !strings.Contains(answer, `"producers":[]`) {
		t.Errorf("behind the tombstone: %s", answer)
	}
	call(t, "DELETE", api+"topics/orders/billing", "")
	call(t, "DELETE", api+"topics/orders", "")
	var left struct{ Topics []string }
	must(t, json.Unmarshal([]byte(call(t, "GET", "http://"+lookupd+"/topics", "")), &left))
	if len(left.Topics) != 1 || left.Topics[0] != "fresh" {
		t.Errorf("topics left: %q, want fresh alone", left.Topics)
	}
}

// TestNSQ_UtilitiesWithOurs: NSQ's own to_nsq, nsq_to_file and nsq_stat.
func TestNSQ_UtilitiesWithOurs(t *testing.T) {
	toNSQ, toFile, stat := theirs(t, "to_nsq"), theirs(t, "nsq_to_file"), theirs(t, "nsq_stat")
	nsqd, lookupd := ours(t)
	const n = 500
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	publish := exec.Command(toNSQ, "-topic=t", "-nsqd-tcp-address="+nsqd.tcp)
	publish.Stdin = strings.NewReader(lines.String())
	if said, err := publish.CombinedOutput(); err != nil {
		t.Fatalf("to_nsq: %v\n%s", err, said)
	}
	dir := t.TempDir()
	stop := background(t, toFile, "-topic=t", "-channel=f", "-output-dir="+dir, "-sync-interval=200ms", "-lookupd-http-address="+lookupd)
	eventually(t, "all is finished", func() bool {
		st := call(t, "GET", "http://"+nsqd.http+"/stats?format=json&topic=t&channel=f", "")
		return strings.Contains(st, fmt.Sprintf(`"message_count":%d`, n)) && strings.Contains(st, `"depth":0`) && strings.Contains(st, `"in_flight_count":0`)
	})
	stop()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	var all []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		all = append(all, b...)
	}
	if got := strings.Count(string(all), "\n"); got != n {
		t.Errorf("%d lines in the files, want %d", got, n)
	}
	show := exec.Command(stat, "-topic=t", "-channel=f", "-lookupd-http-address="+lookupd, "-count=1", "-interval="+(100*time.Millisecond).String())
	if said, err := show.CombinedOutput(); err != nil || !strings.Contains(string(said), fmt.Sprint(n)) {
		t.Errorf("nsq_stat: %v\n%s", err, said)
	}
}
