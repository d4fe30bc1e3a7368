package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// httpLimits bound what a peer can hold without having said anything useful.
type httpLimits struct {
	header      time.Duration // from the first byte to the end of the header
	body        time.Duration // from there to the end of the body
	write       time.Duration // from the end of the header to the end of the reply
	idle        time.Duration // between requests of one connection
	headerBytes int
	bodyBytes   int64 // of all bodies that are being read or stored
	conns       int
}

var defaultHTTPLimits = httpLimits{
	header:      10 * time.Second,
	body:        30 * time.Second,
	write:       90 * time.Second, // a CPU profile of 60 s fits
	idle:        2 * time.Minute,
	headerBytes: 16 << 10,
	bodyBytes:   256 << 20,
	conns:       4096,
}

// httpServer serves the HTTP routes of one Server or Lookupd. Its handlers run
// on net/http's goroutines; each crosses to the loop once,
// or waits there for some turns.
type httpServer struct {
	s      *Server // nil for a Lookupd
	l      loop.Loop
	log    *slog.Logger
	title  string // what it is, for the list of its routes
	remote bool   // profiles are shown to other machines too
	mux    *http.ServeMux
	routes []*route
	lost   route // counts what no route took
	guard  *guard
	refuse http.HandlerFunc // answers everything; nil: the routes do
	tls    *tls.Config      // nil: plain HTTP

	limits    httpLimits
	budget    *budget
	origins   *origins
	relieve   func() // has the loop make room in the budget; nil: it cannot
	bodyBytes atomic.Int64
	peeks     atomic.Int32  // requests that are looking at messages
	heavy     chan struct{} // has room for those that make a large reply: they run beside the loop

	srv      *http.Server
	listener net.Listener
}

// PollHeader is a header of requests by programs that look again and again, as
// an admin page does. Of those that only show figures and names, the access log
// tells at the level of debugging.
const PollHeader = "X-Nsq-Poll"

// route is one line of the HTTP API.
type route struct {
	method, path string
	help         string // one line for GET /
	quiet        bool   // not in the access log, as in nsqd
	heavy        bool   // its reply may be of any size
	needs        access // with Options.Strict
	scope        scope  // of what it needs
	polled       bool   // programs ask for it again and again; see PollHeader
	run          func(w http.ResponseWriter, r *http.Request) error

	codes [len(countedCodes) + 1]atomic.Uint64 // replies by status; the last counts all others
}

// countedCodes are the statuses that a route can answer with.
var countedCodes = [...]int{200, 301, 307, 400, 401, 403, 404, 405, 408, 413, 500, 503}

// newHTTPServer makes the routes of s, guarded as a listener bound to addr
// needs it.
func newHTTPServer(s *Server, addr net.Addr) *httpServer {
	h := &httpServer{
		s: s, l: s.l, log: s.log, remote: s.o.DebugRemote,
		title:  fmt.Sprintf("nsqd-lite %s, speaking as nsqd %s", s.o.LiteVersion, Version),
		guard:  newGuard(addr, s.o.BroadcastAddress),
		budget: &s.budget, origins: &s.origins, relieve: s.relieve,
	}
	h.guard.strict = s.o.Strict
	h.handle(h.statsRoutes(), healthRoutes(s.call, s.checks), h.publishRoutes(), h.adminRoutes(), h.configRoutes(), h.peekRoutes(), h.retainRoutes(), h.tapRoutes(), h.liteRoutes(), h.metricsRoutes(), h.debugRoutes())
	return h
}

// handle makes routes those of h.
func (h *httpServer) handle(routes ...[]*route) {
	h.mux, h.limits, h.heavy = http.NewServeMux(), defaultHTTPLimits, make(chan struct{}, heavyAtOnce())
	h.routes = slices.Concat(routes...)
	for _, rt := range h.routes {
		h.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) {
			h.serve(rt, w, r)
		})
	}
	h.lost.run, h.lost.needs = h.unrouted, accessNone
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { h.serve(&h.lost, w, r) })
}

// Handler returns the HTTP routes of s, for a program that serves them itself.
func (s *Server) Handler() http.Handler { return newHTTPServer(s, nil) }

// listenHTTP serves the routes of s on addr ("host:port", or the path of a
// unix socket) until shutdown or close.
func (s *Server) listenHTTP(addr string) (*httpServer, error) {
	return s.listenHTTPWith(addr, limitsFor(s.o.HTTPMaxConns))
}

