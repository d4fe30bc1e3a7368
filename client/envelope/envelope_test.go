package envelope

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func full() Envelope {
	return Envelope{
		ID: "1", Source: "/shop", Type: "order.placed", Subject: "order 7", DataSchema: "https://example.com/order",
		Time: time.Date(2026, 5, 4, 3, 2, 1, 5000, time.UTC), ContentType: JSON,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=b",
		Headers: map[string]string{"tenant": "eu", "attempt": "3"},
		Body:    []byte(`{"id": 7, "note": "<ä>"}`),
	}
}

func TestEnvelope_Bytes(t *testing.T) {
	e := full()
	got, err := e.Append([]byte("before "))
	want := `before {"specversion":"1.0","id":"1","source":"/shop","type":"order.placed","subject":"order 7",` +
		`"time":"2026-05-04T03:02:01.000005Z","dataschema":"https://example.com/order","datacontenttype":"application/json",` +
		`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b",` +
		`"attempt":"3","tenant":"eu","data":{"id": 7, "note": "<ä>"}}`
	if err != nil || string(got) != want {
		t.Errorf("got %v\n %s, want\n %s", err, got, want)
	}
	for _, tt := range []struct{ contentType, body, want string }{
		{"", `"text"`, `,"data":"text"}`},
		{"", "no json", `,"data_base64":"bm8ganNvbg=="}`},
		{"text/plain", `1`, `"datacontenttype":"text/plain","data_base64":"MQ=="}`},
		{"application/vnd.shop+json; charset=utf-8", `1`, `,"data":1}`},
		{"application/json", `{`, `,"data_base64":"ew=="}`},
		{"", "", `"type":"t"}`},
	} {
		e := Envelope{ID: "1", Source: "s", Type: "t", ContentType: tt.contentType, Body: []byte(tt.body)}
		got, err := e.Append(nil)
		if err != nil || !strings.HasSuffix(string(got), tt.want) {
			t.Errorf("%q as %q: %v %s, want … %s", tt.body, tt.contentType, err, got, tt.want)
		}
	}
}

func TestEnvelope_AppendRefuses(t *testing.T) {
	for _, tt := range []struct {
		change func(e *Envelope)
		want   error
		name   string
	}{
		{func(e *Envelope) { e.ID = "" }, errRequired, "id"},
		{func(e *Envelope) { e.Source = "" }, errRequired, "source"},
		{func(e *Envelope) { e.Type = "" }, errRequired, "type"},
		{func(e *Envelope) { e.Subject = "\xff" }, errText, "subject"},
		{func(e *Envelope) { e.Headers["x"] = "\xff" }, errText, "x"},
		{func(e *Envelope) { e.Headers["X"] = "1" }, errName, `header "X"`},
		{func(e *Envelope) { e.Headers[""] = "1" }, errName, `header ""`},
		{func(e *Envelope) { e.Headers["data_base64"] = "1" }, errName, "data_base64"},
		{func(e *Envelope) { e.Headers["data"] = "1" }, errTaken, `header "data"`},
		{func(e *Envelope) { e.Headers["traceparent"] = "1" }, errTaken, "traceparent"},
	} {
		e := full()
		tt.change(&e)
		b, err := e.Append([]byte("before"))
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.name) || string(b) != "before" {
			t.Errorf("%s: got %q and %v, want %v", tt.name, b, err, tt.want)
		}
	}
}

func TestOpen_WhatAppendWrote(t *testing.T) {
	e := full()
	b, err := e.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := Open(b)
	if !ok || !reflect.DeepEqual(got, e) {
		t.Errorf("got %v\n %+v, want\n %+v", ok, got, e)
	}
}

func TestOpen_RoundTrips(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(1, 20, -1)
		e := Envelope{
			ID: text.Draw(rt, "id"), Source: text.Draw(rt, "source"), Type: text.Draw(rt, "type"),
			Subject:     rapid.String().Draw(rt, "subject"),
			ContentType: rapid.SampledFrom([]string{"", JSON, "text/plain", "x+json"}).Draw(rt, "contentType"),
			Headers:     rapid.MapOfN(rapid.StringMatching("x[a-z0-9]{0,10}"), text, 1, 5).Draw(rt, "headers"),
			Body:        []byte(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{`{"a": [1, 2]}`, `"x"`, "1.0"})).Draw(rt, "body")),
		}
		b, err := e.Append(nil)
		if err != nil {
			rt.Fatal(err)
		}
		got, ok := Open(b)
		if !ok {
			rt.Fatalf("%s is no envelope", b)
		}
		// JSON may stand between spaces; those are not the body's.
		if trimmed := strings.Trim(string(e.Body), " \t\r\n"); string(got.Body) != string(e.Body) && string(got.Body) != trimmed {
			rt.Fatalf("the body is %q, want %q", got.Body, e.Body)
		}
		got.Body, e.Body = nil, nil
		if !reflect.DeepEqual(got, e) {
			rt.Fatalf("got %+v, want %+v", got, e)
		}
	})
}

func TestOpen_OtherWritersForms(t *testing.T) {
	const head = ` {"specversion":"1.0","id":"1","source":"s","type":"t"`
	for _, tt := range []struct{ in, body string }{
		{head + `,"datacontenttype":"text/plain","data":"a\nb"}`, "a\nb"},
		{head + `,"data":"a"}`, `"a"`},
		{head + `,"data":null}`, `null`},
		{head + `,"data_base64":"AAE="}`, "\x00\x01"},
		{head + `,"data": {"a" : 1} }`, `{"a" : 1}`},
		{head + `}`, ""},
	} {
		e, ok := Open([]byte(tt.in))
		if !ok || string(e.Body) != tt.body || e.ID != "1" || e.Headers != nil {
			t.Errorf("%s: %v %+v, want the body %q", tt.in, ok, e, tt.body)
		}
	}
	e, ok := Open([]byte(head + `,"count":3,"on":true,"gone":null,"time":"2026-05-04T03:02:01+02:00"}`))
	if !ok || e.Headers["count"] != "3" || e.Headers["on"] != "true" || len(e.Headers) != 2 || e.Time.UTC().Hour() != 1 {
		t.Errorf("%v %+v", ok, e)
	}
}

func TestOpen_WhatIsNoneComesThrough(t *testing.T) {
	for _, in := range []string{
		"", " ", "hello", `{"id":7}`, `[{"specversion":"1.0"}]`, `{"specversion":"1.0"`,
		`{"specversion":"0.3","id":"1","source":"s","type":"t"}`,
		`{"specversion":1.0,"id":"1","source":"s"}`,
		`{"specversion":"1.0","id":"1","source":"s"}`,
		`{"specversion":"1.0","id":"","source":"s","type":"t"}`,
		`{"specversion":"1.0","id":{},"source":"s","type":"t"}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","time":"yesterday"}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AA==","data":1}`,
	} {
		e, ok := Open([]byte(in))
		if ok || !reflect.DeepEqual(e, Envelope{Body: []byte(in)}) {
			t.Errorf("%s: %v %+v", in, ok, e)
		}
	}
}

func FuzzOpen(f *testing.F) {
	e := full()
	b, err := e.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AAE="}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, ok := Open(in)
		if !ok {
			if string(e.Body) != string(in) {
				t.Errorf("%q came through as %q", in, e.Body)
			}
			return
		}
		if e.ID == "" || e.Source == "" || e.Type == "" {
			t.Errorf("%q is an envelope without what it needs: %+v", in, e)
		}
	})
}
