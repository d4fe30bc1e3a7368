package main

// onHangup does nothing: Windows has no SIGHUP.
func onHangup(func()) (stop func()) { return func() {} }

// onDump does nothing: Windows has no SIGUSR1.
func onDump(func()) (stop func()) { return func() {} }
