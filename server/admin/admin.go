package admin

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server"
)

// ErrClosed is the error of what comes after the end.
var ErrClosed = errors.New("admin closed")

// Admin is the admin page of a cluster. Its exported methods may be called from
// any goroutine, Close and Shutdown not on the loop.
type Admin struct {
	l       loop.Loop
	o       Options
	log     *slog.Logger
	up      *upstream
	cluster *cluster
	mux     *http.ServeMux
	guard   func(*http.Request) error
	files   *files
	via     string // this machine's name, for notifications

	ctx    context.Context // of requests that nobody waits for
	cancel context.CancelFunc

	view    atomic.Pointer[view] // the newest; never nil
	streams atomic.Int32         // event streams that are open
	watched atomic.Int32         // seconds for which somebody polls

	// These belong to the loop.
	poller    poller
	notifying int
	stopped   bool

	release  func()
	listener net.Listener
	srv      *http.Server
	engine   *loop.Engine // made by Start; else nil
}

// route is one line of the HTTP API.
type route struct {
	method, path string
	run          func(w http.ResponseWriter, r *http.Request) error
}

// Start makes an Admin on a loop of its own.
func Start(o Options) (*Admin, error) {
	e, err := loop.New(loop.Options{Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	if err := e.Start(); err != nil {
		return nil, err
	}
	a, err := New(e, o)
	if err != nil {
		_ = e.Close() // the first error says what is wrong
		return nil, err
	}
	a.engine = e
	return a, nil
}

// New makes an Admin on l and listens. It does not wait for l, which need not
// run yet. When l stops, so does the Admin.
func New(l loop.Loop, o Options) (*Admin, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	up := newUpstream(&o)
	a := &Admin{l: l, o: o, log: o.Logger, up: up, cluster: newCluster(&o, up), files: newFiles(o.BasePath)}
	a.via, _ = os.Hostname() // without one, notifications do not say where they are from
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.view.Store(newView())
	a.routes()
	var addr net.Addr
	if o.HTTPAddress != "" {
		if a.listener, err = loop.ListenStream(o.HTTPAddress); err != nil {
			return nil, fmt.Errorf("listen on %s for the admin page: %w", o.HTTPAddress, err)
		}
		addr = a.listener.Addr()
	}
	a.guard = server.Guard(addr, o.Hosts...)
	a.release = l.OnStop(a.stop)
	if err := l.Post(a.begin); err != nil {
		if a.listener != nil {
			_ = a.listener.Close() // the first error says what is wrong
		}
		return nil, fmt.Errorf("start the admin page: %w", err)
	}
	if a.listener != nil {
		a.serve()
	}
	return a, nil
}

// Limits of the HTTP server.
const (
	headerTime = 10 * time.Second
	readTime   = 40 * time.Second
	writeTime  = 90 * time.Second
	idleTime   = 2 * time.Minute
	headerMost = 16 << 10
)

// serve answers requests until the end.
func (a *Admin) serve() {
	a.srv = &http.Server{
		Handler: a, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: headerMost, ErrorLog: log.New(&serveLog{a}, "", 0),
	}
	// net/http wants a goroutine of its own for the accept loop.
	go func() {
		if err := a.srv.Serve(a.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("ADMIN: serving stopped", "err", err)
		}
	}()
}

// serveLog is what net/http has to say about connections.
type serveLog struct{ a *Admin }

// Write is io.Writer's. It gets one line.
func (s *serveLog) Write(p []byte) (int, error) {
	s.a.log.Debug("ADMIN: HTTP", "said", clipped(string(p), 1024))
	return len(p), nil
}

// Handler returns everything that is served, under Options.BasePath, for a
// program that serves it itself.
func (a *Admin) Handler() http.Handler { return a }

// Addr is the address that is bound; nil when there is none.
func (a *Admin) Addr() net.Addr {
	if a.listener == nil {
		return nil
	}
	return a.listener.Addr()
}

// Shutdown stops listening, waits until ctx ends for requests that are running,
// and stops the loop if Start made it.
func (a *Admin) Shutdown(ctx context.Context) error {
	err := a.call(a.stop)
	if errors.Is(err, ErrClosed) {
		err = nil
	}
	if a.srv != nil {
		if late := a.srv.Shutdown(ctx); late != nil {
			err = errors.Join(err, fmt.Errorf("shut down the admin page: %w", late), a.srv.Close())
		}
	}
	if a.engine != nil {
		err = errors.Join(err, a.engine.Shutdown(ctx))
	}
	return err
}

// Close stops without waiting.
func (a *Admin) Close() error {
	err := a.call(a.stop)
	if errors.Is(err, ErrClosed) {
		err = nil
	}
	if a.srv != nil {
		err = errors.Join(err, a.srv.Close())
	}
	if a.engine != nil {
		err = errors.Join(err, a.engine.Close())
	}
	return err
}

// call runs f on the loop and waits for it.
func (a *Admin) call(f func()) error {
	ran := make(chan struct{})
	err := a.l.Post(func() {
		f()
		close(ran)
	})
	if err != nil {
		return ErrClosed
	}
	<-ran
	return nil
}

// stop ends what nobody waits for, and the streams. Later calls do nothing.
func (a *Admin) stop() {
	if a.stopped {
		return
	}
	a.stopped = true
	a.cancel()
	a.poller.stop()
	a.up.close()
}

// routes makes the mux.
func (a *Admin) routes() {
	a.mux = http.NewServeMux()
	for _, rt := range slices.Concat(a.readRoutes(), a.actRoutes(), a.configRoutes(), a.graphiteRoutes(), a.pageRoutes()) {
		a.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { a.run(rt, w, r) })
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		replyError(w, r, &apiError{http.StatusNotFound, "NOT_FOUND", "There is no such path, or not with that method."})
	})
}

