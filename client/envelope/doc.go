// Package envelope gives a body headers, which NSQ's messages have not. It is
// opt-in: nothing in the other packages knows of it, and consumers that know
// nothing of it receive the envelope as the body.
//
// An [Envelope] is written as a CloudEvents 1.0 event in JSON, the structured
// mode, so that programs in other languages read it with a library of their
// choice. The trace context of the W3C (traceparent, tracestate) travels in it
// as CloudEvents says; what makes and reads spans is up to the program.
//
//	e := envelope.Envelope{ID: id, Source: "/shop", Type: "order.placed", Body: order}
//	e.TraceParent = span.TraceParent()
//	body, err := e.Append(nil)
//	w.Publish("orders", body, done)
//
// The other side opens what comes. A body that is no envelope, from a program
// that does not use them, comes through as it is:
//
//	e, ok := envelope.Open(m.Body)
//	handle(e.Body, e.TraceParent)
package envelope
