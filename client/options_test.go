package client_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
)

// Statements 173, 176 and 177: defaults are valid, and what nsqd always refuses is
// refused here. The error names the field.
func TestOptions_Check(t *testing.T) {
	for _, row := range []struct {
		o    client.Options
		want string // the field, "" for valid
	}{
		{client.Options{}, ""},
		{client.Options{SampleRate: 99}, ""},
		{client.Options{Publisher: "0123456789abcdef"}, ""},
		{client.Options{Publisher: "0123456789ABCDEF"}, "Publisher"},
		{client.Options{SampleRate: 100}, "SampleRate"},
		{client.Options{SampleRate: -1}, "SampleRate"},
		{client.Options{OutputBufferSize: 64}, ""},
		{client.Options{OutputBufferSize: 63}, "OutputBufferSize"},
		{client.Options{OutputBufferSize: -1}, ""},
		{client.Options{OutputBufferTimeout: 25 * time.Millisecond}, ""},
		{client.Options{OutputBufferTimeout: 24 * time.Millisecond}, "OutputBufferTimeout"},
		{client.Options{OutputBufferTimeout: -1}, ""},
		{client.Options{HeartbeatInterval: 100 * time.Millisecond}, ""}, // the server's to refuse
		{client.Options{HeartbeatInterval: -1}, ""},
		{client.Options{HeartbeatInterval: time.Microsecond}, "HeartbeatInterval"},
		{client.Options{MsgTimeout: -1}, "MsgTimeout"},
		{client.Options{Snappy: true, Deflate: true}, "Snappy and Deflate:"},
		{client.Options{Checksum: true, Deflate: true}, "Checksum and Deflate:"},
		{client.Options{Checksum: true, Deflate: true, TLSConfig: &tls.Config{}}, ""},
		{client.Options{Checksum: true, Deflate: true, TLSConfig: &tls.Config{}, AllowPlaintext: true}, "Checksum and Deflate:"},
		{client.Options{Deflate: true, DeflateLevel: 9}, ""},
		{client.Options{Deflate: true, DeflateLevel: 100}, "DeflateLevel"},
		{client.Options{DeflateLevel: -1}, "DeflateLevel"},
		{client.Options{DialTimeout: -1}, "DialTimeout"},
		{client.Options{HandshakeTimeout: -1}, "HandshakeTimeout"},
		{client.Options{MaxFrameSize: 1}, "MaxFrameSize"},
	} {
		_, err := row.o.WithDefaults()
		switch {
		case row.want == "" && err != nil:
			t.Errorf("%+v: %v", row.o, err)
		case row.want != "" && (err == nil || !strings.HasPrefix(err.Error(), row.want+" ")):
			t.Errorf("%+v: got %v, want an error that names %s", row.o, err, row.want)
		}
	}
}

func TestOptions_Defaults(t *testing.T) {
	o, err := client.Options{Hostname: "worker-1.example"}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if o.ClientID != "worker-1" {
		t.Errorf("client id: got %q, want the host name up to the first dot", o.ClientID)
	}
	if o.HeartbeatInterval != 30*time.Second || o.DialTimeout != time.Second || o.HandshakeTimeout != 5*time.Second || o.MaxFrameSize != 16<<20 || o.DeflateLevel != 6 {
		t.Errorf("got %+v", o)
	}
	if !strings.HasPrefix(o.UserAgent, "nsqloop/") {
		t.Errorf("user agent: got %q", o.UserAgent)
	}
}
