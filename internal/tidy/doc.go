// Package tidy is the architecture as a test. It reads the module's files and
// says where they break a rule that the design rests on: who may import whom,
// who may read the clock, who may start a goroutine, how long a function may be,
// what must be documented.
//
// A rule is a function from a [Module] to findings. The exceptions stand in
// lists.go, one line each with its reason; an exception that is no longer needed
// is itself a finding. Nested modules and testdata are not looked at.
package tidy
