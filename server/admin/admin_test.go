package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/server/admin"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// page is an admin page under test.
type page struct {
	t    *testing.T
	a    *admin.Admin
	base string
	head http.Header // sent with each request
}

// open starts an admin page for a cluster of d and servers; without d, for the
// servers alone.
func open(t *testing.T, o admin.Options) *page {
	t.Helper()
	o.HTTPAddress = "127.0.0.1:0"
	a, err := admin.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return &page{t: t, a: a, base: "http://" + a.Addr().String(), head: http.Header{}}
}

// ask makes a request and returns the status and the body.
func (p *page) ask(method, path, body string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequest(method, p.base+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for key, values := range p.head {
		req.Header[key] = values
	}
	req.Host = p.head.Get("Host")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// get decodes the answer to a GET that must succeed.
func (p *page) get(path string, into any) string {
	p.t.Helper()
	status, body := p.ask("GET", path, "")
	if status != 200 {
		p.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(body), into); err != nil {
			p.t.Fatalf("GET %s: %v in %s", path, err, body)
		}
	}
	return body
}

// ok makes a request that must succeed without a warning.
func (p *page) ok(method, path, body string) {
	p.t.Helper()
	if status, text := p.ask(method, path, body); status != 200 || text != `{"message":""}` {
		p.t.Errorf("%s %s %s: %d %s", method, path, body, status, text)
	}
}

// keys are the keys of a JSON object, sorted.
func keys(t *testing.T, text json.RawMessage) string {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// cluster is an nsqlookupd with two nsqds that have topic orders with channel
// billing, and five messages of it each.
func cluster(t *testing.T) (d *nsqtest.Lookupd, one, two *nsqtest.Server, p *page) {
	d = nsqtest.StartLookupd(t)
	one, two = nsqtest.Start(t, nsqtest.Registered(d)), nsqtest.Start(t, nsqtest.Registered(d))
	for _, s := range []*nsqtest.Server{one, two} {
		post(t, s.HTTPAddr(), "/topic/create?topic=orders")
		post(t, s.HTTPAddr(), "/channel/create?topic=orders&channel=billing")
		s.Publish("orders", "a", "b", "c", "d", "e")
	}
	p = open(t, admin.Options{LookupdHTTPAddresses: []string{d.HTTPAddr()}})
	testwait.Until(t, "both nsqds are registered with the topic", func() bool {
		_, body := p.ask("GET", "/api/topics/orders", "")
		return strings.Count(body, `"topic_name":"orders","channel_name":"billing"`) == 2+2+1 // by node twice, and the sum
	})
	return d, one, two, p
}

func post(t *testing.T, addr, path string) {
	t.Helper()
	res, err := http.Post("http://"+addr+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		text, _ := io.ReadAll(res.Body)
		t.Fatalf("POST %s: %d %s", path, res.StatusCode, text)
	}
}

const (
	topicKeys   = "backend_depth channels delivery_msg_count depth e2e_processing_latency hostname memory_depth message_count node nodes paused topic_name"
	channelKeys = "backend_depth channel_name client_count clients deferred_count delivery_msg_count depth e2e_processing_latency global_msg_count hostname in_flight_count memory_depth message_count node nodes paused region_local_msg_count requeue_count timeout_count topic_name zone_local_msg_count"
	nodeKeys    = "broadcast_address hostname http_port out_of_date remote_address remote_addresses tcp_port topics topology_region topology_zone version"
)

// TestNSQAdmin_Reads is statement 327 for this page: the routes behind nsqadmin's
// topic, channel, node, counter and lookup pages answer in its shapes. Statement
// 329: no nsqd of the same version is out of date.
func TestNSQAdmin_Reads(t *testing.T) {
	_, one, _, p := cluster(t)
	if body := p.get("/ping", nil); body != "OK" {
		t.Errorf("ping %q", body)
	}
	if body := p.get("/api/topics", nil); body != `{"topics":["orders"],"message":""}` {
		t.Errorf("topics %s", body)
	}
	var topic struct {
		Depth        int64             `json:"depth"`
		MessageCount int               `json:"message_count"`
		Node         string            `json:"node"`
		Nodes        []json.RawMessage `json:"nodes"`
		Channels     []json.RawMessage `json:"channels"`
		Message      string            `json:"message"`
		E2E          map[string]any    `json:"e2e_processing_latency"`
	}
	body := p.get("/api/topics/orders", &topic)
	if topic.MessageCount != 10 || topic.Node != "*" || len(topic.Nodes) != 2 || len(topic.Channels) != 1 || topic.E2E == nil {
		t.Errorf("topic %s", body)
	}
	if got := keys(t, json.RawMessage(body)); got != strings.Replace(topicKeys, "message_count", "message message_count", 1) {
		t.Errorf("keys of a topic: %s", got)
	}
	if got := keys(t, topic.Nodes[0]); got != topicKeys {
		t.Errorf("keys of a topic's node: %s", got)
	}
	if got := keys(t, topic.Channels[0]); got != channelKeys {
		t.Errorf("keys of a topic's channel: %s", got)
	}
	var channel struct {
		Depth   int64             `json:"depth"`
		Nodes   []json.RawMessage `json:"nodes"`
		Clients []any             `json:"clients"`
	}
	body = p.get("/api/topics/orders/billing", &channel)
	if channel.Depth != 10 || len(channel.Nodes) != 2 || channel.Clients == nil {
		t.Errorf("channel %s", body)
	}
	var nodes struct {
		Nodes []json.RawMessage `json:"nodes"`
	}
	body = p.get("/api/nodes", &nodes)
	if len(nodes.Nodes) != 2 || keys(t, nodes.Nodes[0]) != nodeKeys || strings.Contains(body, `"out_of_date":true`) ||
		!strings.Contains(body, `"topics":[{"topic":"orders","tombstoned":false}]`) {
		t.Errorf("nodes %s", body)
	}
	if body := p.get("/api/nodes/"+one.HTTPAddr(), nil); !strings.Contains(body, `"total_messages":5,"total_clients":0`) {
		t.Errorf("node %s", body)
	}
	key := "orders:billing:" + one.HTTPAddr()
	if body := p.get("/api/counter", nil); !strings.Contains(body, `"`+key+`":{"node":"`+one.HTTPAddr()+`","topic_name":"orders","channel_name":"billing","message_count":5}`) {
		t.Errorf("counter %s", body)
	}
	p.ok("POST", "/api/topics", `{"topic":"lonely","channel":"c"}`)
	if body := p.get("/api/topics?inactive=true", nil); body != `{"topics":{"lonely":["c"]},"message":""}` {
		t.Errorf("inactive topics %s", body)
	}
	for _, row := range []struct {
		path   string
		status int
		code   string
	}{
		{"/api/topics/unknown", 502, "UPSTREAM_ERROR: "},
		{"/api/topics/lonely", 502, "UPSTREAM_ERROR: "},
		{"/api/topics/orders/unknown", 500, "INTERNAL_ERROR"},
		{"/api/nodes/nobody:1", 404, "NODE_NOT_FOUND"},
		{"/api/graphite?metric=rate&target=x", 500, "INTERNAL_ERROR"},
		{"/nonsense/at/all", 404, "NOT_FOUND"},
	} {
		if status, body := p.ask("GET", row.path, ""); status != row.status || !strings.HasPrefix(body, `{"message":"`+row.code) {
			t.Errorf("%s: %d %s", row.path, status, body)
		}
	}
}

// TestNSQAdmin_Acts is statement 328: create, delete, pause, unpause, empty and
// tombstone do what they say, on all nsqds and nsqlookupds.
func TestNSQAdmin_Acts(t *testing.T) {
	d, one, two, p := cluster(t)
	p.ok("POST", "/api/topics", `{"topic":"orders","channel":"audit"}`)
	for _, s := range []*nsqtest.Server{one, two} {
		s.Channel("orders", "audit")
	}
	p.ok("POST", "/api/topics/orders", `{"action":"pause"}`)
	if !one.Topic("orders").Paused || !two.Topic("orders").Paused {
		t.Error("the topic is not paused everywhere")
	}
	p.ok("POST", "/api/topics/orders", `{"action":"unpause"}`)
	p.ok("POST", "/api/topics/orders/billing", `{"action":"pause"}`)
	if one.Topic("orders").Paused || !one.Channel("orders", "billing").Paused {
		t.Error("paused is what should not be, or the reverse")
	}
	p.ok("POST", "/api/topics/orders/billing", `{"action":"unpause"}`)
	p.ok("POST", "/api/topics/orders/billing", `{"action":"empty"}`)
	if depth := one.Channel("orders", "billing").Depth + two.Channel("orders", "billing").Depth; depth != 0 {
		t.Errorf("depth %d after it was emptied", depth)
	}
	p.ok("DELETE", "/api/topics/orders/audit", "")
	if channels := one.Topic("orders").Channels; len(channels) != 1 {
		t.Errorf("channels %+v after one was deleted", channels)
	}
	p.ok("DELETE", "/api/nodes/"+one.HTTPAddr(), `{"topic":"orders"}`)
	if topics := one.Stats().Topics; len(topics) != 0 {
		t.Errorf("topics %+v after the tombstone", topics)
	}
	two.Topic("orders")
	p.ok("DELETE", "/api/topics/orders", "")
	testwait.Until(t, "nsqlookupd has forgotten the topic", func() bool {
		res, err := http.Get("http://" + d.HTTPAddr() + "/topics")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return string(text) == `{"topics":[]}`
	})
	for _, row := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/api/topics", `{"topic":"no spaces"}`, 400, "INVALID_TOPIC"},
		{"POST", "/api/topics", `{"topic":"t","channel":"no spaces"}`, 400, "INVALID_CHANNEL"},
		{"POST", "/api/topics", `{`, 400, "unexpected end of JSON input"},
		{"POST", "/api/topics/orders", `{"action":"explode"}`, 400, "INVALID_ACTION"},
		{"POST", "/api/topics/nothing", `{"action":"pause"}`, 502, "UPSTREAM_ERROR: "},
		{"DELETE", "/api/nodes/" + one.HTTPAddr(), `{`, 400, "INVALID_BODY"},
		{"DELETE", "/api/nodes/" + one.HTTPAddr(), `{"topic":""}`, 400, "INVALID_TOPIC"},
		{"DELETE", "/api/nodes/nobody:1", `{"topic":"t"}`, 404, "NODE_NOT_FOUND"},
	} {
		if status, body := p.ask(row.method, row.path, row.body); status != row.status || !strings.HasPrefix(body, `{"message":"`+row.code) {
			t.Errorf("%s %s: %d %s", row.path, row.body, status, body)
		}
	}
	alone := open(t, admin.Options{NSQDHTTPAddresses: []string{one.HTTPAddr()}})
	if _, body := alone.ask("POST", "/api/topics/nothing", `{"action":"pause"}`); !strings.HasPrefix(body, `{"message":"UPSTREAM_ERROR: no nsqd has topic nothing`) {
		t.Errorf("a topic that the only nsqd has not: %s", body)
	}
}

// TestNSQAdmin_PartOfTheClusterIsDown: what works is done, and what does not is
// said.
func TestNSQAdmin_PartOfTheClusterIsDown(t *testing.T) {
	_, one, _, p := cluster(t)
	one.Close()
	status, body := p.ask("POST", "/api/topics/orders", `{"action":"pause"}`)
	var answer struct{ Message string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	// Either it is known to have gone, or it is said not to answer.
	if answer.Message != "" && !strings.HasPrefix(answer.Message, "WARNING: ") {
		t.Errorf("message %q", answer.Message)
	}
	gone := open(t, admin.Options{NSQDHTTPAddresses: []string{one.HTTPAddr()}})
	if status, body := gone.ask("GET", "/api/topics", ""); status != 502 || !strings.HasPrefix(body, `{"message":"UPSTREAM_ERROR: `) {
		t.Errorf("%d %s", status, body)
	}
	both := open(t, admin.Options{NSQDHTTPAddresses: []string{one.HTTPAddr(), nsqtest.Start(t).HTTPAddr()}})
	if status, body := both.ask("GET", "/api/topics", ""); status != 200 || !strings.HasPrefix(body, `{"topics":[],"message":"WARNING: `) {
		t.Errorf("%d %s", status, body)
	}
}

// TestNSQAdmin_NSQDsAlone: without nsqlookupds topics are made on the nsqds.
func TestNSQAdmin_NSQDsAlone(t *testing.T) {
	s := nsqtest.Start(t)
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}})
	p.ok("POST", "/api/topics", `{"topic":"t","channel":"c#ephemeral"}`)
	p.get("/api/topics/t/c%23ephemeral", nil)
	p.ok("DELETE", "/api/topics/t/c%23ephemeral", "")
	p.ok("DELETE", "/api/nodes/"+s.HTTPAddr(), `{"topic":"t"}`)
	if topics := s.Stats().Topics; len(topics) != 0 {
		t.Errorf("topics %+v", topics)
	}
}