// limitsFor are the limits of a server for so many connections, 0 for the
// default.
func limitsFor(conns int) httpLimits {
	limits := defaultHTTPLimits
	if conns > 0 {
		limits.conns = conns
	}
	return limits
}

func (s *Server) listenHTTPWith(addr string, limits httpLimits) (*httpServer, error) {
	l, err := loop.ListenStream(addr)
	if err != nil {
		return nil, err
	}
	h := newHTTPServer(s, l.Addr())
	if s.tlsOnly() {
		h.refuse = s.refusePlain()
	}
	h.serveOn(l, limits)
	return h, nil
}

// serveOn serves the routes on l until shutdown or close.
func (h *httpServer) serveOn(l net.Listener, limits httpLimits) {
	h.limits = limits
	h.listener = &cappedListener{Listener: loop.KeepReserve(l, h.log), max: int64(limits.conns), budget: h.budget}
	h.srv = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: limits.header,
		ReadTimeout:       limits.header + limits.body,
		WriteTimeout:      limits.write,
		IdleTimeout:       limits.idle,
		MaxHeaderBytes:    limits.headerBytes,
		ErrorLog:          log.New(&serveLog{h}, "", 0),
	}
	// net/http wants a goroutine of its own for the accept loop, and makes one
	// per connection. They share nothing with the loop but what they post.
	go func() {
		if err := h.srv.Serve(overTLS(h.listener, h.tls)); err != nil && !errors.Is(err, http.ErrServerClosed) {
			h.log.Error("HTTP: serving stopped", "err", err)
		}
	}()
}

// addr is the address that is bound; nil when HTTP is off.
func (h *httpServer) addr() net.Addr {
	if h == nil || h.listener == nil {
		return nil
	}
	return h.listener.Addr()
}

// shutdown stops accepting and waits for the requests that are running. They
// may be waiting for the loop: so it must be called off the loop, and before
// the loop stops.
func (h *httpServer) shutdown(ctx context.Context) error {
	if h == nil {
		return nil
	}
	defer h.shut()
	return h.srv.Shutdown(ctx)
}

// close stops at once; requests that are running lose their connection.
func (h *httpServer) close() error {
	if h == nil {
		return nil
	}
	defer h.shut()
	return h.srv.Close()
}

// shut closes the listener, which srv closes only if it has got so far as to serve it.
func (h *httpServer) shut() {
	if h.listener != nil {
		_ = h.listener.Close() // mostly it is closed already
	}
}

// ServeHTTP finds the route of r.
func (h *httpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.refuse != nil {
		h.refuse(w, r)
		return
	}
	// The mux would answer HEAD with GET's route, and redirect in its own way.
	if r.Method == http.MethodHead || r.Method == http.MethodOptions || canonical(r.URL.Path) != r.URL.Path {
		h.serve(&h.lost, w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// serve runs one route: guard, handler, refusal as JSON, count, log.
func (h *httpServer) serve(rt *route, w http.ResponseWriter, r *http.Request) {
	sw := &statusWriter{ResponseWriter: w}
	logDone := h.logStart(rt, r)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			h.log.Error("HTTP: handler panicked", "route", rt.method+" "+rt.path, "panic", fmt.Sprint(p))
			sw.fail(refuse(http.StatusInternalServerError, "INTERNAL_ERROR",
				"The request ran into a bug of the server; its log says more."))
		}
		rt.count(sw.status)
		logDone(sw.status)
	}()
	err := h.letIn(rt, r)
	switch {
	case err != nil:
	case rt.heavy:
		err = h.runHeavy(rt, sw, r)
	default:
		err = rt.run(sw, r)
	}
	if err != nil {
		sw.fail(err)
	}
}

// letIn says whether r may do what its route does, before that looks at it.
func (h *httpServer) letIn(rt *route, r *http.Request) error {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodDelete:
		if err := h.guard.checkMutation(r); err != nil {
			return err
		}
	}
	if rt.needs == accessNone {
		return nil
	}
	if err := h.guard.checkHost(r); err != nil {
		return err
	}
	return h.admit(rt, r)
}

