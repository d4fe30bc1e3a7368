// Package middleware has what is often put around the handlers of package
// reader. A [Middleware] makes a handler of a handler; [Chain] puts several
// around one:
//
//	Handler: middleware.Chain(handle,
//		middleware.DeadLetter(middleware.DeadLetterOptions{Publish: bury}),
//		middleware.MaxAge(time.Hour, nil),
//		middleware.Recover(nil),
//	)
//
// The first is the outermost: it sees a message first and its result last.
//
// They see the results that handlers return. An answer that is given by itself,
// by Message.Finish or Message.Requeue, passes by those that look at results,
// as each of them says.
//
// Three things that elsewhere are middleware are options of a reader, because
// only the reader can do them well: a limit of messages per second
// (Options.MaxRate, which holds messages back at nsqd and not here), messages of
// one key in turn (Options.SerialBy), and several messages at once
// (Options.Batch).
//
// All of them may be used on the loop and with Options.Workers. A Middleware
// that remembers something, Dedupe, does so for all handlers that it is put
// around.
package middleware
