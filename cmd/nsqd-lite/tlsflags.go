package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"slices"
	"strconv"
	"strings"

	"github.com/nsqloop/nsqloop/server"
)

// tlsFlags are the flags about TLS. They are nsqd's, but for the least version.
func (s *settings) tlsFlags(fs *flag.FlagSet) {
	o := &s.o
	fs.StringVar(&o.HTTPSAddress, "https-address", "0.0.0.0:4152", "`host:port` for the HTTP API inside TLS; no effect without --tls-cert")
	fs.StringVar(&o.TLSCert, "tls-cert", "", "`path` of a certificate, PEM; with --tls-key, clients can use TLS")
	fs.StringVar(&o.TLSKey, "tls-key", "", "`path` of its key")
	fs.StringVar(&o.TLSClientAuthPolicy, "tls-client-auth-policy", "", "require (any client certificate), require-verify (one that --tls-root-ca-file vouches for) or empty")
	fs.StringVar(&o.TLSRootCAFile, "tls-root-ca-file", "", "`path` of the authorities' certificates, PEM")
	fs.Var((*tlsRequired)(&o.TLSRequired), "tls-required", "refuse what is not inside TLS: true, false or tcp-https (all but HTTP)")
	fs.Var((*tlsVersion)(&o.TLSMinVersion), "tls-min-version", "the least version: tls1.0, tls1.1, tls1.2 (the default) or tls1.3")
}

// tlsRequired is the value of --tls-required.
type tlsRequired server.TLSRequired

// Set is flag.Value's.
func (r *tlsRequired) Set(v string) error {
	if strings.EqualFold(v, string(server.TLSRequiredTCP)) {
		*r = tlsRequired(server.TLSRequiredTCP)
		return nil
	}
	on, err := strconv.ParseBool(strings.ToLower(v))
	if err != nil {
		return errors.New("must be true, false or tcp-https")
	}
	*r = tlsRequired(server.TLSNotRequired)
	if on {
		*r = tlsRequired(server.TLSRequiredAll)
	}
	return nil
}

// String is flag.Value's.
func (r *tlsRequired) String() string { return string(*r) }

// Get is flag.Getter's. The type is that of values which a config file may
// also give as a bool.
func (r *tlsRequired) Get() any { return []string{string(*r)} }

// IsBoolFlag lets a bare -tls-required mean true.
func (r *tlsRequired) IsBoolFlag() bool { return true }

// tlsVersions are the versions by name, from TLS 1.0 on.
var tlsVersions = []string{"tls1.0", "tls1.1", "tls1.2", "tls1.3"}

// tlsVersion is the value of --tls-min-version.
type tlsVersion uint16

// Set is flag.Value's.
func (v *tlsVersion) Set(name string) error {
	if name == "" {
		*v = 0 // the server's default
		return nil
	}
	i := slices.Index(tlsVersions, strings.ToLower(name))
	if i < 0 {
		return errors.New("must be " + strings.Join(tlsVersions, ", "))
	}
	*v = tlsVersion(tls.VersionTLS10 + i)
	return nil
}

// String is flag.Value's.
func (v *tlsVersion) String() string {
	if *v < tls.VersionTLS10 || *v > tls.VersionTLS13 {
		return ""
	}
	return tlsVersions[*v-tls.VersionTLS10]
}

// Get is flag.Getter's.
func (v *tlsVersion) Get() any { return v.String() }

// checkTLS finds flags about TLS that do not go together.
func (s *settings) checkTLS() error {
	o := &s.o
	switch policy := o.TLSClientAuthPolicy; policy {
	case "", server.TLSRequireCert, server.TLSRequireVerify:
	default:
		return errors.New("--tls-client-auth-policy must be require or require-verify")
	}
	required := o.TLSRequired == server.TLSRequiredAll || o.TLSRequired == server.TLSRequiredTCP
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case o.TLSCert == "" && (required || o.TLSClientAuthPolicy != ""):
		return errors.New("cannot require TLS client connections without TLS key and cert: set --tls-cert and --tls-key")
	}
	return nil
}
