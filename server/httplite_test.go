package server

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLite_Stats: what an admin page shows beyond nsqd's statistics.
func TestLite_Stats(t *testing.T) {
	dir := t.TempDir()
	s := startHTTP(t, Options{DataPath: dir, LiteVersion: "9.9"})
	ask(t, s, "POST", "/pub?topic=t", "x")
	ask(t, s, "POST", "/channel/create?topic=t&channel=c", "")
	var st liteStatsJSON
	a := ask(t, s, "GET", "/lite/stats", "")
	if err := json.Unmarshal([]byte(a.body), &st); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	if st.LiteVersion != "9.9" || st.DataPath != dir || st.Sync != "interval" || st.Goroutines == 0 || st.StartTime == 0 || st.DiskFree > st.DiskTotal {
		t.Errorf("%s", a.body)
	}
	if len(st.Topics) != 1 || st.Topics[0].JournalBytes == 0 || len(st.Topics[0].Channels) != 1 || st.Topics[0].Channels[0].Channel != "c" {
		t.Errorf("%s", a.body)
	}
}

// TestLite_Config: every option that can be asked for alone is in the list, with
// the same value and where it came from.
func TestLite_Config(t *testing.T) {
	s := startHTTP(t, Options{MaxMsgSize: 77, ConfigSources: map[string]string{"max_msg_size": "command line"}, ProgramConfig: map[string]any{"node_id": 5}})
	var list struct{ Options []liteOption }
	a := ask(t, s, "GET", "/lite/config", "")
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	for i, o := range list.Options {
		one := ask(t, s, "GET", configPath+o.Name, "").body
		if string(o.Value) != one && string(o.Value) != `"`+one+`"` {
			t.Errorf("%s is %s in the list and %s alone", o.Name, o.Value, one)
		}
		if i > 0 && list.Options[i-1].Name >= o.Name {
			t.Errorf("%s is not in its place", o.Name)
		}
	}
	for _, want := range []string{`{"name":"max_msg_size","value":77,"source":"command line"}`, `{"name":"node_id","value":5}`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s", want)
		}
	}
	if len(list.Options) < len(configNames) { // log_level is not there, node_id is
		t.Errorf("%d options, want %d", len(list.Options), len(configNames))
	}
}

// TestLite_ConfigHasEveryName: config's switch and the list do not drift apart.
func TestLite_ConfigHasEveryName(t *testing.T) {
	source, err := os.ReadFile("httpconfig.go")
	if err != nil {
		t.Fatal(err)
	}
	cases := regexp.MustCompile(`(?m)^\tcase "([a-z0-9_]+)":`).FindAllSubmatch(source, -1)
	if len(cases) != len(configNames) {
		t.Errorf("config knows %d names, the list has %d", len(cases), len(configNames))
	}
	for _, c := range cases {
		if name := string(c[1]); !slices.Contains(configNames, name) {
			t.Errorf("%s can be asked for and is not in the list", name)
		}
	}
}

// TestLite_CloseClient: the connection is closed, strangers may not do it, and
// nobody else notices.
func TestLite_CloseClient(t *testing.T) {
	s := startHTTP(t, Options{})
	victim, other := connect(t, s, "{}"), connect(t, s, "{}")
	remote := victim.c.LocalAddr().String()
	if a := ask(t, s, "POST", "/lite/client/close?client="+remote, ""); a.status != 200 || a.body != "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if n, err := victim.c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes from a connection that was closed", n)
	}
	if a := ask(t, s, "POST", "/lite/client/close?client="+remote, ""); a.status != 404 || !strings.Contains(a.body, "CLIENT_NOT_FOUND") {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	if a := ask(t, s, "POST", "/lite/client/close", ""); a.status != 400 || !strings.Contains(a.body, "MISSING_ARG_CLIENT") {
		t.Errorf("nobody: %d %s", a.status, a.body)
	}
	if a := ask(t, s, "POST", "/lite/client/close?client="+other.c.LocalAddr().String(), "", "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("a stranger's page: %d", a.status)
	}
	other.send([]byte("PUB t\n\x00\x00\x00\x01x"))
	if got := other.response(); got != "OK" {
		t.Errorf("the other one: %q", got)
	}
}

// TestLite_AgesComeByAndBy: an inventory of many channels reads few files, and the
// topics whose files it has read rest again.
func TestLite_AgesComeByAndBy(t *testing.T) {
	s := startHTTP(t, Options{DataPath: t.TempDir()})
	const topics = agesAtOnce + 20
	for i := range topics {
		name := fmt.Sprintf("t%d", i)
		ask(t, s, "POST", "/channel/create?channel=c&topic="+name, "")
		ask(t, s, "POST", "/pub?topic="+name, "x")
		ask(t, s, "POST", "/channel/create?channel=c&topic="+name, "")
	}
	for _, want := range []int{agesAtOnce, topics, topics} {
		a := ask(t, s, "GET", "/lite/stats", "")
		if got := strings.Count(a.body, `"oldest":`); got != want {
			t.Errorf("%d ages are told, want %d", got, want)
		}
	}
}