// logStart notes when r came and returns what writes its line of the access
// log: "<status> <METHOD> <uri> (<remote>) <elapsed>". Both moments are turns
// of the loop, which owns the clock; the posts are not waited for.
func (h *httpServer) logStart(rt *route, r *http.Request) (done func(status int)) {
	level := slog.LevelInfo
	if rt.polled && r.Header.Get(PollHeader) != "" {
		level = slog.LevelDebug
	}
	if rt.quiet || !h.log.Enabled(r.Context(), level) {
		return func(int) {}
	}
	var start time.Time // written and read on the loop
	posted := h.l.Post(func() { start = h.l.Now() })
	method, uri, remote := printable(r.Method, 16), printable(r.RequestURI, 1024), r.RemoteAddr
	return func(status int) {
		if posted != nil {
			return // the loop had stopped; so has the log
		}
		_ = h.l.Post(func() {
			h.origins.tell(h.origins.of(remote), h.log, level,
				fmt.Sprintf("%d %s %s (%s) %s", status, method, uri, remote, h.l.Now().Sub(start)))
		})
	}
}

// serveLog is what net/http has to say about connections: a failed TLS
// handshake most of all. Nobody's address goes with it, so that all of them
// share one account.
type serveLog struct{ h *httpServer }

// Write is io.Writer's. It gets one line.
func (s *serveLog) Write(p []byte) (int, error) {
	h, text := s.h, printable(strings.TrimSpace(string(p)), 1024)
	_ = h.l.Post(func() { // a loop that has stopped has no log
		h.origins.tell(&h.origins.rest, h.log, slog.LevelWarn, "HTTP: "+text)
	})
	return len(p), nil
}

// count adds one reply to the route's figures.
func (rt *route) count(status int) {
	i := slices.Index(countedCodes[:], status)
	if i < 0 {
		i = len(countedCodes)
	}
	rt.codes[i].Add(1)
}

// unrouted answers what no route took: a redirect to the path that was meant,
// the methods that the path has, or 404.
func (h *httpServer) unrouted(w http.ResponseWriter, r *http.Request) error {
	p := r.URL.Path
	if allowed := h.allowed(p); len(allowed) > 0 && canonical(p) == p {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusOK)
			return nil
		}
		return refuse(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED",
			"This path takes "+strings.Join(allowed, ", ")+"; curl -X sets the method.")
	}
	if meant := canonical(p); meant != p && slices.Contains(h.allowed(meant), r.Method) {
		status := http.StatusTemporaryRedirect
		if r.Method == http.MethodGet {
			status = http.StatusMovedPermanently
		}
		to := url.URL{Path: meant, RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, to.String(), status)
		return nil
	}
	if p == "/" && r.Method == http.MethodGet {
		return h.index(w, r)
	}
	return refuse(http.StatusNotFound, "NOT_FOUND", "There is no such path; GET / lists those that exist.")
}

// allowed returns the methods that have a route for p, sorted, OPTIONS among
// them; nil when there is none.
func (h *httpServer) allowed(p string) []string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
		probe := &http.Request{Method: m, URL: &url.URL{Path: p}}
		if _, pattern := h.mux.Handler(probe); strings.HasPrefix(pattern, m+" ") {
			methods = append(methods, m)
		}
	}
	if methods == nil {
		return nil
	}
	methods = append(methods, http.MethodOptions)
	slices.Sort(methods)
	return methods
}

// canonical is the path that p means: no empty or dotted segment, no slash at
// the end, lower case up to the name of an option. It does
// not allocate when p is canonical.
func canonical(p string) string {
	if p == pprofPath {
		return p
	}
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	c := path.Clean(p)
	low := strings.ToLower(c)
	switch {
	case strings.HasPrefix(c, configPath):
		return c
	case strings.HasPrefix(low, configPath):
		return low[:len(configPath)] + c[len(configPath):]
	case low+"/" == pprofPath:
		return pprofPath
	}
	return low
}

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter
	status int // 0: nothing sent yet
}

// WriteHeader is http.ResponseWriter's.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write is http.ResponseWriter's.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// fail answers with err, unless an answer has begun.
func (w *statusWriter) fail(err error) {
	if w.status != 0 {
		return
	}
	var e *httpError
	if !errors.As(err, &e) {
		e = &httpError{http.StatusInternalServerError, "INTERNAL_ERROR", err.Error()}
	}
	replyError(w, e)
}
