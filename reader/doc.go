// Package reader consumes a channel of a topic: many connections to nsqd, one
// budget of messages in flight, one handler.
//
// A [Reader] finds the nsqd that have its topic, by addresses or by asking
// nsqlookupd, and stays connected to them. A [Handler] processes each
// [Message]. Its result is the answer: nil finishes the message, an error
// requeues it, and [RequeueAfter], [WithoutBackoff], [Discard] and [Pending]
// say something more particular.
//
//	l, err := loop.New(loop.Options{})
//	r, err := reader.New(l, reader.Options{
//		Topic:       "orders",
//		Channel:     "billing",
//		MaxInFlight: 9,
//		Lookupds:    []string{"127.0.0.1:4161"},
//		Handler: func(m *reader.Message) error {
//			return bill(m.Body)
//		},
//	})
//	err = l.Run(ctx)
//
// # Callbacks
//
// The handler and the On functions of [Options] run on the loop, one at a
// time, in the order in which things happened. State that only they touch
// needs no lock. They must not block: while one runs, nothing is read, no
// heartbeat is answered and no answer is sent. From inside one, any method of
// the reader, of a message, or of a writer on the same loop may be called;
// nothing recurses. Handlers that block belong on goroutines of their own,
// [Options].Workers, and then share state as goroutines do.
//
// # Other shapes of handlers
//
// [Messages] gives the messages to a for statement instead, [Batch] several at
// a time to one call, and [JSON] what their bodies say. Package middleware has
// what is put around handlers: dead letters, deduplication, limits of time and
// of age.
//
// A [Group] consumes many topics, those that match a pattern among them.
//
// # Messages in flight
//
// MaxInFlight bounds the messages that the handler has not answered, over all
// connections. The reader divides it among them as NSQ's clients do: each nsqd
// is told a ready count (RDY), the sum of which never exceeds MaxInFlight; a
// new connection begins with 1 and has its share when its first message has
// come; when there are more connections than MaxInFlight, ready counts of 1
// move from those that are silent or have had theirs for long to those that
// wait.
//
// What works for long on a message looks at [Message].Context, which ends with
// the message's deadline, with its connection or with the reader, and asks for
// more time with Touch or KeepAlive.
//
// When a message fails, the reader backs off: it receives nothing for a while,
// then one message as a probe. Each failure makes the pause longer, each
// success shorter, until none is left. What is answered inside a pause changes
// nothing, and an answer without backoff only repeats it.
//
// docs/backoff.md shows both with pictures. [Reader.Stats] says of each nsqd why
// nothing comes from it, when nothing does.
//
// # What to know
//
// NSQ delivers at least once: a message may come again when its answer was
// late or lost. A message that is not answered before its [Message.Deadline]
// goes to somebody else; [Message.Touch] asks for more time. The order of
// messages is not kept.
package reader
