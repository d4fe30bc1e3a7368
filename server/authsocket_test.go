package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/internal/wire"
)

func TestAuth_InsideTLS(t *testing.T) { // 280
	ca := testcert.New(t, "authority")
	cert := ca.Issue("carol", "127.0.0.1")
	certFile, keyFile, caFile := ca.Files(cert)
	asked := make(chan string, 1)
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RawQuery
		_, _ = io.WriteString(w, everything)
	}))
	h.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	h.StartTLS()
	defer h.Close()
	s := startReal(t, Options{
		TLSCert: certFile, TLSKey: keyFile, TLSRootCAFile: caFile, TLSClientAuthPolicy: TLSRequireCert,
		AuthHTTPAddresses: []string{h.URL},
	})
	c := dialRaw(t, s.TCPAddr().String(), wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true,"tls_v1":true}`)))
	if _, data, err := c.frame(); err != nil || !strings.Contains(string(data), `"tls_v1":true`) {
		t.Fatalf("IDENTIFY is answered with %q, %v", data, err)
	}
	inside := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}})
	c = &raw{inside, bufio.NewReader(inside)}
	if _, err := inside.Write(wire.AppendAuth(nil, "s")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"OK", annsReply} {
		if _, data, err := c.frame(); err != nil || string(data) != want {
			t.Fatalf("received %q, %v, want %s", data, err, want)
		}
	}
	if got, want := <-asked, "common_name=carol&remote_ip=127.0.0.1&secret=s&tls=true"; got != want {
		t.Errorf("asked with %s, want %s", got, want)
	}
}

func TestAuth_OnRealSockets(t *testing.T) {
	asked := make(chan string, 4)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RequestURI()
		if r.FormValue("secret") != "right" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, everything)
	}))
	defer h.Close()
	// Nobody listens on the first one any more.
	gone := httptest.NewServer(nil)
	gone.Close()
	s := startReal(t, Options{AuthHTTPAddresses: []string{gone.Listener.Addr().String(), h.Listener.Addr().String()}})
	c := dialRaw(t, s.TCPAddr().String(), append(wire.AppendAuth(nil, "right"), "PUB t\n\x00\x00\x00\x01x"...))
	for _, want := range []string{annsReply, "OK"} {
		if _, data, err := c.frame(); err != nil || string(data) != want {
			t.Fatalf("received %q, %v, want %s", data, err, want)
		}
	}
	if got, want := <-asked, "/auth?common_name=&remote_ip=127.0.0.1&secret=right&tls=false"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	c = dialRaw(t, s.TCPAddr().String(), wire.AppendAuth(nil, "wrong"))
	if _, data, err := c.frame(); err != nil || string(data) != "E_AUTH_FAILED AUTH failed" {
		t.Fatalf("received %q, %v", data, err)
	}
	if _, _, err := c.frame(); !errors.Is(err, io.EOF) {
		t.Errorf("then %v, want the end", err)
	}
}
