package loop

// TakeAddr is takeAddr, for tests.
var TakeAddr = takeAddr
