package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/reader"
)

// errTLSOption says that an option is about TLS, which takes several of them.
var errTLSOption = errors.New("about TLS")

func tlsOption(*reader.Options, *client.Options, string) error { return errTLSOption }

// tlsFiles are the options about TLS.
type tlsFiles struct {
	on, unverified bool
	ca, cert, key  string
}

// set takes one of them. Any but a false one turns TLS on.
func (f *tlsFiles) set(name, value string) (err error) {
	switch name {
	case "tls_v1":
		f.on = true
		if value != "" {
			f.on, err = strconv.ParseBool(value)
		}
		return err
	case "tls_insecure_skip_verify":
		f.unverified = true
		if value != "" {
			f.unverified, err = strconv.ParseBool(value)
		}
	case "tls_root_ca_file":
		f.ca = value
	case "tls_cert":
		f.cert = value
	case "tls_key":
		f.key = value
	}
	f.on = true
	return err
}

// apply makes them the client's.
func (f *tlsFiles) apply(o *client.Options) error {
	if !f.on {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.unverified}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return fmt.Errorf("tls_root_ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls_root_ca_file %s: no certificate in it", f.ca)
		}
	}
	if f.cert != "" || f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return fmt.Errorf("tls_cert, tls_key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	o.TLSConfig = config
	return nil
}
