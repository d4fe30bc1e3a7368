package wire

import (
	"errors"
	"fmt"
	"testing"
)

// codes are all codes of the catalogue, with what is not fatal.
var codes = map[Code]bool{
	CodeBadProtocol: true, CodeInvalid: true, CodeBadBody: true, CodeBadTopic: true, CodeBadChannel: true,
	CodeBadMessage: true, CodePubFailed: true, CodeMPubFailed: true, CodeDPubFailed: true, CodeSubFailed: true,
	CodeIdentifyFailed: true, CodeAuthDisabled: true, CodeAuthFirst: true, CodeAuthFailed: true, CodeAuthError: true,
	CodeUnauthorized: true, CodeFinFailed: false, CodeReqFailed: false, CodeTouchFailed: false,
}

func TestError_OnlyThreeCodesAreNotFatal(t *testing.T) { // T-1
	for code, fatal := range codes {
		if got := (&Error{Code: code}).Fatal(); got != fatal {
			t.Errorf("%s: fatal %v, want %v", code, got, fatal)
		}
	}
	if len(codes) != 19 {
		t.Errorf("%d codes, want 19", len(codes))
	}
}

func TestError_IsComparesCodes(t *testing.T) {
	err := fmt.Errorf("publish: %w", Errorf(CodeBadTopic, "PUB topic name %q is not valid", "t$"))
	if !errors.Is(err, &Error{Code: CodeBadTopic}) {
		t.Errorf("%v is not E_BAD_TOPIC", err)
	}
	if errors.Is(err, &Error{Code: CodeBadChannel}) {
		t.Errorf("%v is E_BAD_CHANNEL", err)
	}
	if errors.Is(&Error{}, errors.New("")) {
		t.Error("another kind of error is an Error")
	}
}

func TestParseError_ReadsWhatAppendErrorWrites(t *testing.T) {
	for _, e := range []Error{
		{Code: CodeBadProtocol},
		{CodeInvalid, "invalid command "},
		{CodeBadTopic, `E_BAD_TOPIC MPUB topic name "t$" is not valid`},
		{"E_OF_TOMORROW", "something new"},
	} {
		frame := AppendError(nil, &e)
		_, data, _, err := ReadFrame(frame, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := *ParseError(data); got != e {
			t.Errorf("got %+v, want %+v", got, e)
		}
		if string(data) != e.Error() {
			t.Errorf("frame says %q, Error says %q", data, e.Error())
		}
	}
}

func TestError_WithoutCodeIsItsDetail(t *testing.T) {
	e := &Error{Detail: "command line longer than 16384 bytes"}
	if e.Error() != e.Detail || !e.Fatal() {
		t.Errorf("%q, fatal %v", e.Error(), e.Fatal())
	}
}