// TestAdmin_WhoMay: the header of a proxy, read-only pages, pages of strangers.
func TestAdmin_WhoMay(t *testing.T) {
	s := nsqtest.Start(t)
	servers := []string{s.HTTPAddr()}
	create := func(p *page) int {
		status, _ := p.ask("POST", "/api/topics", `{"topic":"t"}`)
		return status
	}
	p := open(t, admin.Options{NSQDHTTPAddresses: servers, AdminUsers: []string{"anna", "bert"}})
	if status, body := p.ask("POST", "/api/topics", `{"topic":"t"}`); status != 403 || !strings.HasPrefix(body, `{"message":"FORBIDDEN"`) {
		t.Errorf("nobody: %d %s", status, body)
	}
	p.get("/api/topics", nil) // everybody may look
	p.head.Set("X-Forwarded-User", "carl")
	if status := create(p); status != 403 {
		t.Errorf("somebody else: %d", status)
	}
	p.head.Set("X-Forwarded-User", "bert")
	if status := create(p); status != 200 {
		t.Errorf("one of them: %d", status)
	}
	p = open(t, admin.Options{NSQDHTTPAddresses: servers, ReadOnly: true})
	for _, path := range []string{"/api/topics", "/api/v1/act", "/api/v1/publish?topic=t"} {
		if status, _ := p.ask("POST", path, `{"action":"create","topic":"t"}`); status != 403 {
			t.Errorf("read-only: %s %d", path, status)
		}
	}
	p = open(t, admin.Options{NSQDHTTPAddresses: servers})
	p.head.Set("Sec-Fetch-Site", "cross-site")
	if status := create(p); status != 403 {
		t.Errorf("a stranger's page: %d", status)
	}
	// A name that a stranger controls leads here: his page is of the same origin.
	p = open(t, admin.Options{NSQDHTTPAddresses: servers, Hosts: []string{"nsq.example"}})
	for host, want := range map[string]int{"evil.example": 403, "nsq.example": 200} {
		p.head.Set("Host", host)
		if status := create(p); status != want {
			t.Errorf("%s creates: %d", host, status)
		}
		if status, _ := p.ask("GET", "/api/v1/peek?topic=t", ""); status != want {
			t.Errorf("%s peeks: %d", host, status)
		}
	}
}

