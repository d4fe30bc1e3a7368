package server

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

const plainReply = `{"max_rdy_count":2500,"version":"1.3.0","max_msg_timeout":900000,"msg_timeout":60000,"tls_v1":false,"deflate":false,` +
	`"deflate_level":6,"max_deflate_level":6,"snappy":false,"sample_rate":0,"auth_required":false,"output_buffer_size":16384,` +
	`"output_buffer_timeout":250,"topology_region":"","topology_zone":"","sync":"memory","sync_window":-1}`

func TestIdentify_AnswersWhatIsInEffect(t *testing.T) {
	w := newWorld(t, Options{NoSnappy: true, NoDeflate: true})
	for _, tc := range []struct{ body, want string }{
		{`{}`, "OK"},
		{`null`, "OK"},
		{`{"client_id":"a","unknown":[1],"short_id":"s","long_id":"l"}`, "OK"},
		{`{"feature_negotiation":true}`, plainReply},
		{`{"feature_negotiation":true,"tls_v1":true,"snappy":true,"deflate":true,"deflate_level":99}`, plainReply},
		{`{"feature_negotiation":true,"output_buffer_size":0,"output_buffer_timeout":0,"msg_timeout":0,"sample_rate":0}`, plainReply},
		{`{"feature_negotiation":true,"msg_timeout":1000}`, strings.Replace(plainReply, `"msg_timeout":60000`, `"msg_timeout":1000`, 1)},
		{`{"feature_negotiation":true,"sample_rate":99}`, strings.Replace(plainReply, `"sample_rate":0`, `"sample_rate":99`, 1)},
		{`{"feature_negotiation":true,"output_buffer_timeout":-1}`, strings.Replace(plainReply, `timeout":250`, `timeout":0`, 1)},
		{`{"feature_negotiation":true,"output_buffer_size":-1}`,
			strings.NewReplacer(`"output_buffer_size":16384`, `"output_buffer_size":1`, `timeout":250`, `timeout":0`).Replace(plainReply)},
	} {
		p := w.dial()
		p.identify(tc.body)
		p.want(tc.want)
		// Without an upgrade there is no further OK, and it may be repeated.
		p.identify(`{"feature_negotiation":true,"msg_timeout":2000}`)
		var reply struct {
			MsgTimeout int `json:"msg_timeout"`
		}
		if err := json.Unmarshal([]byte(p.frames()[0]), &reply); err != nil || reply.MsgTimeout != 2000 {
			t.Errorf("second IDENTIFY: msg_timeout %d, %v", reply.MsgTimeout, err)
		}
		p.hangUp()
	}
}

// What an OK is worth is said wherever somebody looks: to each client, and over
// HTTP, there in nanoseconds.
func TestIdentify_SaysWhatAnOKIsWorth(t *testing.T) {
	for _, row := range []struct {
		o               Options
		client, metrics string
		window          int64
	}{
		{Options{}, `"sync":"memory","sync_window":-1}`, `{sync="memory"} -1`, -1},
		{Options{DataPath: t.TempDir()}, `"sync":"interval","sync_window":1000}`, `{sync="interval"} 1`, int64(time.Second)},
		{Options{DataPath: t.TempDir(), SyncTimeout: 1500 * time.Microsecond}, `"sync":"interval","sync_window":2}`, `{sync="interval"} 0.0015`, 1500000},
		{Options{DataPath: t.TempDir(), Sync: SyncAlways}, `"sync":"always","sync_window":0}`, `{sync="always"} 0`, 0},
		{Options{DataPath: t.TempDir(), Sync: SyncNever}, `"sync":"never","sync_window":-1}`, `{sync="never"} -1`, -1},
	} {
		s := startHTTP(t, row.o)
		n := dial(t, s)
		n.send(wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true}`)))
		if got := n.response(); !strings.HasSuffix(got, row.client) {
			t.Errorf("IDENTIFY is answered with %s, want %s", got, row.client)
		}
		st, err := s.Stats(StatsOptions{})
		if err != nil || st.SyncWindow != row.window {
			t.Errorf("%s: statistics say %d, %v, want %d", row.client, st.SyncWindow, err, row.window)
		}
		if got := ask(t, s, "GET", "/metrics", "").body; !strings.Contains(got, "nsqd_sync_window_seconds"+row.metrics+"\n") {
			t.Errorf("%s: metrics do not say %s", row.client, row.metrics)
		}
	}
}

func TestIdentify_EchoesTheServersOptions(t *testing.T) {
	w := newWorld(t, Options{MaxRdyCount: 7, MsgTimeout: 3 * time.Second, MaxMsgTimeout: time.Minute, MaxDeflateLevel: 3, TopologyRegion: "r", TopologyZone: "z"})
	p := w.dial()
	p.identify(`{"feature_negotiation":true}`)
	p.want(strings.NewReplacer("2500", "7", "900000", "60000", `"msg_timeout":60000`, `"msg_timeout":3000`,
		`"deflate_level":6,"max_deflate_level":6`, `"deflate_level":3,"max_deflate_level":3`,
		`region":""`, `region":"r"`, `zone":""`, `zone":"z"`).Replace(plainReply))
}

func TestIdentify_BoundsAreNSQs(t *testing.T) {
	w := newWorld(t, Options{})
	for _, tc := range []struct {
		key, what string
		good, bad []int
	}{
		{"heartbeat_interval", "heartbeat interval", []int{-1, 0, 1000, 60000}, []int{-2, 999, 60001}},
		{"output_buffer_timeout", "output buffer timeout", []int{-1, 0, 25, 30000}, []int{-2, 24, 30001}},
		{"output_buffer_size", "output buffer size", []int{-1, 0, 64, 65536}, []int{-2, 63, 65537}},
		{"sample_rate", "sample rate", []int{0, 1, 99}, []int{-1, 100}},
		{"msg_timeout", "msg timeout", []int{0, 1000, 900000}, []int{-1, 999, 900001}},
	} {
		send := func(n int) *peer {
			p := w.dial()
			p.identify(`{"` + tc.key + `":` + strconv.Itoa(n) + `}`)
			return p
		}
		for _, n := range tc.good {
			send(n).want("OK")
		}
		for _, n := range tc.bad {
			send(n).wantClosed("E_BAD_BODY IDENTIFY " + tc.what + " (" + strconv.Itoa(n) + ") is invalid")
		}
	}
}

func TestIdentify_BadBodyIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	for _, body := range []string{`[]`, `{`, `"x"`, `{"heartbeat_interval":"1000"}`, `{"heartbeat_interval":1000.5}`} {
		p := w.dial()
		p.identify(body)
		p.wantClosed("E_BAD_BODY IDENTIFY failed to decode JSON body")
	}
}

func TestIdentify_NamesTheClientInStats(t *testing.T) {
	w := newWorld(t, Options{})
	for _, tc := range []struct{ body, id, host, agent string }{
		{"", "10.0.0.1", "10.0.0.1", ""},
		{`{}`, "", "", ""},
		{`{"client_id":"a","hostname":"b","user_agent":"c/1"}`, "a", "b", "c/1"},
	} {
		p := w.dial()
		if tc.body != "" {
			p.identify(tc.body)
		}
		st := p.c.stats("")
		if st.ClientID != tc.id || st.Hostname != tc.host || st.UserAgent != tc.agent {
			t.Errorf("IDENTIFY %s: client_id %q, hostname %q, user_agent %q", tc.body, st.ClientID, st.Hostname, st.UserAgent)
		}
	}
}
