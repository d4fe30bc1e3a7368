// Package gencert makes the certificates of a small installation: an authority,
// one for servers and one for clients.
package gencert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files are the names of what Write writes, each <name>.pem and <name>-key.pem.
var Files = []string{"ca", "server", "client"}

// Write makes an authority and what it signs in dir, which exists. hosts are
// the names and addresses of servers. No file is overwritten: that a file is
// there is an error, and nothing is written then.
func Write(dir string, hosts []string, valid time.Duration) error {
	for _, name := range Files {
		for _, path := range []string{CertPath(dir, name), KeyPath(dir, name)} {
			if _, err := os.Lstat(path); err == nil {
				return fmt.Errorf("%s exists: name another directory, or remove it", path)
			}
		}
	}
	ca, err := issue(nil, "nsqd-lite authority", nil, valid)
	if err != nil {
		return err
	}
	server, err := issue(ca, "nsqd-lite server", hosts, valid)
	if err != nil {
		return err
	}
	client, err := issue(ca, "nsqd-lite client", nil, valid)
	if err != nil {
		return err
	}
	for i, p := range []*pair{ca, server, client} {
		if err := p.write(dir, Files[i]); err != nil {
			return err
		}
	}
	return nil
}

// KeyPath is where the key of one of Files is.
func KeyPath(dir, name string) string { return filepath.Join(dir, name+"-key.pem") }

// CertPath is where the certificate of one of Files is.
func CertPath(dir, name string) string { return filepath.Join(dir, name+".pem") }

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	raw  []byte
	key  *ecdsa.PrivateKey
}

// issue makes a certificate that by signs, or an authority when by is nil.
func issue(by *pair, name string, hosts []string, valid time.Duration) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(valid), // clocks differ
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	p := &pair{cert: c, key: key}
	parent, signer := c, key
	if by == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	} else {
		parent, signer = by.cert, by.key
	}
	p.raw, err = x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	return p, err
}

// write writes both files, which only their owner can read.
func (p *pair) write(dir, name string) error {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return err
	}
	for path, block := range map[string]*pem.Block{
		CertPath(dir, name): {Type: "CERTIFICATE", Bytes: p.raw},
		KeyPath(dir, name):  {Type: "PRIVATE KEY", Bytes: key},
	} {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if _, err := f.Write(pem.EncodeToMemory(block)); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
