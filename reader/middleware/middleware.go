package middleware

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nsqloop/nsqloop/reader"
)

// Middleware makes a handler that does something around next.
type Middleware func(next reader.Handler) reader.Handler

// Chain puts all of around around h, the first outermost.
func Chain(h reader.Handler, around ...Middleware) reader.Handler {
	for i := len(around) - 1; i >= 0; i-- {
		h = around[i](h)
	}
	return h
}

// Recover turns a panic into an error that wraps reader.ErrPanic, for what is
// further out in a Chain; a reader by itself does the same. onPanic, which may
// be nil, is called first, where the handler ran.
func Recover(onPanic func(m *reader.Message, value any, stack []byte)) Middleware {
	return func(next reader.Handler) reader.Handler {
		return func(m *reader.Message) (err error) {
			defer func() {
				v := recover()
				if v == nil {
					return
				}
				err = fmt.Errorf("%w: %v", reader.ErrPanic, v)
				if onPanic != nil {
					onPanic(m, v, debug.Stack())
				}
			}()
			return next(m)
		}
	}
}

// Timeout requeues a message as a failure that was not answered within limit,
// as Message.RequeueIn does. Nothing interrupts the handler, but its context,
// Message.Context, ends, and its answer has no effect any more. It is for
// handlers on workers and for those that return reader.Pending: one that blocks
// the loop blocks this too.
func Timeout(limit time.Duration) Middleware {
	return func(next reader.Handler) reader.Handler {
		return func(m *reader.Message) error {
			m.RequeueIn(limit)
			return next(m)
		}
	}
}

// MaxAge discards messages that had been published more than limit before they
// came. onOld, which may be nil, is called with each of them instead of the
// handler. The age is the difference of two clocks, nsqd's and this one's, and
// grows with each requeue.
func MaxAge(limit time.Duration, onOld func(m *reader.Message)) Middleware {
	return func(next reader.Handler) reader.Handler {
		return func(m *reader.Message) error {
			if m.Received().Sub(m.Timestamp) <= limit {
				return next(m)
			}
			if onOld != nil {
				onOld(m)
			}
			return reader.Discard(nil)
		}
	}
}
