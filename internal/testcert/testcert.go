// Package testcert makes certificates for tests: an authority, and what it
// vouches for. They are valid at any time, also at that of a simulated clock.
package testcert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority vouches for certificates.
type Authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
	last int64 // serial number
}

// New makes an authority called name.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{t: t, key: newKey(t, false)}
	about := a.about(name)
	about.IsCA, about.BasicConstraintsValid = true, true
	about.KeyUsage = x509.KeyUsageCertSign
	a.cert = a.sign(about, about, a.key.Public())
	return a
}

// Pool holds the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Issue makes a certificate for name, with a key of elliptic curves. It is good
// for servers and clients, and for the hosts given, names or addresses.
func (a *Authority) Issue(name string, hosts ...string) tls.Certificate {
	a.t.Helper()
	return a.issue(newKey(a.t, false), name, hosts)
}

// IssueRSA is Issue with an RSA key.
func (a *Authority) IssueRSA(name string, hosts ...string) tls.Certificate {
	a.t.Helper()
	return a.issue(newKey(a.t, true), name, hosts)
}

func (a *Authority) issue(key crypto.Signer, name string, hosts []string) tls.Certificate {
	a.t.Helper()
	about := a.about(name)
	about.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	about.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			about.IPAddresses = append(about.IPAddresses, ip)
		} else {
			about.DNSNames = append(about.DNSNames, h)
		}
	}
	leaf := a.sign(about, a.cert, key.Public())
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// about is what all certificates have in common.
func (a *Authority) about(name string) *x509.Certificate {
	a.last++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.last),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func (a *Authority) sign(about, parent *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, about, parent, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// Files writes c, its key and the authority's certificate as PEM files into a
// directory of the test, and returns their paths.
func (a *Authority) Files(c tls.Certificate) (cert, key, authority string) {
	a.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", c.Certificate[0]),
		write("key.pem", "PRIVATE KEY", der),
		write("ca.pem", "CERTIFICATE", a.cert.Raw)
}

func newKey(t testing.TB, classic bool) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if classic {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}
