package layer

import (
	"testing"

	"go.uber.org/goleak"
)

// A coroutine that is not released is a goroutine that is left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