// TestAdmin_Notifies: each change that was made is told, and an endpoint that
// fails does no harm.
func TestAdmin_Notifies(t *testing.T) {
	got := make(chan string, 16)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got <- string(text)
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(endpoint.Close)
	s := nsqtest.Start(t)
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}, NotificationEndpoint: endpoint.URL})
	p.head.Set("Authorization", "Basic YW5uYTp4") // anna:x
	for _, row := range []struct{ method, path, body, action, channel, node string }{
		{"POST", "/api/topics", `{"topic":"t","channel":"c"}`, "create_channel", "c", ""},
		{"POST", "/api/topics/t", `{"action":"pause"}`, "pause_topic", "", ""},
		{"POST", "/api/topics/t/c", `{"action":"empty"}`, "empty_channel", "c", ""},
		{"DELETE", "/api/topics/t/c", ``, "delete_channel", "c", ""},
		{"DELETE", "/api/nodes/" + s.HTTPAddr(), `{"topic":"t"}`, "tombstone_topic_producer", "", s.HTTPAddr()},
	} {
		p.ok(row.method, row.path, row.body)
		var n struct {
			Action, Topic, Channel, Node, User, URL, Via string
			Timestamp                                    int64
			UserAgent                                    string `json:"user_agent"`
			RemoteIP                                     string `json:"remote_ip"`
		}
		select {
		case text := <-got:
			if err := json.Unmarshal([]byte(text), &n); err != nil {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: no notification", row.action)
		}
		if n.Action != row.action || n.Topic != "t" || n.Channel != row.channel || n.Node != row.node || n.User != "anna" || n.URL != row.path || n.Timestamp == 0 || n.UserAgent == "" || n.RemoteIP == "" {
			t.Errorf("%s: %+v", row.action, n)
		}
	}
}

