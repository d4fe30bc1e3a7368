package server

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests, or, for TestKill, a server to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		victim(dir)
		return
	}
	goleak.VerifyTestMain(m,
		// gnet brings a pool that cleans up after itself for ever.
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}
