// Package interop lets nsqloop talk with what others wrote: the official Go
// client's producer and consumer with our server, each half of it with the other
// half of our SDK, and our SDK with the original nsqd; the client for Node.js with
// our server, where npm can install it; the test suites of both clients, as they
// stand, with our programs; and NSQ's own nsqadmin and utilities with our servers,
// where PATH has them.
//
// It is a module of its own, so that other clients reach nobody who imports
// nsqloop. The tests of the Go client run against a server in this process, against
// the nsqd-lite program, and against the nsqd that stands on PATH, if one does. The
// suites need NSQ's default ports, and are skipped where those are taken.
package interop
