package main

// onHangup does nothing: Windows has no SIGHUP.
func onHangup(func()) (stop func()) { return func() {} }
