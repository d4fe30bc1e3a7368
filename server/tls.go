package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLSRequired says who must use TLS.
type TLSRequired string

// What TLSRequired can be. The zero value is TLSRequiredAll when there is a
// TLSClientAuthPolicy, as in nsqd, and TLSNotRequired otherwise.
const (
	TLSNotRequired TLSRequired = "false"     // nobody
	TLSRequiredTCP TLSRequired = "tcp-https" // clients, but not users of HTTP
	TLSRequiredAll TLSRequired = "true"      // everybody
)

// The TLS client policies.
const (
	TLSRequireCert   = "require"        // any certificate
	TLSRequireVerify = "require-verify" // one that TLSRootCAFile vouches for
)

// tlsDefaults fills in what has not been said about TLS, and checks the rest.
func (o *Options) tlsDefaults() error {
	fill(&o.TLSMinVersion, tls.VersionTLS12)
	if o.TLSRequired == "" {
		o.TLSRequired = TLSNotRequired
		if o.TLSClientAuthPolicy != "" {
			o.TLSRequired = TLSRequiredAll
		}
	}
	switch o.TLSRequired {
	case TLSNotRequired, TLSRequiredTCP, TLSRequiredAll:
	default:
		return fmt.Errorf("server options: TLSRequired is %q; it must be %s, %s or %s", o.TLSRequired, TLSNotRequired, TLSRequiredTCP, TLSRequiredAll)
	}
	switch o.TLSClientAuthPolicy {
	case "", TLSRequireCert, TLSRequireVerify:
	default: // nsqd asks for no certificate then, which nobody can have meant
		return fmt.Errorf("server options: TLSClientAuthPolicy is %q; it must be %s, %s or empty", o.TLSClientAuthPolicy, TLSRequireCert, TLSRequireVerify)
	}
	if o.TLSMinVersion < tls.VersionTLS10 || o.TLSMinVersion > tls.VersionTLS13 {
		return fmt.Errorf("server options: TLSMinVersion is %#x; it must be that of TLS 1.0 to 1.3", o.TLSMinVersion)
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return errors.New("server options: TLSCert and TLSKey go together")
	}
	if o.TLSCert == "" && o.TLSRequired != TLSNotRequired {
		return errors.New("server options: TLS is required, but there is no TLSCert and TLSKey")
	}
	return nil
}

// newTLSConfig is what the server's ends of TLS have in common; nil without a
// certificate.
func newTLSConfig(o *Options, log *slog.Logger) (*tls.Config, error) {
	if o.TLSCert == "" {
		return nil, nil
	}
	kept := &certificate{certFile: o.TLSCert, keyFile: o.TLSKey, log: log}
	if err := kept.load(); err != nil {
		return nil, fmt.Errorf("load TLS certificate: %w", err)
	}
	cfg := &tls.Config{
		GetCertificate: kept.get,
		MinVersion:     o.TLSMinVersion,
		// Messages are whole or nothing: there is no first byte to hurry for.
		DynamicRecordSizingDisabled: true,
	}
	switch o.TLSClientAuthPolicy {
	case TLSRequireCert:
		cfg.ClientAuth = tls.RequireAnyClientCert
	case TLSRequireVerify:
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	var err error
	cfg.ClientCAs, err = rootCAs(o.TLSRootCAFile)
	return cfg, err
}

// rootCAs are the authorities in a PEM file; nil, which means those of the
// system, without one.
func rootCAs(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load TLS root certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("load TLS root certificates: %s holds none", path)
	}
	return pool, nil
}

// certificate is the server's certificate, read again when its file has
// changed, so that one that was renewed needs no restart.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	// mu guards what follows: handshakes of HTTPS run on net/http's
	// goroutines, those of clients on the loop.
	mu     sync.Mutex
	loaded *tls.Certificate
	at     [2]time.Time // when the files were changed last
}

// load reads the files.
func (c *certificate) load() error {
	at := c.changed()
	loaded, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	c.at = at // also after an error: the files are tried again when they change again
	if err != nil {
		return err
	}
	c.loaded = &loaded
	return nil
}

// changed is when the files were changed; zero when that cannot be seen.
func (c *certificate) changed() (at [2]time.Time) {
	for i, file := range [...]string{c.certFile, c.keyFile} {
		if info, err := os.Stat(file); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// get is for tls.Config. A certificate that cannot be read does not replace
// the one there is.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed() != c.at {
		if err := c.load(); err != nil {
			c.log.Error("TLS certificate has changed and cannot be read: the old one stays", "err", err)
		} else {
			c.log.Info("TLS certificate has been read again", "file", c.certFile)
		}
	}
	return c.loaded, nil
}
