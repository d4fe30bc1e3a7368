package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"strconv"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/systemd"
	"github.com/nsqloop/nsqloop/server"
)

// service is a process as its manager sees it: starting, ready, reloading,
// stopping, and alive in between.
type service struct {
	systemd.Manager
	log    *slog.Logger
	cancel context.CancelFunc // ends what tells the manager that it is alive
}

// starting tells the manager, until ready, that a start may take its time: a
// large journal is being read.
func starting(p process, log *slog.Logger) *service {
	s := &service{Manager: systemd.New(p.getenv, systemd.PID()), log: log, cancel: func() {}}
	if s.Present() {
		const more = "EXTEND_TIMEOUT_USEC=30000000"
		s.tell(more) // here, since a quick start is over before the goroutine begins
		s.cancel = s.each(10*time.Second, func() []string { return []string{more} })
	}
	return s
}

// each tells the manager what f says, now and every d, until it is cancelled.
// What is nil is not said.
func (s *service) each(d time.Duration, f func() []string) context.CancelFunc {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for ctx.Err() == nil {
			if lines := f(); lines != nil {
				s.tell(lines...)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return cancel
}

// tell tells the manager. That it cannot be told is for the log.
func (s *service) tell(lines ...string) {
	if err := s.Notify(lines...); err != nil {
		s.log.Warn("service manager", "err", err)
	}
}

// ready says that the server serves, and from now on how it is. The answer
// comes from the server's loop: one that is stuck says nothing, and is started
// anew when the manager watches.
func (s *service) ready(srv *server.Server) {
	s.cancel()
	s.tell("READY=1")
	every := s.Watchdog()
	if every == 0 {
		every = 10 * time.Second
	}
	if s.Present() {
		s.cancel = s.each(every, func() []string { return alive(srv) })
	}
}

// alive is what a server says that is well, nil from one that is not.
func alive(srv *server.Server) []string {
	stats, err := srv.Stats(server.StatsOptions{})
	if err != nil {
		return nil
	}
	var depth int64
	for _, t := range stats.Topics {
		depth += t.Depth
		for _, c := range t.Channels {
			depth += c.Depth
		}
	}
	return []string{"WATCHDOG=1", fmt.Sprintf("STATUS=%d topics, %d messages waiting", len(stats.Topics), depth)}
}

// stopping tells the manager that the stop has begun.
func (s *service) stopping() {
	s.cancel()
	s.tell("STOPPING=1")
}

// reload does what SIGHUP asks for: what the config file says of the log's level
// and of the nsqlookupds counts from now on. Certificates are read anew whenever
// their files change.
func (s *service) reload(running *settings, srv *server.Server, level *slog.LevelVar) {
	s.tell("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(systemd.Monotonic().Microseconds(), 10))
	defer s.tell("READY=1")
	if running.reload == nil {
		s.log.Info("SIGHUP: there is nothing to read again")
		return
	}
	now, err := running.reload()
	if err != nil {
		s.log.Error("SIGHUP: nothing was changed", "err", err)
		return
	}
	level.Set(slog.Level(now.level))
	if err := srv.SetLookupds(now.o.LookupdTCPAddresses); err != nil {
		s.log.Error("SIGHUP: nsqlookupds", "err", err)
		return
	}
	s.log.Info("SIGHUP: read again", "log_level", now.level.String(), "nsqlookupds", now.o.LookupdTCPAddresses)
}

// dump writes what all goroutines do to the log's output.
func dump(p process, log *slog.Logger) {
	log.Info("SIGUSR1: what all goroutines do")
	if err := pprof.Lookup("goroutine").WriteTo(p.stderr, 2); err != nil {
		log.Error("SIGUSR1", "err", err)
	}
}

// inherit lets the server listen on the sockets that the service manager has
// opened, where no flag says otherwise.
func (s *settings) inherit(p process, from sources) error {
	sockets, err := systemd.Sockets(p.getenv, systemd.PID())
	if err != nil {
		return err
	}
	for name, addr := range sockets {
		at, known := map[string]*string{"tcp": &s.o.TCPAddress, "http": &s.o.HTTPAddress, "https": &s.o.HTTPSAddress}[name]
		if !known {
			return fmt.Errorf("socket %q: want FileDescriptorName= tcp, http or https", name)
		}
		if from[name+"-address"] == "" {
			*at = addr
		}
	}
	return nil
}
