// Package interop lets nsqloop talk with what others wrote: the official Go
// client's producer and consumer with our server, each half of it with the other
// half of our SDK, and our SDK with the original nsqd.
//
// It is a module of its own, so that the other client reaches nobody who imports
// nsqloop. The tests run against a server in this process, against the nsqd-lite
// program, and against the nsqd that stands on PATH, if one does.
package interop
