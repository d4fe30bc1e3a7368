package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLSFromFiles makes a value for Options.TLSConfig from PEM files. ca holds the
// authorities that may vouch for servers; "" means the system's. cert and key
// vouch for this program; both are "" where servers do not ask. The files are
// read now, once.
func TLSFromFiles(ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		if err := trust(c, ca); err != nil {
			return nil, err
		}
	}
	if cert != "" || key != "" {
		if err := vouch(c, cert, key); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// trust has c trust the authorities in the file called ca, and no others.
func trust(c *tls.Config, ca string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return fmt.Errorf("read authorities' certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("read authorities' certificates: %s: there is none in it, want PEM", ca)
	}
	c.RootCAs = pool
	return nil
}

// vouch has c show a certificate.
func vouch(c *tls.Config, cert, key string) error {
	switch {
	case key == "":
		return fmt.Errorf("certificate %s: its key is missing", cert)
	case cert == "":
		return fmt.Errorf("key %s: its certificate is missing", key)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("read certificate %s and key %s: %w", cert, key, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}
