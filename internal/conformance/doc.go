// Package conformance holds the protocol between clients and nsqd as
// transcripts: what is sent, and what comes back. The same files run against
// our server on virtual time, and against a real nsqd over a socket.
//
//	go test ./internal/conformance                               # our server
//	go test ./internal/conformance -update                       # write down what it answers
//	NSQD_ADDR=127.0.0.1:4150 NSQD_HTTP_ADDR=127.0.0.1:4151 \
//		go test ./internal/conformance -run Nsqd                 # an nsqd with nothing else to do
//
// The nsqd must be at its default settings; transcripts that need others are
// left out. Its topics are deleted.
//
// # Transcripts
//
// A file in testdata tells the story of one rule. It is made of steps; a step
// has a title, what happens, a line of dashes, and what is seen:
//
//	=== 137 an answer makes room without a new RDY
//	a  FIN $1
//	---
//	a  message $3 attempts 1 | three
//
// A title begins with the numbers of the statements it shows, for spec_test.go.
// Lines that begin with # are comments. Before the first step a line may set
// options of the server, by the names of nsqd's flags:
//
//	server max-rdy-count=50 msg-timeout=1s data-path=temporary auth-static=secrets.json
//
// "role=nsqlookupd" among them starts an nsqlookupd, whose answers have no type:
// its errors look like responses.
//
// What happens, one thing a line:
//
//	a  NOP                      connection a sends a command; the first time, it connects and sends the magic
//	a  PUB t | body             with a body, whose length is written before it
//	a  MPUB t | one | two       with several
//	a  raw PUB t\n{int32 -1}    exactly these bytes
//	a  open                     connects and sends nothing
//	a  close                    closes its end when it has been answered; the next line follows at once
//	wait 1s                     time passes
//	http POST /topic/pause?topic=t
//	http POST /pub?topic=t | body
//	stats t/depth t/c/depth t/c/clients/state
//	json /nodes producers/topics
//	restart                     the server stops in order and starts again on its data
//
// What is seen:
//
//	a  OK                       a response
//	a! E_INVALID …              an error
//	a  message $1 attempts 1 | body
//	a  closed                   by the server
//	http 200 | body             the answer
//	stats 0 0 [3]               the values, in the order asked for; null when there is none
//	json [["t"]]                the same, of any answer that is a JSON object
//
// Messages are numbered in the order in which their ids are first seen, and a
// number stands for the id wherever an id may stand. The bytes of a frame that
// are not printable are escaped as in Go; so may be the bytes sent. {x*1000}
// is a thousand x, and {int32 5} is a number as it stands on the wire.
//
// What several connections receive at the same time is shown connection by
// connection, the one that acted first. Their own address is shown as <ip>.
//
// "show KEY KEY" in a step reduces the JSON that is seen in it to these keys,
// and "headers NAME NAME" shows these headers of HTTP answers behind their status.
//
// Lines of one connection that follow each other are sent together; before
// another connection, or anything else, has its turn, what was sent has been
// answered.
package conformance
