package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/nsqloop/nsqloop/loop"
)

// listenHTTPS serves the routes of s inside TLS.
func (s *Server) listenHTTPS(addr string) (*httpServer, error) {
	l, err := loop.ListenStream(addr)
	if err != nil {
		return nil, err
	}
	h := newHTTPServer(s, l.Addr())
	cfg := s.tlsConfig.Clone() // with the real clock: it runs beside the loop
	cfg.Time = nil
	cfg.NextProtos = []string{"http/1.1"}
	h.tls = cfg
	h.serveOn(l, limitsFor(s.o.HTTPMaxConns))
	return h, nil
}

// HTTPSAddr is the address of the HTTP API inside TLS; nil when there is none.
func (s *Server) HTTPSAddr() net.Addr { return s.https.addr() }

// refusePlain answers every request with the port at which TLS is spoken, in
// nsqd's words: its own HTTP client parses them, and asks there.
func (s *Server) refusePlain() http.HandlerFunc {
	port := 0
	if a, ok := s.HTTPSAddr().(*net.TCPAddr); ok {
		port = a.Port
	}
	body := fmt.Sprintf(`{"message": "TLS_REQUIRED", "https_port": %d}`, port)
	return func(w http.ResponseWriter, _ *http.Request) {
		nsqHeader(w)
		w.Header().Set("Content-Type", typeJSON)
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, body) // a peer that has gone needs no answer
	}
}

// tlsOnly says whether plain HTTP is refused.
func (s *Server) tlsOnly() bool { return s.o.TLSRequired == TLSRequiredAll }

// overTLS is l, or l inside TLS.
func overTLS(l net.Listener, cfg *tls.Config) net.Listener {
	if cfg == nil {
		return l
	}
	return tls.NewListener(l, cfg)
}
