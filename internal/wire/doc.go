// Package wire turns NSQ's bytes into values and back: commands, frames,
// messages, names and error codes. It is pure. It knows neither sockets nor
// time nor who is reading, never keeps what it is given, and copies nothing
// but message ids.
//
// A client opens a connection with four bytes, [MagicV2], and then sends
// commands. All integers are big-endian.
//
//	command  name *( ' ' parameter ) [ CR ] LF [ body ]
//
//	         P U B ' ' o r d e r s LF | size int32 | body, size bytes
//	         \---- line, <= 16384 ---/ \---- IDENTIFY AUTH PUB DPUB ---/
//
//	         M P U B ' ' o r d e r s LF | size int32 | count int32 | count x ( size int32 | body )
//
// The server answers with frames.
//
//	frame    | size int32 | type int32 | data, size-4 bytes |
//	          4            8
//
//	         type 0 response   OK, CLOSE_WAIT, _heartbeat_, or JSON
//	              1 error      E_CODE description
//	              2 message    as below
//
// A message is the data of a frame of type 2.
//
//	message  | timestamp int64 | attempts uint16 | id, 16 bytes | body |
//	          8                 10                26
//
// [ReadFrame], [ReadMessage] and [ReadCommand] take the bytes received so far
// and return how many of them they used; 0 without an error means that the
// rest has not arrived. Offer the same bytes again with what came after them:
// however the input is split, the outcome is the same. What they return
// borrows from the bytes given, and is valid as long as those are.
//
// The Append functions write the other direction at the end of a slice and
// return it, as the built-in append does.
//
// Between nsqd and nsqlookupd other words are spoken, after [MagicV1]:
// [ReadLookupCommand] and [ReadLookupReply] have them.
//
// ReadCommand is also where a command is refused. Whatever a server can refuse
// without knowing its topics and clients is decided there, in the order of
// nsqd's own checks and in nsqd's own words, because clients and test suites
// compare them.
package wire
