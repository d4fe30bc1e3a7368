package wire

import (
	"bytes"
	"fmt"
)

// Code is the first word of an error frame. Clients should compare nothing
// else: what follows is prose.
type Code string

// The codes that nsqd sends.
const (
	CodeBadProtocol    Code = "E_BAD_PROTOCOL"    // the first four bytes were not a magic it knows
	CodeInvalid        Code = "E_INVALID"         // unknown command, wrong state, wrong parameters
	CodeBadBody        Code = "E_BAD_BODY"        // the body of IDENTIFY, AUTH or MPUB as a whole
	CodeBadTopic       Code = "E_BAD_TOPIC"       // not a name
	CodeBadChannel     Code = "E_BAD_CHANNEL"     // not a name
	CodeBadMessage     Code = "E_BAD_MESSAGE"     // a message's size
	CodePubFailed      Code = "E_PUB_FAILED"      // the server could not take the message
	CodeMPubFailed     Code = "E_MPUB_FAILED"     // the same, for MPUB
	CodeDPubFailed     Code = "E_DPUB_FAILED"     // the same, for DPUB
	CodeSubFailed      Code = "E_SUB_FAILED"      // the channel takes no more subscribers
	CodeFinFailed      Code = "E_FIN_FAILED"      // not in flight, or not with this client
	CodeReqFailed      Code = "E_REQ_FAILED"      // the same, for REQ
	CodeTouchFailed    Code = "E_TOUCH_FAILED"    // the same, for TOUCH
	CodeIdentifyFailed Code = "E_IDENTIFY_FAILED" // an upgrade could not be done
	CodeAuthDisabled   Code = "E_AUTH_DISABLED"   // AUTH, and the server asks for none
	CodeAuthFirst      Code = "E_AUTH_FIRST"      // the command needs AUTH before it
	CodeAuthFailed     Code = "E_AUTH_FAILED"     // the auth server gave no usable answer
	CodeAuthError      Code = "E_AUTH_ERROR"      // the answer to AUTH could not be sent
	CodeUnauthorized   Code = "E_UNAUTHORIZED"    // the answer was no
)

// CodePubDoubtful answers a numbered publish that nsqd-lite was sent before, when
// it cannot tell what became of it. Only who asks for numbers can meet it.
const CodePubDoubtful Code = "E_PUB_DOUBTFUL"

// MayBeKept is in the description of a publish's error when nsqd-lite had stored
// the message already and could not make it durable: it may be delivered all the
// same. NSQ has no code for that, and its clients read the code alone.
const MayBeKept = "the message may be kept"

// FailedToRead is in the description of an error about a command of which only a
// part has come, behind the command's name. The words are nsqd's.
const FailedToRead = " failed to read "

// Error is what an error frame says: a code and a description.
//
// An Error without a code never reaches the wire. ReadCommand returns it when
// nsqd would close the connection without a word; Detail is then for the log.
type Error struct {
	Code   Code
	Detail string
}

// Errorf returns an error of a code, with a description formatted as by
// fmt.Sprintf.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Error is the code and the description, as in the frame.
func (e *Error) Error() string {
	switch {
	case e.Detail == "":
		return string(e.Code)
	case e.Code == "":
		return e.Detail
	}
	return string(e.Code) + " " + e.Detail
}

// Fatal says whether nsqd closes the connection after this error. Only three of
// its codes leave it open: those that say that an answer to a message came too
// late or from the wrong client. nsqd-lite's own does too.
func (e *Error) Fatal() bool {
	switch e.Code {
	case CodeFinFailed, CodeReqFailed, CodeTouchFailed, CodePubDoubtful:
		return false
	}
	return true
}

// Is reports whether target is an Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// ParseError reads the data of an error frame. It accepts any data: what comes
// before the first space is the code.
func ParseError(data []byte) *Error {
	code, detail, _ := bytes.Cut(data, []byte{' '})
	return &Error{Code: Code(code), Detail: string(detail)}
}