// ServeHTTP is http.Handler's.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	base := a.o.BasePath
	switch {
	case base == "/":
		a.mux.ServeHTTP(w, r)
	case r.URL.Path+"/" == base || r.URL.Path == "/":
		http.Redirect(w, r, base, http.StatusMovedPermanently)
	default:
		http.StripPrefix(base[:len(base)-1], a.mux).ServeHTTP(w, r)
	}
}

// secure has a browser do nothing but what the page needs.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "+
		"base-uri 'self'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// run runs one route: who may, handler, refusal.
func (a *Admin) run(rt route, w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			a.log.Error("ADMIN: handler panicked", "route", rt.method+" "+rt.path, "panic", fmt.Sprint(p))
			replyError(w, r, &apiError{http.StatusInternalServerError, "INTERNAL_ERROR", "The request ran into a bug; the log says more."})
		}
	}()
	err := a.may(rt, r)
	if err == nil {
		err = rt.run(w, r)
	}
	if err != nil && r.Context().Err() == nil {
		status := replyError(w, r, err)
		if status >= http.StatusInternalServerError {
			a.log.Warn("ADMIN: request failed", "method", r.Method, "path", clipped(r.URL.Path, 256), "status", status, "err", clipped(err.Error(), 1024))
		}
	}
}

// may says whether a request is let in.
func (a *Admin) may(rt route, r *http.Request) error {
	if rt.method == http.MethodGet {
		return nil
	}
	if err := a.guard(r); err != nil {
		return &apiError{http.StatusForbidden, "FORBIDDEN", err.Error()}
	}
	if rt.path == configPath && !a.o.ReadOnly {
		return nil // nsqadmin has another rule for those: where they come from
	}
	return a.mayChange(r)
}

// mayChange says whether whoever makes a request may change something.
func (a *Admin) mayChange(r *http.Request) error {
	if a.o.ReadOnly {
		return &apiError{http.StatusForbidden, "FORBIDDEN", "This page only shows; it was started with --read-only."}
	}
	if len(a.o.AdminUsers) > 0 && !slices.Contains(a.o.AdminUsers, r.Header.Get(a.o.ACLHTTPHeader)) {
		return &apiError{http.StatusForbidden, "FORBIDDEN", "Only those named by --admin-user may change something; the proxy in front says who you are, in the header " + a.o.ACLHTTPHeader + "."}
	}
	return nil
}

// sortedSet sorts names and leaves each once.
func sortedSet(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
