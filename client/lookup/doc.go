// Package lookup finds nsqds and topics through nsqlookupd. Packages reader and
// writer use it when they are given Lookupds; programs need it only to ask
// something themselves.
//
// A [Server] is one nsqlookupd, and [Server.Ask] puts one [Query] to it: which
// nsqds have a topic ([Producers]), which there are at all ([Nodes]), or which
// topics there are ([Topics]). The request is made off the loop and answered on
// it.
//
// A [Poller] asks several of them again and again. What they name together is
// the answer; what one of them named last holds while it does not answer, so
// that a failing nsqlookupd takes nothing away.
package lookup
