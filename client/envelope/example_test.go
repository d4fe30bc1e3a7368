package envelope_test

import (
	"fmt"
	"log"

	"github.com/nsqloop/nsqloop/client/envelope"
)

// Headers and a trace, there and back; and a body from a program that knows
// nothing of them.
func Example() {
	e := envelope.Envelope{
		ID: "7", Source: "/shop", Type: "order.placed",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Headers:     map[string]string{"tenant": "eu"},
		Body:        []byte(`{"cents":995}`),
	}
	body, err := e.Append(nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range [][]byte{body, []byte("plain")} {
		got, ok := envelope.Open(b)
		fmt.Println(ok, got.Type, got.Headers["tenant"], string(got.Body))
	}
	// Output:
	// true order.placed eu {"cents":995}
	// false   plain
}