// TestAdmin_Config: options are shown and changed to and by this machine alone.
func TestAdmin_Config(t *testing.T) {
	d, _, _, p := cluster(t)
	if body := p.get("/config/nsqlookupd_http_addresses", nil); body != `["`+d.HTTPAddr()+`"]` {
		t.Errorf("nsqlookupds %s", body)
	}
	if status, body := p.ask("PUT", "/config/nsqlookupd_http_addresses", `["127.0.0.1:1"]`); status != 200 || body != `["127.0.0.1:1"]` {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := p.ask("GET", "/api/topics", ""); status != 502 {
		t.Errorf("topics of an nsqlookupd that is not there: %d", status)
	}
	for _, row := range []struct {
		opt, value string
		status     int
	}{{"nsqlookupd_http_addresses", "[]", 400}, {"nsqlookupd_http_addresses", "x", 400}, {"nsqlookupd_http_addresses", "", 413}, {"base_path", "/x", 400}} {
		if status, body := p.ask("PUT", "/config/"+row.opt, row.value); status != row.status {
			t.Errorf("%s=%s: %d %s", row.opt, row.value, status, body)
		}
	}
	far := open(t, admin.Options{LookupdHTTPAddresses: []string{d.HTTPAddr()}, AllowConfigFromCIDR: "10.0.0.0/8"})
	if status, _ := far.ask("GET", "/config/log_level", ""); status != 403 {
		t.Errorf("from elsewhere: %d", status)
	}
}

// TestAdmin_BasePath: everything is under it, and the page says so.
func TestAdmin_BasePath(t *testing.T) {
	s := nsqtest.Start(t)
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}, BasePath: "/nsq"})
	p.get("/nsq/api/topics", nil)
	for _, path := range []string{"/nsq/", "/", "/nsq", "/nsq/topics/t/c"} { // redirects are followed
		if body := p.get(path, nil); !strings.Contains(body, `<base href="/nsq/">`) {
			t.Errorf("%s: %.100s", path, body)
		}
	}
	if status, _ := p.ask("GET", "/api/topics", ""); status != 404 {
		t.Errorf("outside of it: %d", status)
	}
}

