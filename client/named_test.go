package client_test

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/testcert"
)

// Statements 172 and 175: names with - or _, text that does not fit, flags of
// NSQ's programs.
func TestOptions_SetByName(t *testing.T) {
	var o client.Options
	for _, pair := range []string{
		"client_id,me", "hostname,here", "user-agent,test/1", "topology_region,eu", "topology_zone,a", "heartbeat-interval,5s",
		"msg_timeout,90000", "output_buffer_size,-1", "output_buffer_timeout,-1", "sample_rate,10", "snappy", "deflate,false",
		"deflate_level,3", "dial_timeout,250ms", "peer_timeout,9s", "max_msg_size,1000", "auth_secret,s,3cret", "local_addr,127.0.0.1",
		"tls_v1,true", "tls-insecure-skip-verify", "tls_min_version,tls1.3",
	} {
		if err := o.SetPair(pair); err != nil {
			t.Errorf("%s: %v", pair, err)
		}
	}
	o, err := o.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if o.ClientID != "me" || o.Hostname != "here" || o.UserAgent != "test/1" || o.TopologyRegion != "eu" || o.TopologyZone != "a" || o.AuthSecret() != "s,3cret" {
		t.Errorf("text: %+v", o)
	}
	if o.HeartbeatInterval != 5*time.Second || o.MsgTimeout != 90*time.Second || o.OutputBufferTimeout >= 0 || o.DialTimeout != 250*time.Millisecond || o.PeerTimeout != 9*time.Second {
		t.Errorf("durations: %+v", o)
	}
	if o.OutputBufferSize != -1 || o.SampleRate != 10 || !o.Snappy || o.Deflate || o.DeflateLevel != 3 || o.MaxFrameSize != 1000 {
		t.Errorf("numbers: %+v", o)
	}
	if o.LocalAddr.String() != "127.0.0.1:0" || !o.TLSConfig.InsecureSkipVerify || o.TLSConfig.MinVersion != tls.VersionTLS13 {
		t.Errorf("local address %v, TLS %+v", o.LocalAddr, o.TLSConfig)
	}
}

// Statement 172, what fails; statement 174 is one of the rows.
func TestOptions_SetRefuses(t *testing.T) {
	for pair, want := range map[string]string{
		"snapy":                      `there is no option "snapy"; did you mean snappy?`,
		"max_in_flight,9":            `there is no option "max_in_flight"`,
		"snappy,maybe":               `option snappy: want true or false, not "maybe"`,
		"sample_rate,x":              `want a number, not "x"`,
		"dial-timeout,soon":          `option dial-timeout: want a duration`,
		"local_addr,nowhere:x":       `want an IP address to dial from`,
		"local_addr,":                `want an IP address to dial from`,
		"tls_v1,x":                   `want true or false`,
		"tls_insecure_skip_verify,x": `want true or false`,
		"tls_min_version,ssl3.0":     `want tls1.0, tls1.1, tls1.2 or tls1.3, not "ssl3.0"`,
		"tls_root_ca_file,/nowhere":  `read authorities' certificates: open /nowhere`,
		"read_timeout,60s":           `not an option here: silence of two heartbeat intervals`,
		"write_timeout,1s":           `not an option here: writing never waits`,
		"tls_config,x":               `set Options.TLSConfig`,
	} {
		var o client.Options
		if err := o.SetPair(pair); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", pair, err, want)
		}
	}
}

// pems writes a CA, a certificate and its key as files.
func pems(t *testing.T) (ca, cert, key string) {
	t.Helper()
	a := testcert.New(t, "authority")
	cert, key, ca = a.Files(a.Issue("client", "client"))
	return ca, cert, key
}

// The files make a config that trusts, and vouches; what is missing is named.
func TestTLSFromFiles_ReadsAndRefuses(t *testing.T) {
	ca, cert, key := pems(t)
	c, err := client.TLSFromFiles(ca, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if c.RootCAs == nil || len(c.Certificates) != 1 || c.MinVersion != tls.VersionTLS12 {
		t.Errorf("config %+v", c)
	}
	if c, err := client.TLSFromFiles("", "", ""); err != nil || c.RootCAs != nil || len(c.Certificates) != 0 {
		t.Errorf("without files: %+v, %v", c, err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, pem.EncodeToMemory(&pem.Block{Type: "NOTHING"}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ ca, cert, key, want string }{
		{empty, "", "", "there is none in it"},
		{ca, cert, "", "its key is missing"},
		{ca, "", key, "its certificate is missing"},
		{ca, key, cert, "read certificate "},
	} {
		if _, err := client.TLSFromFiles(row.ca, row.cert, row.key); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%v: error %v, want %q", row, err, row.want)
		}
	}
}

// By name the two halves of a certificate come one after the other; one alone is
// no use. A false tls_v1 takes back what came before it, and nobody else's config
// is changed.
func TestOptions_SetTLSByName(t *testing.T) {
	ca, cert, key := pems(t)
	mine := &tls.Config{ServerName: "nsqd"}
	o := client.Options{TLSConfig: mine}
	for _, pair := range []string{"tls_root_ca_file," + ca, "tls_key," + key, "tls_cert," + cert} {
		if err := o.SetPair(pair); err != nil {
			t.Fatalf("%s: %v", pair, err)
		}
	}
	if c := o.TLSConfig; c.RootCAs == nil || len(c.Certificates) != 1 || c.ServerName != "nsqd" || mine.RootCAs != nil {
		t.Errorf("config %+v, the one before %+v", c, mine)
	}
	if err := o.SetPair("tls_v1,false"); err != nil || o.TLSConfig != nil {
		t.Errorf("tls_v1,false: %v, %+v", err, o.TLSConfig)
	}
	half := client.Options{}
	if err := half.SetPair("tls_cert," + cert); err != nil {
		t.Fatal(err)
	}
	if _, err := half.WithDefaults(); err == nil || !strings.Contains(err.Error(), "want both or none") {
		t.Errorf("a certificate without its key: %v", err)
	}
}
