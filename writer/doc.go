// Package writer publishes messages and tells each caller how it went.
//
// A [Writer] keeps one connection to each of its nsqds and hands every publish
// to one of those that are connected. Publish, MultiPublish and
// DeferredPublish return at once and may be called from any goroutine; the
// result comes to the done function, exactly once:
//
//	w, err := writer.New(l, writer.Options{NSQDs: []string{"127.0.0.1:4150"}})
//	...
//	w.Publish("orders", body, func(r writer.Result) {
//		if r.Err != nil { ... }
//	})
//
// There are four outcomes, which [Result.Outcome] tells apart:
//
//	Confirmed  nsqd has the messages
//	Rejected   nsqd, or a check made here on its behalf, refuses them: Err is a *client.Error
//	NotSent    no nsqd has them, publishing again is safe
//	Unknown    nsqd may have them: sent and not answered (client.ErrUnknownOutcome), or
//	           several at once that failed midway (client.ErrMPubFailed), or stored
//	           and not made durable (client.Error.MayBeKept)
//
// Always look at the result. A publish that fails without a done function is
// logged as an error, once per burst.
//
// # Waiting
//
// Publishes wait while no connection is ready, bounded by Options.MaxPending
// and MaxPendingBytes; beyond those they end in ErrFull. Each has
// Options.Timeout to end in, of which Options.MaxWait may pass before it is
// sent; when all nsqds refuse the connection itself, for AUTH or TLS for example,
// it ends in client.ErrNotConnected at once. PublishSync and its sisters wait for room and for the outcome,
// [Writer.Flush] for all that was published before it, [Writer.WaitReady] for a
// connection, and [Writer.Shutdown] for the end.
//
// # Several nsqds
//
// [Policy] chooses the nsqd of each publish, among those of Options.NSQDs and
// those that Options.Lookupds name; addresses can be added and removed at any
// time. An nsqd that has failed a publish gets one at a time until it confirms
// one. [Retry] says which publishes are tried again: by default those that
// provably no nsqd has; [RetryOnce] has nsqd-lite tell what else it has not.
// [Writer.PublishAll] publishes to several at once.
//
// # Callbacks
//
// All callbacks run on the loop, one at a time, in the order things happened,
// and never before the call that caused them has returned. Results of one nsqd
// come in the order in which it was sent the publishes. From inside a callback
// any method of the SDK may be called, except those that wait: they return
// client.ErrWouldBlock. A callback must not block. When the loop has stopped,
// what is still published ends in ErrClosed on a goroutine of its own.
//
// Until done is called, the bodies belong to the Writer: do not change them.
package writer
