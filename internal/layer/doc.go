// Package layer turns plain bytes into TLS, framed snappy or raw deflate, and
// back: the upgrades that IDENTIFY negotiates.
//
// A layer is a [loop.Layer] in all but name: it is given bytes and gives bytes,
// never waits, and knows neither sockets nor the connection it works for. It is
// not safe for concurrent use.
//
// Libraries for TLS and deflate read from something that blocks. Each of their
// readers therefore runs in a coroutine, which is suspended where the reader
// would wait and resumed when bytes have come: no goroutine runs beside the
// caller, nothing is scheduled, and the same bytes give the same result in the
// same order. A coroutine must be released: by Close, or by an Open that failed.
// It must not be resumed on a goroutine that is locked to its thread. Framed
// snappy is simple enough to be read as it comes.
//
// Open appends no more than about 300 KiB at a time however much its input
// could become; More says that there is more. So a bomb of a few bytes is seen
// by the handler piece by piece, and refused as any other excess is.
//
// What a connection holds: TLS some 40 KB, snappy nothing between two turns,
// deflate 80 KB once both sides have spoken, for the window that the peer may
// refer to.
//
// [loop.Layer]: https://pkg.go.dev/github.com/nsqloop/nsqloop/loop#Layer
package layer

import "errors"

// ErrCorrupt is wrapped by the error of an Open whose input is not what the
// layer's format allows.
var ErrCorrupt = errors.New("corrupt stream")

// openMost is after how many bytes Open stops. What the reader has ready at
// that moment still comes: at most one window of deflate (32 KiB) or one chunk
// of snappy (64 KiB).
const openMost = 256 << 10
