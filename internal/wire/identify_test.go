package wire

import (
	"encoding/json"
	"testing"
)

func TestDecodeIdentify_Accepts(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       IdentifyRequest
	}{
		{"21 empty", `{}`, IdentifyRequest{}},
		{"23 null", `null`, IdentifyRequest{}},
		{"29, 30 unknown keys", `{"short_id":"s","long_id":"l","x":[1,{}]}`, IdentifyRequest{}},
		{"any case", `{"Client_ID":"c","HEARTBEAT_INTERVAL":-1}`, IdentifyRequest{ClientID: "c", HeartbeatMillis: -1}},
		{"all", `{"client_id":"c","hostname":"h","user_agent":"u","feature_negotiation":true,"heartbeat_interval":1000,
			"output_buffer_size":64,"output_buffer_timeout":25,"msg_timeout":1000,"sample_rate":99,"tls_v1":true,"snappy":true,
			"deflate":true,"deflate_level":9,"topology_region":"r","topology_zone":"z"}`,
			IdentifyRequest{ClientID: "c", Hostname: "h", UserAgent: "u", FeatureNegotiation: true, HeartbeatMillis: 1000,
				OutputBufferSize: 64, OutputBufferMillis: 25, MsgTimeoutMillis: 1000, SampleRate: 99, TLSv1: true, Snappy: true,
				Deflate: true, DeflateLevel: 9, TopologyRegion: "r", TopologyZone: "z"}},
		{"publisher", `{"lite_publisher":"0123456789abcdef"}`, IdentifyRequest{LitePublisher: "0123456789abcdef"}},
	} {
		got, err := DecodeIdentify([]byte(tt.body))
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

func TestDecodeIdentify_Refuses(t *testing.T) {
	for _, body := range []string{
		`[]`, `{`, ``, `x`, `{}{}`, `"s"`, `1`, // 24, 25
		`{"heartbeat_interval":"1000"}`, `{"heartbeat_interval":1000.5}`, // 37
		`{"client_id":5}`, `{"tls_v1":1}`, `{"sample_rate":2147483648}`,
	} {
		if got, err := DecodeIdentify([]byte(body)); err == nil {
			t.Errorf("%s is %+v", body, got)
		}
	}
}

func TestIdentifyReply_KeysInOrder(t *testing.T) { // 22
	r := IdentifyReply{MaxRdyCount: 2500, Version: "1.3.0", MaxMsgTimeoutMillis: 900000, MsgTimeoutMillis: 60000,
		DeflateLevel: 6, MaxDeflateLevel: 6, OutputBufferSize: 16384, OutputBufferMillis: 250,
		Sync: "interval", SyncWindowMillis: 1000}
	got, err := json.Marshal(r)
	want := `{"max_rdy_count":2500,"version":"1.3.0","max_msg_timeout":900000,"msg_timeout":60000,"tls_v1":false,"deflate":false,` +
		`"deflate_level":6,"max_deflate_level":6,"snappy":false,"sample_rate":0,"auth_required":false,"output_buffer_size":16384,` +
		`"output_buffer_timeout":250,"topology_region":"","topology_zone":"","sync":"interval","sync_window":1000}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	r.LitePublisher = "0123456789abcdef"
	if got, err = json.Marshal(r); err != nil || string(got) != want[:len(want)-1]+`,"lite_publisher":"0123456789abcdef"}` {
		t.Errorf("with a publisher got %s, %v", got, err)
	}
	back, negotiated, err := DecodeIdentifyReply(got)
	if back != r || !negotiated || err != nil {
		t.Errorf("back: %+v, %v, %v", back, negotiated, err)
	}
}

func TestValidPublisher(t *testing.T) {
	for id, want := range map[string]bool{"0123456789abcdef": true, "0123456789abcde": false, "0123456789abcdef0": false,
		"0123456789ABCDEF": false, "0123456789abcdeg": false, "": false, "0123456789abcde ": false} {
		if got := ValidPublisher(id); got != want {
			t.Errorf("%q is valid: %v", id, got)
		}
	}
}

func TestDecodeIdentifyReply_OKIsNoNegotiation(t *testing.T) { // T-15
	r, negotiated, err := DecodeIdentifyReply([]byte("OK"))
	if r != (IdentifyReply{}) || negotiated || err != nil {
		t.Errorf("%+v, %v, %v", r, negotiated, err)
	}
	if _, _, err := DecodeIdentifyReply([]byte("KO")); err == nil {
		t.Error("KO is a reply")
	}
}
