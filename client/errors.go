package client

import (
	"errors"
	"strings"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// Errors of publishes and answers that did not get through.
var (
	// ErrNotConnected says that no connection was ready. Nothing was sent.
	ErrNotConnected = errors.New("not connected")

	// ErrTimeout says that something did not happen in the time allowed for it.
	ErrTimeout = errors.New("timeout")

	// ErrUnknownOutcome says that a command was handed to the socket and no
	// answer came: nsqd may or may not have executed it. Only the
	// application can tell whether doing it again is harmless.
	ErrUnknownOutcome = errors.New("outcome unknown: sent, but not answered")
)

// Errors of a program's own calls.
var (
	// ErrClosed says that the object was closed before or during the call.
	ErrClosed = errors.New("closed")

	// ErrWouldBlock is returned by calls that wait for the loop when they
	// are made on the loop, where they would wait for themselves. Handlers run
	// on the loop unless reader.Options.Workers has them run elsewhere.
	ErrWouldBlock = errors.New("called on the loop: it would wait for itself (in a handler, use Publish with done, or Options.Workers)")
)

// Errors that end a connection. OnClose receives them wrapped.
var (
	// ErrHTTPEndpoint says that the peer answered in HTTP.
	ErrHTTPEndpoint = errors.New("this is an HTTP endpoint: use nsqd's TCP address (port 4150 unless configured otherwise)")

	// ErrProtocol says that the peer sent what NSQ's protocol does not allow
	// at that point.
	ErrProtocol = errors.New("protocol violation")

	// ErrTLSRefused says that TLS was asked for and the server has none.
	ErrTLSRefused = errors.New("the server does not offer TLS: give it a certificate, or set AllowPlaintext")

	// ErrChecksumRefused says that Options.Checksum was set and the server
	// has neither TLS nor snappy.
	ErrChecksumRefused = errors.New("the server offers neither TLS nor snappy, and so no checksums: let it, or do without Checksum")

	// ErrAuthRequired says that the server asks for a secret and there is
	// none.
	ErrAuthRequired = errors.New("the server requires AUTH: set AuthSecret")

	// ErrStale says that the peer has been silent for too long.
	ErrStale = errors.New("stale: the peer is silent")
)

// Code is the first word of an error that nsqd sends, for example "E_BAD_TOPIC".
type Code = wire.Code

// Error is what nsqd says in an error frame, or what it would have said about
// a command that was refused here before anything was written. errors.Is
// compares codes, so errors.Is(err, client.ErrBadTopic) holds whatever the
// detail.
type Error struct {
	Code   Code
	Detail string // prose, may change between versions of nsqd
}

// One variable for each code, for errors.Is.
var (
	ErrInvalid        = &Error{Code: wire.CodeInvalid}        // wrong state, wrong parameters, unknown command
	ErrBadProtocol    = &Error{Code: wire.CodeBadProtocol}    // unknown magic
	ErrBadBody        = &Error{Code: wire.CodeBadBody}        // the body of IDENTIFY, AUTH or MPUB as a whole
	ErrBadTopic       = &Error{Code: wire.CodeBadTopic}       // not a topic name
	ErrBadChannel     = &Error{Code: wire.CodeBadChannel}     // not a channel name
	ErrBadMessage     = &Error{Code: wire.CodeBadMessage}     // a message that is empty or too large
	ErrPubFailed      = &Error{Code: wire.CodePubFailed}      // the server could not take the message
	ErrMPubFailed     = &Error{Code: wire.CodeMPubFailed}     // the same, for several at once
	ErrDPubFailed     = &Error{Code: wire.CodeDPubFailed}     // the same, for a deferred one
	ErrSubFailed      = &Error{Code: wire.CodeSubFailed}      // the channel takes no more subscribers
	ErrFinFailed      = &Error{Code: wire.CodeFinFailed}      // finish: no longer in flight here
	ErrReqFailed      = &Error{Code: wire.CodeReqFailed}      // requeue: no longer in flight here
	ErrTouchFailed    = &Error{Code: wire.CodeTouchFailed}    // touch: no longer in flight here
	ErrIdentifyFailed = &Error{Code: wire.CodeIdentifyFailed} // an upgrade could not be done
	ErrAuthDisabled   = &Error{Code: wire.CodeAuthDisabled}   // the server asks for no secret
	ErrAuthFirst      = &Error{Code: wire.CodeAuthFirst}      // the server asks for a secret first
	ErrAuthFailed     = &Error{Code: wire.CodeAuthFailed}     // the auth server gave no usable answer
	ErrAuthError      = &Error{Code: wire.CodeAuthError}      // the server's answer to the secret was lost
	ErrUnauthorized   = &Error{Code: wire.CodeUnauthorized}   // the answer was no
	ErrPubDoubtful    = &Error{Code: wire.CodePubDoubtful}    // of nsqd-lite: a numbered publish may be there, or not
)

// Error is the code and the detail, as nsqd sends them.
func (e *Error) Error() string { return (*wire.Error)(e).Error() }

// Fatal says whether nsqd closes the connection after this error. It does
// after all but ErrFinFailed, ErrReqFailed and ErrTouchFailed, and nsqd-lite not
// after ErrPubDoubtful.
func (e *Error) Fatal() bool { return (*wire.Error)(e).Fatal() }

// MayBeKept says whether the messages of a publish that ended in this error may
// be delivered all the same. nsqd-lite says so when it had stored them and could
// not make them durable; nsqd never does.
func (e *Error) MayBeKept() bool { return strings.Contains(e.Detail, wire.MayBeKept) }

// CutShort says whether nsqd refused a command of which the rest did not come, as
// when the network closes the half that leads to it. Nothing of the command was
// executed, and nothing is wrong with it.
func (e *Error) CutShort() bool { return strings.Contains(e.Detail, wire.FailedToRead) }

// Passing says whether what nsqd refuses a connection for is likely to be over soon
// by itself: it could not ask whether the secret is good, or a channel has as many
// subscribers as it takes. Every other refusal is a decision, and stands until
// somebody changes a configuration.
func (e *Error) Passing() bool {
	return e.Is(ErrAuthFailed) || e.Is(ErrAuthError) || e.Is(ErrSubFailed)
}

// Is reports whether target is an *Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}
