package reader

import (
	"encoding/json"
	"fmt"
)

// JSON makes a Handler of a function that takes what a body says as JSON.
//
//	Handler: reader.JSON(func(m *reader.Message, o Order) error { return bill(o) })
//
// A body that does not fit a T never will: the function is not called, and the
// message is discarded with an error that the log shows as a warning. To keep
// such messages, put middleware.DeadLetter around.
func JSON[T any](handle func(m *Message, value T) error) Handler {
	return func(m *Message) error {
		var value T
		if err := json.Unmarshal(m.Body, &value); err != nil {
			return Discard(fmt.Errorf("body of message %v of nsqd %s as %T: %w", m.ID, m.NSQD, value, err))
		}
		return handle(m, value)
	}
}
