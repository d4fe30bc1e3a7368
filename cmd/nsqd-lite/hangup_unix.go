//go:build !windows

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// onHangup calls f for each SIGHUP, until stop is called.
func onHangup(f func()) (stop func()) { return onSignal(syscall.SIGHUP, f) }

// onSignal calls f for each signal s, until stop is called.
func onSignal(s os.Signal, f func()) (stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, s)
	go func() {
		for range c {
			f()
		}
	}()
	return func() {
		signal.Stop(c)
		close(c)
	}
}

// onDump calls f for each SIGUSR1, until stop is called.
func onDump(f func()) (stop func()) { return onSignal(syscall.SIGUSR1, f) }
