package main

import (
	"os"
	"syscall"
)

// stopSignals ask a program to stop. The first one is obeyed in order, the
// second one at once.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}