// TestAdmin_Options: what cannot be meant is refused.
func TestAdmin_Options(t *testing.T) {
	for _, o := range []admin.Options{
		{},
		{NSQDHTTPAddresses: []string{"ftp://x"}},
		{NSQDHTTPAddresses: []string{"x:1"}, BasePath: `/"><script>`},
		{NSQDHTTPAddresses: []string{"x:1"}, AllowConfigFromCIDR: "here"},
		{NSQDHTTPAddresses: []string{"x:1"}, NotificationEndpoint: "no url"},
		{NSQDHTTPAddresses: []string{"x:1"}, ProxyGraphite: true},
		{NSQDHTTPAddresses: []string{"x:1"}, RequestTimeout: -1},
	} {
		if a, err := admin.Start(o); err == nil {
			t.Errorf("%+v was taken", o)
			a.Close()
		}
	}
}

// TestAdmin_Graphite: a rate is asked for, and pictures are passed on.
func TestAdmin_Graphite(t *testing.T) {
	graphite := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("format") == "json" {
			fmt.Fprint(w, `[{"datapoints":[[120,1]]}]`)
			return
		}
		w.Header().Set("Content-Type", "image/png")
		fmt.Fprint(w, "picture of "+r.URL.Query().Get("target"))
	}))
	t.Cleanup(graphite.Close)
	s := nsqtest.Start(t)
	p := open(t, admin.Options{NSQDHTTPAddresses: []string{s.HTTPAddr()}, GraphiteURL: graphite.URL, ProxyGraphite: true})
	if body := p.get("/api/graphite?metric=rate&target="+url.QueryEscape("a.b"), nil); body != `{"rate":"2.00"}` {
		t.Errorf("rate %s", body)
	}
	if body := p.get("/render?target=a.b", nil); body != "picture of a.b" {
		t.Errorf("picture %s", body)
	}
}
