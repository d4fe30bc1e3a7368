package client

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/nsqloop/nsqloop/internal/option"
)

// named are the options of connections by the names that NSQ's other clients
// give them.
var named = option.Table[Options]{
	"client_id":             option.Text(func(o *Options) *string { return &o.ClientID }),
	"hostname":              option.Text(func(o *Options) *string { return &o.Hostname }),
	"user_agent":            option.Text(func(o *Options) *string { return &o.UserAgent }),
	"topology_region":       option.Text(func(o *Options) *string { return &o.TopologyRegion }),
	"topology_zone":         option.Text(func(o *Options) *string { return &o.TopologyZone }),
	"heartbeat_interval":    option.Duration(func(o *Options) *time.Duration { return &o.HeartbeatInterval }),
	"msg_timeout":           option.Duration(func(o *Options) *time.Duration { return &o.MsgTimeout }),
	"output_buffer_size":    option.Number(func(o *Options) *int { return &o.OutputBufferSize }),
	"output_buffer_timeout": option.Duration(func(o *Options) *time.Duration { return &o.OutputBufferTimeout }),
	"sample_rate":           option.Number(func(o *Options) *int { return &o.SampleRate }),
	"snappy":                option.Bool(func(o *Options) *bool { return &o.Snappy }),
	"checksum":              option.Bool(func(o *Options) *bool { return &o.Checksum }),
	"deflate":               option.Bool(func(o *Options) *bool { return &o.Deflate }),
	"deflate_level":         option.Number(func(o *Options) *int { return &o.DeflateLevel }),
	"dial_timeout":          option.Duration(func(o *Options) *time.Duration { return &o.DialTimeout }),
	"peer_timeout":          option.Duration(func(o *Options) *time.Duration { return &o.PeerTimeout }),
	"max_msg_size":          option.Number(func(o *Options) *int { return &o.MaxFrameSize }),
	"auth_secret":           setSecret,
	"local_addr":            setLocalAddr,

	"tls_v1":                   setTLS,
	"tls_root_ca_file":         setTLSWith(trust),
	"tls_insecure_skip_verify": setUnverified,
	"tls_min_version":          setTLSVersion,
	"tls_cert":                 setTLSCert,
	"tls_key":                  setTLSKey,

	"tls_config":    option.Refuse[Options]("set Options.TLSConfig, or the files with tls_root_ca_file, tls_cert and tls_key"),
	"read_timeout":  option.Refuse[Options]("silence of two heartbeat intervals ends a connection, so set heartbeat_interval"),
	"write_timeout": option.Refuse[Options]("writing never waits here; a peer that does not read runs into loop.Options.OutputLimit"),
}

// OptionNames are the names that Options.Set knows, in order.
func OptionNames() []string { return named.Names() }

// Set sets an option by the name that NSQ's other clients give it, as in
// "heartbeat_interval" or "tls-root-ca-file"; - and _ are the same. value is
// text: durations have a unit or are milliseconds, and "" is true where that is
// possible. It is for flags and configuration files; a program sets the fields.
// The error says what is wrong with the value, or names the option that may be
// meant. Limits are checked later, with all other options.
//
// Any option about TLS but a false tls_v1 turns TLS on, and files are read at
// once; tls_cert and tls_key count when both are given.
func (o *Options) Set(name, value string) error {
	known, err := named.Set(o, name, value)
	if !known {
		return option.Unknown(name, named.Names())
	}
	return err
}

// SetPair is Set for "name,value", or "name" for a value that is true or false,
// as flags of NSQ's programs have it. It suits flag.Func.
func (o *Options) SetPair(text string) error { return o.Set(option.Pair(text)) }

// halves are the files of a certificate and of its key, which are of use
// together.
type halves struct{ cert, key string }

func setSecret(o *Options, v string) error {
	o.AuthSecret = func() string { return v }
	return nil
}

// setLocalAddr takes an IP address, with or without a port.
func setLocalAddr(o *Options, v string) error {
	at := v
	if net.ParseIP(v) != nil {
		at = net.JoinHostPort(v, "0")
	}
	addr, err := net.ResolveTCPAddr("tcp", at)
	if err != nil || addr.IP == nil {
		return fmt.Errorf("want an IP address to dial from, with or without a port, not %q", v)
	}
	o.LocalAddr = addr
	return nil
}

func setTLS(o *Options, v string) error {
	on, err := option.ParseBool(v)
	switch {
	case err != nil:
		return err
	case on:
		o.changeTLS()
	default:
		o.TLSConfig = nil
	}
	return nil
}

// changeTLS turns TLS on, and returns the config, which nobody else has.
func (o *Options) changeTLS() *tls.Config {
	if o.TLSConfig == nil {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	} else {
		o.TLSConfig = o.TLSConfig.Clone()
	}
	return o.TLSConfig
}

func setTLSWith(set func(*tls.Config, string) error) func(*Options, string) error {
	return func(o *Options, v string) error { return set(o.changeTLS(), v) }
}

func setUnverified(o *Options, v string) error {
	on, err := option.ParseBool(v)
	if err == nil {
		o.changeTLS().InsecureSkipVerify = on
	}
	return err
}

func setTLSVersion(o *Options, v string) error {
	versions := map[string]uint16{"tls1.0": tls.VersionTLS10, "tls1.1": tls.VersionTLS11, "tls1.2": tls.VersionTLS12, "tls1.3": tls.VersionTLS13}
	least, known := versions[v]
	if !known {
		return fmt.Errorf("want tls1.0, tls1.1, tls1.2 or tls1.3, not %q", v)
	}
	o.changeTLS().MinVersion = least
	return nil
}

func setTLSCert(o *Options, v string) error {
	o.half.cert = v
	return o.joinHalves()
}

func setTLSKey(o *Options, v string) error {
	o.half.key = v
	return o.joinHalves()
}

func (o *Options) joinHalves() error {
	c := o.changeTLS()
	if o.half.cert == "" || o.half.key == "" {
		return nil
	}
	return vouch(c, o.half.cert, o.half.key)
}
